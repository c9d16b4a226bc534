"""TUN and TAP devices and packet sockets, as kernels of several versions give them, in VMs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import tracers
from gso.tun import Offload

GUEST = Path(__file__).with_name("doors_guest.py")
MODULES = "tun veth vxlan"
TSO = Offload.CSUM | Offload.TSO4 | Offload.TSO6 | Offload.TSO_ECN
USO = Offload.USO4 | Offload.USO6
UDP_TUNNELS = Offload.UDP_TUNNEL_GSO | Offload.UDP_TUNNEL_GSO_CSUM
OFFLOADS = {"6.1": TSO, "6.12": TSO | USO, "7.3": TSO | USO | UDP_TUNNELS}
"""What each kernel agrees to: USO is of Linux 6.2, tunnels in UDP are of 6.17."""
TCP = {"TCPV4", "TCPV6"}

pytestmark = pytest.mark.vm


@pytest.mark.parametrize(
    "version",
    ["6.12", *(pytest.param(v, marks=pytest.mark.on_demand) for v in ("6.1", "7.3"))],
)
def test_super_packets_come_and_go(test_bed, tmp_path, version):  # noqa: ARG001
    found = doors(tmp_path, version)
    assert list(found) == ["tun", "tap", "vxlan", "packet"]
    for kind, one in found.items():
        lost = kind == "packet" and not OFFLOADS[version] & USO
        for name, said in one["said"].items():
            assert said == ("" if lost and name.startswith("udp") else "intact"), one
        assert len(one["said"]) == 4
        assert [error for error in one["errors"] if "super-packet is lost" not in error] == []
        assert bool(one["errors"]) == lost, one
        assert set(one["seen"]) - {"NONE"} == super_packets(kind, OFFLOADS[version])
        # What was cut was merged again, as far as the device takes it
        merged = one["cut"] > one["written"]
        assert merged == bool(super_packets(kind, OFFLOADS[version]))
        if kind != "packet":
            assert one["asked"] == TSO | USO | UDP_TUNNELS
            assert one["offloads"] == OFFLOADS[version]
            assert one["header_size"] == (24 if OFFLOADS[version] & UDP_TUNNELS else 10)


def doors(folder: Path, version: str) -> dict[str, dict[str, Any]]:
    """What the guest says, by the kind of the devices."""
    said = tracers.said(folder, version, MODULES, [sys.executable, str(GUEST)], "kind")
    return {one["kind"]: one for one in said}


def super_packets(kind: str, offloads: Offload) -> set[str]:
    """The kinds of super-packets that devices of one kind hand over."""
    known = TCP | {"UDP_L4"} if offloads & USO else TCP
    if kind != "vxlan":
        return known
    return {f"{name} in UDP" for name in known} if offloads & UDP_TUNNELS else set()
