"""Runs of frames of one flow: whatever differs from one to the next, each is segmented as alone.

They come in one batch, or in a call each. The frames are those that a kernel segmented, one of each
tunnel device and transport.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

import gso
from effort import some
from gso import Frames, GsoError, GsoType
from vectorset import PORTS, frame, records

FLIPS = (0x01, 0x10, 0xFF)
FEW = dict(list(PORTS.items())[:7])
"""No plan is kept of a call with more than eight ports."""


def one_of_each():
    chosen = {}
    for r in records():
        if not r["dropped"] and r["input"]["gso_size"] > 8 and 256 <= len(frame(r)) < 5000:
            kind = r["config"], r["inner_l4"], r["inner_family"]
            chosen.setdefault(kind, (frame(r), r["input"]["gso_size"], r["input"]["gso_type"]))
    return list(chosen.values())


KINDS = one_of_each()
CASES = some(KINDS)


def alone(one, size, *, link_type="ethernet", tunnel_ports=PORTS, **options):
    """The segments, or the frame itself; with a layout of its own, so of no kept plan."""
    try:
        layout = gso.parse(one, link_type=link_type, tunnel_ports=tunnel_ports)
        return gso.segment(one, size, layout=layout, tunnel_ports=tunnel_ports, **options).to_list()
    except GsoError:
        return [one]


def call(one, size, **options):
    try:
        return gso.segment(one, size, **{"tunnel_ports": FEW, **options}).to_list()
    except GsoError:
        return [one]


def call_for_headers(one, size, **options):
    try:
        headers, payload = gso.segment_headers(one, size, **{"tunnel_ports": FEW, **options})
    except GsoError:
        return [one]
    pieces = (one[start : start + n] for start, n in payload.tolist())
    return [bytes(head) + piece for head, piece in zip(headers, pieces, strict=True)]


def together(frames, size, **options):
    segments = gso.segment_batch(
        Frames.from_list(frames), size, tunnel_ports=PORTS, errors="pass", **options
    )
    found = [[] for _ in frames]
    for parent, segment in zip(segments.parent.tolist(), segments.to_list(), strict=True):
        found[parent].append(segment)
    return found


def flipped(one, at, bits):
    return one[:at] + bytes([one[at] ^ bits]) + one[at + 1 :]


def check(frames, size, **options):
    threads = options.pop("threads", 1)
    # Most frames of a run are the same one.
    segments = cache(lambda one: alone(one, size, **options))
    expected = map(segments, frames)
    found = together(frames, size, threads=threads, **options)
    for number, (mine, wanted) in enumerate(zip(found, expected, strict=True)):
        assert mine == wanted, f"frame {number} of {len(frames)}"


def test_there_are_many_cases():
    assert len(KINDS) > 100


@pytest.mark.parametrize("bits", FLIPS)
@pytest.mark.parametrize("checksum", ["complete", "partial"])
def test_every_byte_of_the_headers(checksum, bits):
    for one, size, _ in CASES:
        frames = [one]
        for at in range(gso.parse(one, tunnel_ports=PORTS).payload):
            frames += [flipped(one, at, bits), one]
        check(frames, size, checksum=checksum)


@pytest.mark.parametrize("threads", [2, 3])
def test_frames_that_are_measured_first(threads):
    for one, size, _ in CASES:
        headers = gso.parse(one, tunnel_ports=PORTS).payload
        frames = [one] + [flipped(one, at, 0xFF) for at in range(headers)] + [one] * 3
        check(frames, size, threads=threads)


@pytest.mark.parametrize("extra", [0, GsoType.TCP_FIXEDID, GsoType.PARTIAL, GsoType.TCP_ACCECN])
def test_types_given_by_the_caller(extra):
    for one, size, gso_type in CASES:
        headers = gso.parse(one, tunnel_ports=PORTS).payload
        frames = [one] + [flipped(one, at, 0x03) for at in range(headers)] + [one]
        check(frames, size, gso_type=gso_type | extra)


def test_lengths():
    for one, size, _ in CASES:
        headers = gso.parse(one, tunnel_ports=PORTS).payload
        ends = [len(one), headers + size + 1, headers + size, headers, headers - 1, 255, 256, 257]
        frames = [one[:end] for end in ends for _ in range(2)] + [one]
        check(frames, size)


def test_sizes_and_types_of_their_own():
    for one, size, gso_type in CASES:
        sizes = [size, size, size - 1, 0, size, size, size - 8, size - 8]
        types = [gso_type, gso_type, gso_type, gso_type, gso_type, 0, gso_type, gso_type]
        segments = gso.segment_batch(
            Frames.from_list([one] * len(sizes)), sizes, gso_type=types, tunnel_ports=PORTS
        )
        expected = [
            segment
            for n, kind in zip(sizes, types, strict=True)
            for segment in gso.segment(one, n, gso_type=kind, tunnel_ports=PORTS).to_list()
        ]
        assert segments.to_list() == expected


# So many calls on frames of one flow, and the plan of the last one was kept.
ENOUGH = 17
CALLS = {"segment": call, "segment_headers": call_for_headers}


@pytest.fixture(params=CALLS)
def one_call(request):
    return CALLS[request.param]


def test_every_byte_of_the_headers_in_calls_of_their_own(one_call):
    for one, size, _ in CASES:
        wanted = alone(one, size, tunnel_ports=FEW)
        for at in range(gso.parse(one, tunnel_ports=FEW).payload):
            other = flipped(one, at, FLIPS[at % len(FLIPS)])
            for _ in range(ENOUGH):
                assert one_call(one, size) == wanted
            assert one_call(other, size) == alone(other, size, tunnel_ports=FEW), at
            assert one_call(one, size) == wanted, at


def test_lengths_and_flags_in_calls_of_their_own(one_call):
    for one, size, _ in CASES:
        headers = gso.parse(one, tunnel_ports=FEW).payload
        ends = [len(one), headers + size + 1, headers + size, headers, headers - 1, 255, 256, 257]
        for end in (*ends, *reversed(ends)):
            for cut in [one[:end]] * 3:
                assert one_call(cut, size) == alone(cut, size, tunnel_ports=FEW)


def test_other_arguments_in_calls_of_their_own(one_call):
    """Each argument says anew what the same bytes are, and what is to be made of them."""
    plain = dict.fromkeys(FEW)
    for one, size, gso_type in CASES:
        changes = [
            {"checksum": "partial"},
            {"tunnel_ports": None},
            {"tunnel_ports": plain},
            {"tunnel_ports": PORTS},
            {"link_type": "raw"},
            {"kernel": "7.3"},
            {"gso_type": gso_type},
            {"gso_type": GsoType.PARTIAL},
            {"gso_type": 1 << 30},
        ]
        for change in changes:
            for options in ({}, change, {}):
                wanted = alone(one, size, **{"tunnel_ports": FEW, **options})
                for _ in range(ENOUGH):
                    assert one_call(one, size, **options) == wanted, change
        for other in (size, size - 1, 0, size, size - 8, -1, size):
            wanted = alone(one, other, tunnel_ports=FEW)
            for _ in range(ENOUGH):
                assert one_call(one, other) == wanted, other


def test_calls_inside_a_call():
    """An object that is asked for its bytes segments others meanwhile, and more inside of these."""

    class Nested:
        def __init__(self, one, size, inside):
            self.one, self.size, self.inside = one, size, inside

        def __bytes__(self):
            if self.inside:
                found.append((self, gso.segment(self.inside, self.inside.size, tunnel_ports=FEW)))
            return self.one

    for outer, inner in zip(CASES, CASES[1:] + CASES[:1], strict=True):
        found = []
        nested = Nested(*outer[:2], Nested(*inner[:2], Nested(*outer[:2], None)))
        for _ in range(2):
            segments = gso.segment(nested, nested.size, tunnel_ports=FEW)
            found.append((Nested(None, None, nested), segments))
        for at, segments in found:
            assert segments.to_list() == alone(at.inside.one, at.inside.size, tunnel_ports=FEW)


def test_calls_of_threads():
    """With results so large that the GIL is released, each thread with its own flow."""
    frames = [
        (one[: gso.parse(one, tunnel_ports=FEW).payload] + bytes(200) * size, size)
        for one, size, _ in CASES[:4]
    ]

    def work(case):
        return [gso.segment(*case, tunnel_ports=FEW).to_list() for _ in range(20)]

    expected = [[alone(*case, tunnel_ports=FEW)] * 20 for case in frames]
    with ThreadPoolExecutor(len(frames)) as pool:
        assert list(pool.map(work, frames)) == expected


def test_last_segments():
    """Whatever the last segment's length and flags are, and were in the frame before."""
    for one, size, _ in CASES:
        layout = gso.parse(one, tunnel_ports=PORTS)
        if layout.l4 != gso.L4.TCP:
            continue
        th = layout.inner_transport_header or layout.transport_header
        payload = one[layout.payload :] * 4
        wraps = one[: th + 4] + b"\xff\xff\xff\x00" + one[th + 8 : layout.payload]
        frames = []
        for pieces in (1, 2, 1, 3):
            for rest in (12, 12, size, size, 13, 12):
                for bits in (0x00, 0x00, 0x80, 0x09):  # CWR; PSH and FIN
                    frames.append(flipped(wraps, th + 13, bits) + payload[: pieces * size + rest])
        check(frames, size)
