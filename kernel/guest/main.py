"""Run the plan that the host left in this folder, and leave the results beside it.

Everything that the host needs to know goes through files: ``progress.jsonl`` grows while the
run goes on, ``results.json`` appears complete or not at all.
"""

from __future__ import annotations

import json
import platform
import subprocess
import time
import traceback
from pathlib import Path
from typing import Any

from . import applications, health, topology
from .capture import Tap
from .netns import device_counters, run
from .probes import Probes
from .traffic import Server, exchange
from .wire import Wire


class Run:
    """One boot: everything measured, cell by cell (a cell is one traffic through one scenario)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: dict[str, Any] = json.loads((folder / "plan.json").read_text())
        self.evidence = folder / "cells"
        self.evidence.mkdir(exist_ok=True)
        self.begun = time.monotonic()

    def progress(self, **event: Any) -> None:
        """Tell the host how far the run is."""
        event["seconds_since_start"] = round(time.monotonic() - self.begun, 3)
        with (self.folder / "progress.jsonl").open("a") as log:
            log.write(json.dumps(event) + "\n")

    def perform(self) -> dict[str, Any]:
        """Measure what the plan asks for: applications, or every cell of the scenarios."""
        if self.plan.get("applications"):
            return self.perform_applications()
        self.progress(stage="modules")
        modules = self.load_modules()
        self.progress(stage="topology")
        wire = topology.build(self.plan["scenarios"])
        self.progress(stage="probes")
        self.probes = Probes()
        self.server = Server(self.plan["scenarios"], self.plan["timeout"])
        self.taps: dict[str, Tap | Wire] = {
            "ingress": Tap(topology.DIRECTOR, topology.INGRESS),
            "mirror": Tap(topology.DIRECTOR, topology.MIRROR),
            "wire": wire,
        }
        packets = health.packets_allocated()
        cells = [
            self.cell(scenario, traffic)
            for scenario in self.plan["scenarios"]
            for traffic in self.plan["traffic"]
        ]
        return {
            "kernel": platform.release(),
            "version": platform.version(),
            "modules": modules,
            "probes": {"offsets": self.probes.offsets, "missing": self.probes.missing},
            "cells": cells,
            "packets_before": packets,
            "packets_after": health.packets_allocated(),
            "kmemleak": health.memory_leaks(),
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
        return {
            "kernel": platform.release(),
            "version": platform.version(),
            "modules": modules,
            "applications": applications.measure(self.plan["applications"], self.progress),
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
        # A small kernel has them built in and no list to find them in: the topology tells.
        subprocess.run(["modprobe", "--all", "--quiet", *topology.MODULES], check=False)
        return {
            name: Path(f"/sys/module/{name}/notes/.note.gnu.build-id").read_bytes()[16:].hex()
            for name in rebuilt
        }

    def cell(self, scenario: dict[str, Any], traffic: dict[str, Any]) -> dict[str, Any]:
        """Send one traffic through one scenario; keep its captures and its trace."""
        name = f"{scenario['name']}-{traffic['name']}"
        health.mark(f"scenario {scenario['name']}, traffic {traffic['name']}")
        self.probes.clear()
        for tap in self.taps.values():
            tap.drain(None)
        before = device_counters(topology.DIRECTOR)[topology.EGRESS]
        result = exchange(scenario, traffic, self.plan["timeout"])
        self.server.wait_idle()
        after = device_counters(topology.DIRECTOR)[topology.EGRESS]
        self.probes.save(self.evidence / f"{name}.trace")
        for kind, tap in self.taps.items():
            result[f"{kind}_frames"] = tap.drain(self.evidence / f"{name}.{kind}.frames")
        result.update(
            scenario=scenario["name"],
            traffic=traffic["name"],
            tx_dropped=after["tx_dropped"] - before["tx_dropped"],
            tx_packets=after["tx_packets"] - before["tx_packets"],
            server_retransmits=self.server.retransmits,
        )
        self.progress(stage="cell", result=result)
        return result


def main(folder: Path) -> int:
    """Perform the run; whatever goes wrong is written down as the result."""
    test = Run(folder)
    try:
        results = {"ok": True, **test.perform()}
    except Exception:  # the host must see every failure, and there is nobody else to tell
        results = {"ok": False, "error": traceback.format_exc()}
    results["seconds"] = round(time.monotonic() - test.begun, 3)
    partial = folder / "results.json.partial"
    partial.write_text(json.dumps(results))
    partial.rename(folder / "results.json")
    return 0 if results["ok"] else 1
