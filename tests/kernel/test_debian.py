"""Debian's kernels, found and unpacked; apt and dpkg are scripts here."""

import argparse
import json
import os
import time

import pytest
from gso.kernel.bootable import VARIANTS
from gso.kernel.commands import list as list_command
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.trees import apt, debian
from gso.kernel.trees.targets import DebianPair

HOST = {"6.1.9-1": "6.1.9+deb12", "6.12.117-1~deb12u1": "6.12.117+deb12"}
BACKPORTS = {"7.2.12-1~bpo13+1": "7.2.12+deb13", "7.3.4-1~bpo13+1": "7.3.4+deb13"}
IN_SID = {"7.3.9-1": "7.3.9+deb14"}
PARTS = ("base", "binary", "modules")


def lists(kernels):
    """apt-cache's text on kernels with image and source, and on an image without a source."""
    stanzas = []
    for version, release in {**kernels, "5.10-1": "5.10.9"}.items():
        image = f"linux-image-{release}-amd64"
        split = "".join(f", linux-{part}-{release}-amd64 (= {version})" for part in PARTS)
        stanzas.append(
            f"Package: {image}\nVersion: {version}\n"
            f"Depends: linux-initramfs-tool{split if version > '7' else ', kmod'}"
        )
        stanzas.append(
            f"Package: linux-headers-{release}-amd64\nVersion: {version}\n"
            f"Depends: gcc-14, linux-headers-{release}-common (= {version}), linux-kbuild-{release}"
        )
        if version[0] != "5":
            source = "linux-source-" + ".".join(release.split(".")[:2])
            stanzas.append(f"Package: {source}\nVersion: {version}")
    return stanzas


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose apt offers some kernels, and in other suites others."""
    programs, shown = tmp_path / "programs", tmp_path / "shown"
    for folder in (programs, shown):
        folder.mkdir()
    kernels = {"": HOST, "trixie-backports": BACKPORTS, "sid": IN_SID}
    for suite in ("", *apt.SUITES):
        text = "\n\n".join(lists(kernels.get(suite, {})))
        (shown / f"lists{suite and '-'}{suite}").write_text(text)
    scripts = {
        "dpkg": '[ "$1" = --print-architecture ] && echo amd64 && exit\n'
        'first=$(printf "%s\\n%s\\n" "$2" "$4" | sort -V | head -1)\n'
        '[ "$2" != "$4" ] && case $3 in lt) [ "$first" = "$2" ];; gt) [ "$first" = "$4" ];; esac',
        "apt-cache": f"""\
