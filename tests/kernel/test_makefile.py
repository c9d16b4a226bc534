"""What makefiles in the kernel's style compile, and into which modules."""

from __future__ import annotations

import shutil

import pytest
from gso.kernel.trees.makefile import BUILT_IN, objects, option

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

MAKEFILE = """\
obj-$(CONFIG_GENEVE) += geneve.o
obj-$(CONFIG_BAREUDP) += \\
\tother.o bareudp.o
obj-$(CONFIG_IPV6) := ipv6.o
ipv6-objs := af_inet6.o
ipv6-$(CONFIG_SEG6) += seg6.o
obj-$(CONFIG_VXLAN) += vxlan.o sub/
vxlan-y := core.o sub/part.o
vxlan-$(CONFIG_GONE) += gone.o
obj-y += always.o
ifeq ($(CONFIG_IPV6),y)
obj-m += chosen.o
endif
"""
CONFIG = """\
CONFIG_GENEVE=m
CONFIG_IPV6=y
CONFIG_SEG6=y
CONFIG_VXLAN=m
# CONFIG_BAREUDP is not set
CONFIG_TEXT="with spaces"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "Makefile").write_text(MAKEFILE)
    (tmp_path / "config").write_text(CONFIG)
    return tmp_path / "net"


def test_make_says_what_becomes_of_each_object(folder, tmp_path):
    assert objects(folder, tmp_path / "config") == {
        "geneve.o": "geneve",
        **dict.fromkeys(("vxlan.o", "core.o", "sub/part.o"), "vxlan"),
        "chosen.o": "chosen",
        **dict.fromkeys(("ipv6.o", "af_inet6.o", "seg6.o", "always.o"), BUILT_IN),
    }
    assert [path.name for path in folder.iterdir()] == ["Makefile"]


def test_a_module_that_the_kernel_goes_without_can_be_had(folder, tmp_path):
    assert option(folder, "bareudp.o") == "CONFIG_BAREUDP"
    assert option(folder, "udp.o") is None
    found = objects(folder, tmp_path / "config", ["CONFIG_BAREUDP=m"])
    assert found["bareudp.o"] == "bareudp"


def test_a_folder_without_a_makefile_has_no_objects(tmp_path):
    assert objects(tmp_path, tmp_path / "config") == {}
