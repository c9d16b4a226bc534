"""Run the plan that the host put into one folder, and leave the evidence in another.

How the run goes, and at last how it went, is told in lines through a port.
"""

from __future__ import annotations

import json
import os
import platform
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import (
    applications,
    check,
    conformance_gro,
    conformance_tunnels,
    conformance_types,
    coverage,
    datagrams,
    health,
    hunt,
    shell,
    topology,
)
from .capture import Tap
from .counters import Counters, grown
from .datagrams import DatagramServer
from .entries import Entries
from .netns import device_counters, run
from .port import Port
from .probes import Probes
from .traffic import Server, exchange
from .wire import Wire

_LONGEST_ERROR = 4000
_PARTS = {
    "tunnels": conformance_tunnels.perform,
    "gro": conformance_gro.perform,
    "types": conformance_types.perform,
}


class Run:
    """One boot: everything measured, cell by cell (a cell is one traffic through one scenario)."""

    def __init__(self, given: Path, folder: Path) -> None:
        self.folder = folder
        self.plan = read_plan(given)
        self.evidence = folder / "cells"
        self.evidence.mkdir(exist_ok=True)
        self.port = Port(self.plan["port"])
        self.begun = time.monotonic()

    def progress(self, **event: Any) -> None:
        """Tell the host how far the run is."""
        self.port.tell(**event, seconds_since_start=round(time.monotonic() - self.begun, 3))

    def perform(self) -> dict[str, Any]:
        """Measure what the plan asks for, and return what is to be told at the end."""
        if self.plan.get("applications"):
            return self.perform_applications()
        for name, part in _PARTS.items():
            if self.plan.get(name):
                plan = {**self.plan[name], "modules": self.plan["modules"]}
                return part(self.folder, plan, self.progress)
        if self.plan.get("hunt"):
            self.load_modules()
            return hunt.perform(self.folder, self.plan["hunt"], self.progress)
        if self.plan.get("shell"):
            return {"modules": self.load_modules(), "status": shell.perform(self.plan, self.folder)}
        scenarios = self.plan["scenarios"]
        self.progress(stage="modules")
        modules = self.load_modules()
        self.entries = Entries(self.plan.get("functions", []))
        for name, watched in self.entries.watched.items():
            self.progress(stage="functions", watched={name: watched})
        self.progress(stage="topology")
        self.wire, self.refused = topology.build(scenarios)
        if "console" in self.plan:
            shell.offer([s for s in scenarios if s["name"] not in self.refused])
        self.progress(stage="probes")
        self.probes = Probes()
        self.open_taps_and_servers([s for s in scenarios if s["name"] not in self.refused])
        self.progress(stage="traffic", entries=self.entries.new())
        packets = health.packets_allocated()
        for scenario in scenarios:
            self.cells(scenario)
        self.progress(stage="leaks")
        health.save_leaks(self.folder / "kmemleak.log")
        return {
            "kernel": platform.release(),
            "version": platform.version(),
            "modules": modules,
            "probes": {"offsets": self.probes.offsets, "missing": self.probes.missing},
            "cpus": os.cpu_count(),
            "packets_before": packets,
            "packets_after": health.packets_allocated(),
            "uptime": float(Path("/proc/uptime").read_text().split()[0]),
        }

    def perform_applications(self) -> dict[str, Any]:
        """Run the real applications, in a topology of their own."""
        self.progress(stage="modules")
        modules = self.load_modules()
        self.progress(stage="probes")
        probes = Probes()
        # They go on to count: that the segmenter was met must be proved here, too.
        probes.pause()
        measured = applications.measure(self.plan["applications"], self.progress)
        (self.folder / applications.MEASURED).write_text(json.dumps(measured))
        return {
            "kernel": platform.release(),
            "version": platform.version(),
            "modules": modules,
            "uptime": float(Path("/proc/uptime").read_text().split()[0]),
        }

    def load_modules(self) -> dict[str, str]:
        """Load the rebuilt modules in place of the distribution's, and prove which ones run."""
        rebuilt = {Path(path).stem: path for path in self.plan["modules"]}
        for path in rebuilt.values():
            for needed in run(["modinfo", "-F", "depends", path]).strip().split(","):
                if needed and needed not in rebuilt:
                    run(["modprobe", needed])
            run(["insmod", path])
        topology.load_modules(self.plan.get("scenarios", []))
        return {
            name: Path(f"/sys/module/{name}/notes/.note.gnu.build-id").read_bytes()[16:].hex()
            for name in rebuilt
        }

    def open_taps_and_servers(self, scenarios: list[dict[str, Any]]) -> None:
        """Listen on the worker, and at the places where packets are watched."""
        tcp = [s for s in scenarios if not _is_udp(s)]
        udp = [s for s in scenarios if _is_udp(s)]
        self.server = Server(tcp, self.plan["timeout"])
        self.datagram_server = DatagramServer(udp)
        self.taps = {bare: _taps(bare) for bare in {_bare(s) for s in scenarios}}

    def cells(self, scenario: dict[str, Any]) -> None:
        """Measure all traffic of a scenario, with what it changes changed for that time."""
        if scenario["name"] in self.refused:
            for traffic in scenario["traffic"]:
                self.refused_cell(scenario, traffic)
            return
        taps: dict[str, Tap | Wire] = {**self.taps[_bare(scenario)], "wire": self.wire}
        far = None
        device = scenario["worker_device"]
        if not device.startswith(topology.WORKER_END):
            # A device of its own instead of the wire: what arrives there is what was sent.
            far = taps["wire"] = Tap(topology.WORKER, device, bare=_bare(scenario))
        with ExitStack() as undo:
            for change in scenario["during"]:
                topology.change(change["machine"], change["do"])
                undo.callback(topology.change, change["machine"], change["undo"])
            for traffic in scenario["traffic"]:
                self.cell(scenario, traffic, taps)
        if far:
            far.close()

    def refused_cell(self, scenario: dict[str, Any], traffic: dict[str, Any]) -> None:
        """Report that nothing could be sent, because the kernel refused the set-up."""
        for kind in ("trace", "ingress.frames", "mirror.frames", "wire.frames"):
            (self.evidence / f"{scenario['name']}-{traffic['name']}.{kind}").touch()
        result: dict[str, Any] = {
            **{"scenario": scenario["name"], "traffic": traffic["name"]},
            **{"refused": True, "error": self.refused[scenario["name"]]},
            **{"upload_intact": False, "download_intact": False},
            **dict.fromkeys(("seconds", "mss", "retransmits", "tx_dropped", "tx_packets"), 0),
        }
        self.progress(stage="cell", result=result)

    def cell(
        self, scenario: dict[str, Any], traffic: dict[str, Any], taps: dict[str, Tap | Wire]
    ) -> None:
        """Send one traffic through one scenario; keep its captures and its trace."""
        name, egress = f"{scenario['name']}-{traffic['name']}", scenario["egress"]
        health.mark(f"scenario {scenario['name']}, traffic {traffic['name']}")
        self.probes.clear()
        for tap in taps.values():
            tap.forget()
        before = device_counters(topology.DIRECTOR)[egress]
        counters = Counters(topology.DIRECTOR, egress, topology.WORKER)
        counts = counters.read()
        if traffic["datagram"]:
            result = datagrams.exchange(scenario, traffic)
            retransmits = 0
        else:
            result = exchange(scenario, traffic, self.plan["timeout"])
            self.server.wait_idle()
            retransmits = self.server.retransmits
        after = device_counters(topology.DIRECTOR)[egress]
        more = grown(counts, counters.read())
        self.probes.save(self.evidence / f"{name}.trace")
        # The size of datagrams tells their super-packets apart, where there are any.
        size = traffic["datagram"] if traffic["segmented"] else 0
        for kind, tap in taps.items():
            frames = self.evidence / f"{name}.{kind}.frames"
            result[f"{kind}_frames"] = tap.drain(frames, size)
        result.update(
            scenario=scenario["name"],
            traffic=traffic["name"],
            tx_dropped=after["tx_dropped"] - before["tx_dropped"],
            tx_packets=after["tx_packets"] - before["tx_packets"],
            server_retransmits=retransmits,
            refusals={name: more[name] for name in scenario["refusals"]},
            entries=self.entries.new(),
        )
        self.progress(stage="cell", result=result)