case $1 in --config-file=*) suite=${{1%/apt.conf}}; suite=-${{suite##*/}}; shift;; esac
while [ $1 = -o ]; do shift 2; done
list={shown}/lists$suite
if [ $1 = search ]; then sed -n 's/^Package: //p' $list | grep -E "$3" | sed 's/$/ - Linux/'
else
  shift
  for name; do awk -v RS= -v ORS='\\n\\n' -v n="${{name%%=*}}" '$2 == n' $list; done
fi; true""",
        "apt-get": f"""\
case "$*" in
*indextargets*) cat {tmp_path}/archives;;
*update*) echo "$*" >> {tmp_path}/updates; [ ! -e {tmp_path}/offline ];;
esac""",
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "archives").touch()
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    monkeypatch.setattr(apt, "_KEYRING", keyring)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    return tmp_path


def updates(host):
    path = host / "updates"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    ("wanted", "release"),
    [(None, "6.12.117+deb12"), ("6.1", "6.1.9+deb12"), ("6.12.117", "6.12.117+deb12")],
)
def test_the_hosts_own_kernels_need_no_other_lists(host, wanted, release):
    kernel = debian.choose(wanted)
    assert kernel.release == f"{release}-amd64"
    assert debian.download_command(kernel)[1] == "-o"
    assert not updates(host)


def test_what_an_update_has_replaced_is_taken_from_it(host):
    """The headers depend on this version of linux-kbuild or a later one."""
    with (host / "shown" / "lists").open("a") as lists:
        for version in ("6.1.8-1", "6.1.9-4", "6.1.9-2"):
            lists.write(f"\n\nPackage: linux-kbuild-6.1.9+deb12\nVersion: {version}")
    command = debian.download_command(debian.choose("6.1"))
    assert command[-4:] == [
        "linux-headers-6.1.9+deb12-amd64=6.1.9-1",
        "linux-headers-6.1.9+deb12-common=6.1.9-1",
        "linux-kbuild-6.1.9+deb12=6.1.9-2",
        "linux-source-6.1=6.1.9-1",
    ]


def test_other_kernels_come_from_the_first_suite_that_has_them(host):
    kernel = debian.choose("7.3")
    assert (kernel.release, kernel.version) == ("7.3.4+deb13-amd64", "7.3.4-1~bpo13+1")
    assert kernel.source_package == "linux-source-7.3"
    assert len(updates(host)) == 3  # bookworm, trixie, trixie-backports
    folder = host / "cache" / "apt" / "trixie-backports"
    command = debian.download_command(kernel)
    assert command[:2] == ["apt-get", f"--config-file={folder}/apt.conf"]
    names = [name.split("=")[0] for name in command if name.endswith(f"={kernel.version}")]
    assert names == [
        "linux-image-7.3.4+deb13-amd64",
        *(f"linux-{part}-7.3.4+deb13-amd64" for part in PARTS),
        *("linux-headers-7.3.4+deb13-amd64", "linux-headers-7.3.4+deb13-common"),
        *("linux-kbuild-7.3.4+deb13", "linux-source-7.3"),
    ]


def test_a_suite_can_be_named(host):
    assert debian.choose("sid").release == "7.3.9+deb14-amd64"
    assert len(updates(host)) == 1
    with pytest.raises(TestBedError, match="trixie offers no kernel"):
        debian.choose("trixie")


def test_what_no_suite_has(host):
    with pytest.raises(UsageError, match=r"no kernel 7\.4; it offers 6\.12\.117.*7\.3\.4.*7\.3\.9"):
        debian.choose("7.4")
    assert len(updates(host)) == len(apt.SUITES)
    with pytest.raises(UsageError, match="none of bookworm, trixie"):
        debian.choose("nonsense")


def test_lists_serve_for_a_day_and_longer_without_a_network(host):
    apt.suite("sid")
    apt.suite("sid")
    assert len(updates(host)) == 1
    mark = host / "cache" / "apt" / "sid" / "updated"
    os.utime(mark, (time.time() - 1e5,) * 2)
    (host / "offline").touch()
    assert debian.choose("sid").release == "7.3.9+deb14-amd64"
    assert len(updates(host)) == 2
    (host / "offline").unlink()
    apt.suite("sid")
    apt.suite("sid")
    assert len(updates(host)) == 3


def test_without_lists_or_keyring_nothing_can_be_said(host, monkeypatch):
    (host / "offline").touch()
    with pytest.raises(TestBedError):
        debian.choose("7.3")
    monkeypatch.setattr(apt, "_KEYRING", host / "missing.gpg")
    with pytest.raises(TestBedError, match="debian-archive-keyring"):
        apt.suite("sid")


def test_archives_are_those_of_the_host_where_it_has_them(host):
    (host / "archives").write_text("http://x.test/ubuntu/\nhttp://mirror.test/debian/\n" * 2)
    apt.suite("bookworm")
    signed = f"deb [signed-by={host / 'keyring.gpg'}]"
    assert (host / "cache" / "apt" / "bookworm" / "sources.list").read_text() == (
        f"{signed} http://mirror.test/debian/ bookworm main\n"
        f"{signed} http://deb.debian.org/debian-security bookworm-security main\n"
    )


def unpacked(kernel, files):
    for path, text in {"usr/src/linux-headers-{}/Makefile": "", **files}.items():
        place = kernel.root / path.format(kernel.release)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    debian._link_old_places(kernel)
    debian._relocate_headers(kernel)


@pytest.mark.parametrize(
    "places",
    [
        ("boot/vmlinuz-{}", "boot/config-{}", "lib/modules/{}/kernel/veth.ko"),
        ("boot/vmlinuz-{}", "boot/config-{}", "usr/lib/modules/{}/kernel/veth.ko"),
        (*(f"usr/lib/modules/{{}}/{n}" for n in ("vmlinuz", "config", "kernel/veth.ko")),),
    ],
    ids=["6.1", "6.12 of trixie", "7.3"],
)
@pytest.mark.usefixtures("host")
def test_files_are_found_wherever_packages_put_them(places):
    kernel = debian.DebianKernel("7.3.4+deb13-amd64", "7.3.4-1~bpo13+1", "linux-source-7.3")
    unpacked(kernel, dict(zip(places, ("image", "config", "module"), strict=True)))
    assert kernel.image.read_text() == "image"
    assert kernel.config.read_text() == "config"
    assert (kernel.modules_folder / "kernel" / "veth.ko").read_text() == "module"


@pytest.mark.usefixtures("host")
def test_the_headers_are_used_where_they_are():
    kernel = debian.DebianKernel("7.3.4+deb13-amd64", "7.3.4-1~bpo13+1", "linux-source-7.3")
    text = "KBUILD_OUTPUT=/usr/src/linux-headers-x\ninclude /usr/src/linux-headers-y/Makefile\n"
    unpacked(kernel, {"usr/src/linux-headers-{}/Makefile": text})
    made = (kernel.headers / "Makefile").read_text()
    assert made == text.replace("/usr/src", f"{kernel.root}/usr/src")


def test_the_index_of_the_lists_is_kept(tmp_path, monkeypatch):
    """Where the host's apt keeps none, each question would make it read all the lists again."""
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path))
    assert apt.HOST.names("^dpkg$") == ["dpkg"]
    index = tmp_path / "apt" / "host" / "pkgcache.bin"
    made = index.stat()
    assert apt.HOST.show(["dpkg"])[0]["Package"] == "dpkg"
    assert (index.stat().st_ino, index.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


def listed(*words: str) -> int:
    parser = argparse.ArgumentParser()
    list_command.add(parser)
    options = parser.parse_args(["kernels", *words])
    return options.run(options)


def releases(kernels) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kernel in kernels:
        found.setdefault(kernel["suite"], []).append(kernel["release"])
    return found


@pytest.mark.usefixtures("host")
def test_the_kernels_of_all_suites_are_listed(capsys):
    debian.choose("sid").root.mkdir(parents=True)
    (debian.choose("sid").root / ".complete").touch()
    assert listed() == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[2:] for row in rows] == [
        *[["this", "host"]] * 2,
        *[["trixie-backports"]] * 2,
        ["sid", "here"],
    ]
    assert listed("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["unknown"] == {}
    assert releases(told["kernels"]) == {
        "this host": ["6.12.117+deb12-amd64", "6.1.9+deb12-amd64"],
        "trixie-backports": ["7.3.4+deb13-amd64", "7.2.12+deb13-amd64"],
        "sid": ["7.3.9+deb14-amd64"],
    }


def test_suites_whose_lists_cannot_be_had_are_said(host, capsys):
    (host / "offline").touch()
    assert listed("--json") == 125
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert set(releases(told["kernels"])) == {"this host"}
    assert set(told["unknown"]) == set(apt.SUITES)
    assert all(f"{suite}: its kernels are not known" in said.err for suite in apt.SUITES)


def test_two_kernels_as_they_are(host):
    pair = DebianPair("6.1", "7.3")
    assert pair.id == "debian-6.1.9-7.3.4"
    assert pair.label == "Debian 7.3.4+deb13-amd64 against 6.1.9+deb12-amd64"
    assert [line.split(":")[0] for line in pair.outlook(lambda _: None)] == list(VARIANTS)
    assert all("to be fetched" in line for line in pair.outlook(lambda _: None))
    for variant, wanted in zip(VARIANTS, ("6.1", "7.3"), strict=True):
        kernel = debian.choose(wanted)
        made = pair.build(variant, host / "log")
        assert (made.image, made.modules_folder) == (kernel.image, kernel.modules_folder)
        assert made.modules == ()
    with pytest.raises(UsageError, match=r"6\.12 and 6\.12\.117 are the same kernel"):
        DebianPair("6.12", "6.12.117")
