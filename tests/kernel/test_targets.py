"""What is built for a patch against Debian's kernel: modules, or a small whole kernel."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gso.kernel.errors import TestBedError
from gso.kernel.machine import tools
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs import baseline, doctor, verify
from gso.kernel.runs.baseline import Baseline
from gso.kernel.scenarios import Roles, select
from gso.kernel.trees import debian, modules
from gso.kernel.trees.build import SourceTree
from gso.kernel.trees.modules import NoModuleError, compiled
from gso.kernel.trees.patches import Variants
from gso.kernel.trees.targets import DebianTarget

FILE = "net/ipv6/seg6_iptunnel.c"
KERNEL = debian.DebianKernel("6.12.117+deb12-amd64", "6.12.117-1~deb12u1", "linux-source-6.12")


@pytest.fixture
def target(tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    whole.mkdir()
    for name, text in (("Kconfig", ""), ("Makefile", "VERSION = 6\n")):
        (whole / name).write_text(text)
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "choose", lambda _wanted: KERNEL)
    monkeypatch.setattr(debian, "fetch", lambda _kernel: None)
    monkeypatch.setattr(debian, "whole_source", lambda _kernel: whole)
    return DebianTarget(None)


def prepared(target) -> tuple[str, ...]:
    return target.prepare(lambda _: Variants({FILE: b"a\n"}, {FILE: b"b\n"}, ("applied",)))


def test_built_in_code_takes_a_whole_kernel_and_says_how_long(target, monkeypatch):
    def built_in(_kernel, files):
        raise NoModuleError(f"{', '.join(files)} is built into {KERNEL.release}")

    monkeypatch.setattr(modules, "targets", built_in)
    applied, why = prepared(target)
    assert applied == "applied"
    assert why.startswith(f"{FILE} is built into {KERNEL.release}; only a whole kernel shows")
    assert "minutes the first time" in why
    assert target.label.endswith("built small")


def test_modules_are_enough_where_the_code_is_in_them(target, monkeypatch):
    monkeypatch.setattr(modules, "targets", lambda _kernel, _files: ["ip6_tunnel"])
    assert prepared(target) == ("applied",)
    assert "small" not in target.label


# --- programs that are missing, said before anything is built -------------------------------------


def hide(monkeypatch, *programs: str) -> None:
    """Make these programs missing, and refuse every build."""
    which = shutil.which
    monkeypatch.setattr(
        tools.shutil,
        "which",
        lambda name, **more: None if name in programs else which(name, **more) or f"/bin/{name}",
    )
    monkeypatch.setattr(modules, "modules", lambda *_: pytest.fail("modules were built"))
    monkeypatch.setattr(SourceTree, "build", lambda *_: pytest.fail("a kernel was built"))


def verified(target, monkeypatch, tmp_path) -> dict[str, str]:
    """Verify a patch on this target alone; return the error."""

    def find(found, *_):
        steps = prepared(found)
        return Baseline(None, Roles(), tuple(select(("sit",))), ()), steps

    monkeypatch.setattr(baseline, "find", find)
    monkeypatch.setattr(verify.Options, "targets", lambda _: [target])
    options = verify.Options([], tmp_path / "results")
    report = verify.verify(options, TerminalScreen(quiet=True))
    assert report.exit_status == 125
    return report.kernels[0].error


@pytest.mark.parametrize("missing", [("pahole",), ("bc", "rsync"), ("make",), ("busybox",)])
def test_what_a_whole_kernel_lacks_is_said_before_it_is_built(
    target, monkeypatch, tmp_path, missing
):
    def built_in(_kernel, files):
        raise NoModuleError(f"{', '.join(files)} is built into {KERNEL.release}")

    monkeypatch.setattr(modules, "targets", built_in)
    hide(monkeypatch, *missing)
    error = verified(target, monkeypatch, tmp_path)
    assert error["stage"] == "set-up"
    assert all(program in error["message"] for program in missing)
    packages = {tool.package for tool in doctor.TOOLS if tool.program in missing}
    assert all(package in error["message"] for package in packages)


@pytest.mark.parametrize("missing", ["gcc", "readelf", "qemu-system-x86_64"])
def test_what_modules_lack_is_said_before_they_are_built(target, monkeypatch, tmp_path, missing):
    monkeypatch.setattr(modules, "targets", lambda _kernel, _files: ["ip6_tunnel"])
    monkeypatch.setattr(modules, "built", lambda _kernel, _files: False)
    hide(monkeypatch, missing)
    assert missing in verified(target, monkeypatch, tmp_path)["message"]


def test_what_is_built_already_needs_no_compiler(target, monkeypatch):
    monkeypatch.setattr(modules, "targets", lambda _kernel, _files: ["ip6_tunnel"])
    monkeypatch.setattr(modules, "built", lambda _kernel, _files: False)
    hide(monkeypatch, "gcc", "pahole")
    prepared(target)
    assert target.work() == "modules"
    with pytest.raises(TestBedError, match="not installed: gcc"):
        doctor.check(target.work())
    monkeypatch.setattr(modules, "built", lambda _kernel, _files: True)
    assert target.work() == ""
    doctor.check(target.work())


def test_a_whole_kernel_is_work_until_the_cache_has_both_variants(target, monkeypatch):
    kept: list[Path] = []

    def built_in(_kernel, files):
        raise NoModuleError(f"{', '.join(files)} is built into {KERNEL.release}")

    monkeypatch.setattr(modules, "targets", built_in)
    prepared(target)
    for files in target.changes():
        assert target.work() == "kernel"
        kept.append(target._tree._place(files) / "bzImage")
        kept[-1].parent.mkdir(parents=True)
        kept[-1].touch()
    assert len(set(kept)) == 2
    assert target.work() == ""


def test_what_no_kernel_is_made_of():
    names = ["MAINTAINERS", "Documentation/a.c", "tools/testing/selftests/net/a.sh", "net/a.c"]
    assert compiled(names) == ["net/a.c"]
    with pytest.raises(TestBedError, match=r"no kernel is made of Documentation/a\.rst"):
        modules.targets(KERNEL, {"Documentation/a.rst": b""})
