"""A hunt in a machine whose kernel has the fault of the incident."""

from __future__ import annotations

import json

import pytest

import gso

pytestmark = [
    pytest.mark.vm,
    pytest.mark.usefixtures("test_bed", "nothing_is_left_behind"),
]


def test_a_hunt_finds_the_fault_that_was_put_in(gso_kernel, tmp_path):
    # The seed's first stacks, whatever the machine's speed.
    stacks = [word for number in range(4) for word in ("--stack", str(number))]
    words = ["--unpatched", "--only", "ipvs-gue", "--seed", "1", "--for", "8m", *stacks]
    done = gso_kernel("hunt", *words, "--json", "--quiet", "--results", tmp_path / "r")
    found = json.loads(done.out)
    assert done.status == 1
    assert found["stacks"] == 4
    assert not found["lost"]
    assert found["findings"]
    for finding in found["findings"]:
        assert [layer["kind"] for layer in finding["stack"]["far"]] == ["ipvs-gue"]
        assert "drops in validate_xmit_skb" in finding["why"]
        (folder,) = (tmp_path / "r").glob(f"*/{finding['number']}-{finding['name']}")
        wire = gso.read_capture(folder / "wire.pcapng")
        assert len(wire.frames)
        assert all(len(frame) < 2100 for frame in wire.frames)
