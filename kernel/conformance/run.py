"""One run: make packets, boot, send them, compare."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from gso.kernel import debian, vm
from gso.kernel.build import Bootable
from gso.kernel.conformance import odd, outcomes, packets
from gso.kernel.conformance.compare import Judged, judge
from gso.kernel.conformance.devices import DIRECT, Device, devices
from gso.kernel.conformance.packets import Packet
from gso.kernel.trace import Screen


_ODD = 0.8  # of the packets for the segmenting device


@dataclass(frozen=True)
class Options:
    """What is tried. The same seed and count make the same packets."""

    seed: int = 0
    count: int = 1000
    only: tuple[str, ...] = ()
    kernel: str | None = None
    timeout: float = 600.0


@dataclass(frozen=True)
class Compared:
    """``refused``: devices that this kernel would not make, and why."""

    kernel: str
    judged: list[Judged]
    refused: dict[str, str]


def compare(options: Options, screen: Screen) -> Compared:
    """Boot a kernel, send all packets through it, and judge every answer."""
    all_devices = devices()
    chosen = [
        number
        for number, device in enumerate(all_devices)
        if not options.only or any(name in device.kind for name in options.only)
    ]
    sent = list(_packets(options, all_devices, chosen))
    kernel = debian.choose(options.kernel)
    screen.stage(f"fetching Debian's kernel {kernel.release}")
    debian.fetch(kernel)
    with tempfile.TemporaryDirectory(prefix="gso-conformance-") as name:
        folder = Path(name)
        outcomes.write_packets(folder / "packets.bin", sent)
        plan = _plan(folder, all_devices, chosen)
        screen.stage(f"booting, and sending {len(sent)} packets")
        guest = vm.boot(
            Bootable(kernel.image, modules_folder=kernel.modules_folder),
            plan,
            folder / "vm",
            timeout=options.timeout,
            stop=folder / "stop",
        )
        screen.stage("comparing")
        judged = [
            judge(all_devices[outcome.device], outcome)
            for outcome in outcomes.read(folder / "vm", sent)
        ]
    kinds = {device.name: device.kind for device in all_devices}
    refused = {kinds[name]: why for name, why in guest["refused"].items()}
    return Compared(f"Debian {kernel.release}", judged, refused)


def _packets(
    options: Options, all_devices: list[Device], chosen: list[int]
) -> Iterator[tuple[int, Packet]]:
    r = Random(options.seed)  # noqa: S311
    direct = [number for number in chosen if all_devices[number].name == DIRECT]
    for number in range(options.count):
        # The segmenting device takes anything, and as much of it as all tunnels together.
        index = direct[0] if direct and number % 2 else chosen[number // 2 % len(chosen)]
        device = all_devices[index]
        if device.name == DIRECT and r.random() < _ODD:
            yield index, odd.make(r)
        else:
            yield index, packets.make(r, device)


def _plan(folder: Path, all_devices: list[Device], chosen: list[int]) -> dict[str, Any]:
    wanted = [asdict(device) for device in all_devices]
    for number, device in enumerate(wanted):
        if number not in chosen:
            device["ip"] = device["tc"] = ()
    return {
        "conformance": {
            "devices": wanted,
            "direct": DIRECT,
            "packets": str(folder / "packets.bin"),
        }
    }
