"""What is left of a scenario's evidence when it is judged."""

from __future__ import annotations

from dataclasses import replace

from gso.kernel.runs import follow
from gso.kernel.runs.boots import Measured
from gso.kernel.scenarios import SCENARIOS

KINDS = ("ingress", "mirror", "wire")


def refused(scenario, traffic) -> dict:
    counts = dict.fromkeys(("seconds", "mss", "retransmits", "tx_dropped", "tx_packets"), 0)
    said = {"scenario": scenario.name, "traffic": traffic.name, "refused": True, "error": "none"}
    return {**said, **counts, "upload_intact": False, "download_intact": False}


def test_frames_go_with_their_own_scenario_alone(tmp_path):
    first = SCENARIOS[0]
    both = [first, replace(first, name=f"{first.name}-seq")]
    for scenario in both:
        for traffic in scenario.traffic:
            (tmp_path / f"{scenario.name}-{traffic.name}.trace").touch()
            for kind in KINDS:
                (tmp_path / f"{scenario.name}-{traffic.name}.{kind}.frames").touch()
    for judged, scenario in enumerate(both, 1):
        cells = [refused(scenario, traffic) for traffic in scenario.traffic]
        found = follow._cells(scenario, Measured(tmp_path, "", cells))
        assert len(found) == len(scenario.traffic)
        left = {path.name for path in tmp_path.glob("*.frames")}
        assert left == {
            f"{other.name}-{traffic.name}.{kind}.frames"
            for other in both[judged:]
            for traffic in other.traffic
            for kind in KINDS
        }
