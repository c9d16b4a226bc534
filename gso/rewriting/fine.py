"""The packets of a capture that need no careful look, told at memory speed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gso.capture import Capture
from gso.headers._fine import fine_frames
from gso.headers.tunnels import TunnelPorts

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Looked:
    """The facts known of each packet at once: arrays of shape (n,).

    Attributes:
        fine: packets that are whole in the capture, and in which nothing is wrong.
        cut: packets that the capture cut.
        fragments: packets that may be fragments of an IP packet.
        alike: a number for each whole packet in which nothing is wrong but checksums that are left
            to a device, up to what is not followed; 0 for the others. Of packets of one link type
            and number the same is said.
    """

    fine: Bools
    cut: Bools
    fragments: Bools
    alike: npt.NDArray[np.uint64]


def look(
    batch: Capture,
    tunnel_ports: TunnelPorts | None,
    *,
    mtu: int | None = None,
    tunnels: Counter[tuple[int, str]] | None = None,
) -> Looked:
    """Look at each packet of a capture; the arguments are those of `fine_frames`."""
    cut = batch.frames.lengths < batch.original_lengths
    fine, fragments = np.zeros(len(batch), np.bool_), np.zeros(len(batch), np.bool_)
    alike = np.zeros(len(batch), np.uint64)
    types = _link_types(batch)
    for link_type in set(types.tolist()):
        which = np.flatnonzero(types == link_type)
        frames = batch.frames if len(which) == len(batch) else batch.frames[which]
        pieces, waiting = np.zeros(len(which), np.bool_), np.zeros(len(which), np.uint64)
        words: Any = {"tunnel_ports": tunnel_ports, "mtu": mtu, "tunnels": tunnels}
        fine[which] = fine_frames(frames, link_type, fragments=pieces, alike=waiting, **words)
        fragments[which], alike[which] = pieces, waiting
    return Looked(fine & ~cut, cut, fragments, alike * ~cut)


def _link_types(batch: Capture) -> npt.NDArray[np.str_]:
    """Return the link type of each packet.

    Only interfaces that have packets here are asked: a file may describe many thousand of them,
    one before each packet, and a piece of it knows all that came before.
    """
    ids, places = np.unique(batch.interface_ids, return_inverse=True)
    return np.array([batch.interfaces[i].link_type for i in ids], np.str_)[places]
