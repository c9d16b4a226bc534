"""examples/gue_gateway.py and the kernel's own GUE, as the two ends of one tunnel, in a VM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tracers
from programs import EXAMPLES

GUEST = Path(__file__).with_name("gateway_guest.py")
MODULES = "fou fou6 ipip sit ip6_tunnel veth tun"
SEGMENT = 1400
"""Payload bytes of a full packet are fewer."""

pytestmark = pytest.mark.vm


@pytest.mark.parametrize(
    "version",
    ["6.12", *(pytest.param(v, marks=pytest.mark.on_demand) for v in ("6.1", "7.3"))],
)
def test_it_talks_to_the_kernel_s_own(test_bed, tmp_path, version):  # noqa: ARG001
    command = [sys.executable, str(GUEST), str(EXAMPLES / "gue_gateway.py")]
    found = tracers.said(tmp_path, version, MODULES, command, "outer")
    assert [(one["outer"], one["inner"]) for one in found] == [(4, 4), (4, 6), (6, 4), (6, 6)]
    for one in found:
        assert one["intact"], one
        counts = one["counts"]
        assert min(counts["sent"], counts["received"]) > 2 * one["bytes"] / SEGMENT
        assert not counts.get("not understood"), counts
