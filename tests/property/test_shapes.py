"""A batch has the layouts of its frames, whatever shapes came before."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
import packets
import vectorset
from effort import examples
from gso import Frames

FIELDS = 160  # bytes in which headers are
SEEDS = st.integers(0, (1 << 32) - 1)
VALUES = (0, 1, 4, 6, 17, 47, 0x3F, 0x40, 0x45, 0x46, 0x60, 0x80, 0xC0, 0xFF)


def changed(frame: bytes, choose: random.Random) -> bytes:
    """The frame, one field or its length being another."""
    made = bytearray(frame)
    how = choose.randrange(8)
    if how == 0:
        return bytes(made[: choose.randrange(len(made) + 1)])
    if how == 1:
        return bytes(made + choose.randbytes(choose.choice((1, 7, 300, 66_000))))
    if how > 2 and made:
        at = choose.randrange(min(len(made), FIELDS))
        made[at] = choose.choice((*VALUES, choose.randrange(256), made[at] ^ 1 << how))
    return bytes(made)


def one_by_one(frames: list[bytes], **options) -> bytes:
    return b"".join(gso.parse_batch([one], errors="mark", **options).tobytes() for one in frames)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(packets.frames(), min_size=1, max_size=6), SEEDS)
def test_frames_that_differ_little_from_others(some, seed):
    choose = random.Random(seed)
    link = some[0][1]
    frames = [frame for frame, one in some if one == link]
    frames += [changed(choose.choice(frames), choose) for _ in range(60)]
    options = {"link_type": link, "tunnel_ports": packets.PORTS}
    rows = gso.parse_batch(Frames.from_list(frames), errors="mark", **options)
    assert rows.tobytes() == one_by_one(frames, **options)


@settings(max_examples=examples(20), deadline=None)
@given(SEEDS)
def test_packets_of_a_kernel_and_others_like_them(seed):
    choose = random.Random(seed)
    known = [vectorset.frame(record) for record in vectorset.generated()]
    frames = []
    for frame in choose.sample(known, 30):
        frames += [frame] + [changed(frame, choose) for _ in range(choose.choice((0, 2, 40)))]
    frames += [choose.choice(known) for _ in range(300)]
    options = {"tunnel_ports": vectorset.PORTS}
    rows = gso.parse_batch(Frames.from_list(frames), errors="mark", **options)
    assert rows.tobytes() == one_by_one(frames, **options)
