"""What the doctor advises on hosts of other distributions, by made os-release files."""

from __future__ import annotations

from pathlib import Path

import pytest
from gso.kernel.errors import UsageError
from gso.kernel.machine import tools
from gso.kernel.runs import distribution, doctor

HOSTS = {
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "ubuntu": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n',
    "mint": 'NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n',
    "fedora": 'NAME="Fedora Linux"\nID=fedora\n',
    "rocky": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n',
    "arch": 'NAME="Arch Linux"\nID=arch\n',
    "manjaro": "ID=manjaro\nID_LIKE=arch\n",
    "alpine": 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.20.3\n',
}
COMMANDS = {
    "debian": "apt-get install iproute2 xz-utils",
    "ubuntu": "apt-get install iproute2 xz-utils",
    "mint": "apt-get install iproute2 xz-utils",
    "fedora": "dnf install iproute xz",
    "rocky": "dnf install iproute xz",
    "arch": "pacman -S iproute2 xz",
    "manjaro": "pacman -S iproute2 xz",
    "alpine": "apk add iproute2 xz",
}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Make this host another one; it lacks everything that the doctor looks for."""

    def become(text: str) -> Path:
        path = tmp_path / "os-release"
        path.write_text(text)
        monkeypatch.setattr(distribution, "_PLACES", (tmp_path / "none", path))
        monkeypatch.setattr(doctor.shutil, "which", lambda *_, **__: None)
        return path

    return become


@pytest.mark.parametrize("name", HOSTS)
def test_packages_have_the_names_of_the_host(name, host):
    found = distribution.read(host(HOSTS[name]))
    packages = [found.package("iproute2"), found.package("xz-utils")]
    advised = found.advice(packages)
    assert advised.partition("    (")[0] == COMMANDS[name]
    assert ("not tried" in advised) is (name != "debian")


@pytest.mark.parametrize("name", HOSTS)
def test_what_a_distribution_calls_otherwise_is_a_package_that_is_needed(name, host):
    needed = {tool.package for tool in (*tools.TOOLS, *tools.LIBRARIES)}
    assert set(distribution.read(host(HOSTS[name])).names) <= needed


def test_the_doctor_names_them(host, gso_kernel):
    host(HOSTS["fedora"])
    done = gso_kernel("doctor")
    assert done.status == 1
    assert "dnf install " in done.out
    assert "Fedora package xz\n" in done.out
    assert "Fedora package iproute" in done.out
    assert "apt-get" not in done.out
    assert "no package of Fedora is known" in done.out  # gcc-12


def test_it_installs_with_apt_only(host, monkeypatch):
    run: list[tuple[str, ...]] = []
    monkeypatch.setattr(doctor, "_apt", lambda *words: run.append(words))
    for name in ("fedora", "arch", "alpine"):
        host(HOSTS[name])
        with pytest.raises(UsageError, match=COMMANDS[name].partition(" iproute")[0]):
            doctor.install(doctor.examine(), applications=False)
    assert run == []
    host(HOSTS["ubuntu"])
    doctor.install(doctor.examine(), applications=False)
    assert [words[0] for words in run] == ["update", "install"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('ID=slackware\nPRETTY_NAME="Slackware 15.0 x86_64"\n', "Slackware 15.0 x86_64"),
        ("ID=plan9\n", "plan9"),
        ('ID="unended\nNAME=\x1b[31mred\n', r"\x1b[31mred"),
        ("", "an unnamed system"),
    ],
)
def test_an_unknown_host_is_named_and_gets_no_command(text, name, host):
    found = distribution.read(host(text))
    assert found.advice([found.package("iproute2")]) == (
        f"{name} is not known here; Debian calls the packages: iproute2"
    )
    assert not found.has_apt


def test_a_host_without_an_os_release_is_taken_for_debian(monkeypatch, tmp_path):
    monkeypatch.setattr(distribution, "_PLACES", (tmp_path / "none",))
    assert distribution.of_host() is distribution.DEBIAN
