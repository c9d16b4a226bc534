"""Write the packets of a cell as a capture, for people and their tools."""

from __future__ import annotations

from pathlib import Path

from gso.kernel import guest_files
from gso.kernel.judging.evidence import Cell
from gso.kernel.judging.wire_check import super_packets
from gso.kernel.scenarios import Scenario

import gso
from gso.capture import Interface


def save_capture(scenario: Scenario, cell: Cell, path: Path) -> None:
    """Write the super-packets and the wire as one pcapng with an interface for each."""
    entries: list[tuple[int, int, bytes, str | None]] = [
        (p.time_ns, 0, p.frame, f"gso_size={p.gso_size}{' (reconstructed)' * p.reconstructed}")
        for p in super_packets(scenario, cell)
    ]
    entries += [(f.time_ns, 1, f.data, None) for f in cell.frames["wire"]]
    entries.sort(key=lambda entry: entry[0])
    times, interfaces, frames, comments = zip(*entries, strict=True) if entries else ((),) * 4
    guest_files.make_way(path)
    gso.write_capture(
        path,
        gso.Frames.from_list(list(frames)),
        timestamps=times,
        interface_ids=interfaces,
        interfaces=[Interface(name="super-packets"), Interface(name="wire")],
        comments=comments,
    )
