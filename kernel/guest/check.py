"""Each scenario twice on the kernel that runs here: without segmentation, and with it.

What arrives without must arrive with it. Nothing is traced, so that users without rights can ask:
what is lost or damaged shows in what arrives, and in counters of the namespaces.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import topology
from .capture import Tap
from .complaints import complaints
from .counters import Counters, grown
from .netns import SetupError
from .records import GSO_ECN, VIRTIO_NET_HDR
from .traffic import Server, exchange

RESULTS = "check.json"
_NO_TOPOLOGY = 125
_EXCHANGE_SECONDS = 8.0

# The machine, and how nothing there is left to be segmented: nothing is made or merged.
_SEGMENTATION = (
    (topology.CLIENT, "ethtool -K c0 gso {}"),
    (topology.DIRECTOR, f"ethtool -K {topology.INGRESS} gro {{}}"),
)


def perform(plan: dict[str, Any], left: Path) -> int:
    """Measure all scenarios of the plan, and leave the results; return the exit status."""
    scenarios = plan["scenarios"]
    try:
        _, refused = topology.build(scenarios, strict=False)
    except (SetupError, OSError) as error:
        print(f"gso-kernel: the topology cannot be set up: {error}", file=sys.stderr)
        return _NO_TOPOLOGY
    there = [s for s in scenarios if s["name"] not in refused]
    server = Server(there, _EXCHANGE_SECONDS)
    tap = Tap(topology.DIRECTOR, topology.INGRESS)
    found = {name: {"refused": why} for name, why in refused.items()}
    found |= {s["name"]: _measured(s, server, tap, plan) for s in there}
    (left / RESULTS).write_text(json.dumps(found))
    return 0


def _measured(
    scenario: dict[str, Any], server: Server, tap: Tap, plan: dict[str, Any]
) -> dict[str, Any]:
    """Return the control runs, and those with segmentation until one has nothing to complain of.

    A second control says whether what was wrong between them went with segmentation, or with time.
    """
    traffic = next(t for t in scenario["traffic"] if t["name"] == plan["traffic"])
    with ExitStack() as undo:
        try:
            _change(scenario["during"], undo)
            controls = [_without(scenario, traffic, server, tap)]
        except SetupError as error:
            return {"refused": str(error).replace("\n", "; ")}
        runs = []
        for _ in range(plan["attempts"]):
            runs.append(_run(scenario, traffic, server, tap))
            if not complaints(controls, runs[-1]):
                break
        else:
            controls.append(_without(scenario, traffic, server, tap))
    return {"controls": controls, "runs": runs}


def _change(changes: list[dict[str, Any]], undo: ExitStack) -> None:
    for change in changes:
        topology.change(change["machine"], change["do"])
        undo.callback(topology.change, change["machine"], change["undo"])


def _without(
    scenario: dict[str, Any], traffic: dict[str, Any], server: Server, tap: Tap
) -> dict[str, Any]:
    with ExitStack() as undo:
        for machine, command in _SEGMENTATION:
            topology.change(machine, command.format("off"))
            undo.callback(topology.change, machine, command.format("on"))
        return _run(scenario, traffic, server, tap)


def _run(
    scenario: dict[str, Any], traffic: dict[str, Any], server: Server, tap: Tap
) -> dict[str, Any]:
    tap.forget()
    before, begun = _counters(scenario), time.monotonic()
    result = exchange(scenario, traffic, _EXCHANGE_SECONDS)
    server.wait_idle()
    after = _counters(scenario)
    return {
        **result,
        "seconds": round(time.monotonic() - begun, 4),
        "super_packets": sum(_is_super(header) for _, header, _ in tap.arrived()),
        "counters": grown(before, after),
    }


def _is_super(header: bytes) -> bool:
    return bool(VIRTIO_NET_HDR.unpack(header)[1] & ~GSO_ECN)


def _counters(scenario: dict[str, Any]) -> dict[str, int]:
    return Counters(topology.DIRECTOR, scenario["egress"], topology.WORKER).read()
