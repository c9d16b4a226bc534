"""What is built for a patch against Debian's kernel: modules, or a small whole kernel."""

from __future__ import annotations

import pytest
from gso.kernel.errors import TestBedError
from gso.kernel.trees import debian, modules
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


def test_what_no_kernel_is_made_of():
    names = ["MAINTAINERS", "Documentation/a.c", "tools/testing/selftests/net/a.sh", "net/a.c"]
    assert compiled(names) == ["net/a.c"]
    with pytest.raises(TestBedError, match=r"no kernel is made of Documentation/a\.rst"):
        modules.targets(KERNEL, {"Documentation/a.rst": b""})
