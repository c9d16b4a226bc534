"""How long packets were of which a capture has only the beginning."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.capture.format import Int64s

# Of an IP header: where its length field is, and the bytes that this does not count
_FIELDS = {4: (2, 0), 6: (4, 40)}


def missing_bytes(records: npt.NDArray[np.void]) -> Int64s:
    """For each packet, how many bytes of it the capture has not got."""
    gone = records["original"].astype(np.int64) - records["captured"]
    return np.asarray(np.maximum(gone, 0))


def add_missing(frames: Frames, info: npt.NDArray[Any], missing: Int64s) -> None:
    """Make the lengths in `info`, of PACKET_INFO_DTYPE, those of the whole packets.

    An IP header's own length counts where it can be right.
    """
    (which,) = ((missing > 0) & (info["length"] > 0)).nonzero()
    if not len(which):
        return
    start = frames.offsets[which] + info["network"][which]
    have = frames.offsets[which + 1] - start
    room = have + missing[which]
    version = frames.data[start] >> 4
    length = room.copy()
    for number, (at, uncounted) in _FIELDS.items():
        rows = np.flatnonzero(version == number)
        place = start[rows] + at
        field = frames.data[place].astype(np.int64) << 8 | frames.data[place + 1]
        told = np.where(field > 0, field + uncounted, room[rows])
        length[rows] = np.where(told <= room[rows], told, room[rows])
    more = np.where(length > have, length - have, 0)
    info["length"][which] += more
    info["payload"][which] += more * (info["protocol"][which] != 0)