def _is_udp(scenario: dict[str, Any]) -> bool:
    return bool(scenario["traffic"][0]["datagram"])


def _bare(scenario: dict[str, Any]) -> bool:
    """Whether a virtio_net_hdr may have no word for its super-packets."""
    return _is_udp(scenario) or scenario["protocol"] == "sctp"


def _taps(bare: bool) -> dict[str, Tap]:
    return {
        "ingress": Tap(topology.DIRECTOR, topology.INGRESS, bare=bare),
        "mirror": Tap(topology.DIRECTOR, topology.MIRROR, bare=bare),
    }


def start(given: Path, arguments: list[str]) -> int:
    """Do what the command line says: the run of the plan, unless it names something else."""
    if arguments[0] == "send":
        return shell.send(given, arguments[1:])
    if arguments[0] == "shell":
        return shell.perform(read_plan(given), home=given)
    if arguments[0] == "check":
        return check.perform(read_plan(given), given)
    return main(given, Path(arguments[0]))


def read_plan(given: Path) -> dict[str, Any]:
    """Return what the host wants."""
    plan: dict[str, Any] = json.loads((given / "plan.json").read_text())
    return plan


def main(given: Path, folder: Path) -> int:
    """Perform the run; whatever goes wrong is told at the end."""
    test = Run(given, folder)
    attended = "console" in test.plan
    if attended or "shell" in test.plan:
        shell.move_in(given)
    try:
        told = {"ok": True, **test.perform()}
        if "coverage" in test.plan:
            coverage.save(folder, test.plan["coverage"])
    except Exception:  # the host must see every failure
        told = {"ok": False, "error": traceback.format_exc()[-_LONGEST_ERROR:]}
    test.port.tell(stage="end", **told, seconds=round(time.monotonic() - test.begun, 3))
    if attended and told["ok"]:
        shell.attend(folder, test.plan)
    return 0 if told["ok"] else 1
