"""The bytes of a result are those of its frames: none behind them, which nobody wrote."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import cases
import gso
from gso import Frames

SMALL = cases.case("plain", 4, "1448 + 12").frame
SUPER = cases.case("VXLAN", 4, "44 x 1448").frame
WAY = {"source": "192.0.2.1", "destination": "192.0.2.2"}


def batch(count: int) -> Frames:
    return Frames.from_list([SMALL] * count)


DOORS = {
    "encapsulate": lambda n: gso.encapsulate(batch(n), "gue", **WAY),
    "encapsulate, ethernet": lambda n: gso.encapsulate(batch(n), "vxlan", **WAY),
    "decapsulate": lambda n: gso.decapsulate(gso.encapsulate(batch(n), "gue", **WAY)),
    "segment": lambda _: gso.segment(SMALL, 1448),
    "segment_headers": lambda _: gso.segment_headers(SUPER, 1448).headers,
    "segment_batch": lambda n: gso.segment_batch(batch(n), 1448),
    "segment_batch, out": lambda n: gso.segment_batch(
        batch(n), 1448, out=bytearray(b"\xa5" * 4000 * (n + 1))
    ),
    "segment_batch, threads": lambda n: gso.segment_batch(batch(n), 1448, threads=2),
    "segment_batch, passed on": lambda n: gso.segment_batch([b"?"] * n, 1448, errors="pass"),
    "segment_headers_batch": lambda n: gso.segment_headers_batch(batch(n), 1448).headers,
    "coalesce": lambda n: gso.coalesce(gso.segment_batch(batch(n), 1448)),
    "a part of a larger buffer": lambda _: Frames(b"x" * 5000, [7, 9, 1000]),
    "take": lambda n: batch(n + 3).take([0] * n),
    "slice": lambda n: batch(n + 3)[1 : n + 1],
    "concat": lambda n: Frames.concat([batch(n), batch(2)]),
}


@pytest.mark.parametrize("count", [0, 1, 40])
@pytest.mark.parametrize("door", DOORS)
def test_no_byte_is_behind_the_frames(door, count):
    made = DOORS[door](count)
    size = int(made.offsets[-1])
    assert len(made.data) == made.data.nbytes == made.nbytes == size
    assert made.data.tobytes() == b"".join(made.to_list())
    assert np.diff(made.offsets).tolist() == made.lengths.tolist()
    assert pickle.loads(pickle.dumps(made)) == made
