"""coalesce and the plain-Python reference merge the same frames, and nothing is lost."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gso
import handmade
import packets
import reference
from effort import examples
from gso import Frames, GsoError, GsoType
from gso.buffers._spans import Spans

SYN, RST, URG = 0x02, 0x04, 0x20


def ordinary(head, link):
    """The same headers, without the flags that no segment of a stream has."""
    head = bytearray(head)
    walk = reference.Walk(bytes(head), link_type=link, tunnel_ports=packets.PORTS)
    for header in walk.headers:
        if header.kind == "4":
            head[header.offset + 6 : header.offset + 8] = b"\x40\0"
    if walk.l4 == 6:
        head[walk.l4_header + 13] &= 0xFF & ~(SYN | RST | URG)
    return bytes(head)


@st.composite
def flow(draw, link):
    """The segments of one super-packet."""
    head, kind = draw(packets.headers())
    assume(kind == link)
    if draw(st.booleans()):
        head = ordinary(head, link)
    payload = draw(st.binary(min_size=1, max_size=8)) * draw(st.sampled_from([3, 10, 30]))
    size = draw(st.sampled_from([1, 7, 8, 16, 29, 29]))
    choice = draw(st.sampled_from([None, None, None, GsoType.TCP_FIXEDID]))
    try:
        made = gso.segment(
            head + payload, size, gso_type=choice, link_type=link, tunnel_ports=packets.PORTS
        ).to_list()
    except GsoError:
        made = gso.segment(head, 0, link_type=link, tunnel_ports=packets.PORTS).to_list()
    return made[:70]


@st.composite
def harmed(draw, frame):
    """A frame with a header or payload byte changed, made shorter, or longer."""
    frame = bytearray(frame)
    for _ in range(draw(st.integers(1, 2))):
        frame[draw(st.integers(0, len(frame) - 1))] ^= 1 << draw(st.integers(0, 7))
    frame += bytes(draw(st.sampled_from([0, 0, 2])))
    frame = bytes(frame)
    if draw(st.booleans()):  # with a right checksum the change has to be seen itself
        try:
            return bytes(gso.segment(frame, 0, tunnel_ports=packets.PORTS)[0])
        except GsoError:
            pass
    return frame


@st.composite
def traffic(draw):
    """Segments of a few flows, mixed, swapped, repeated and damaged."""
    link = draw(st.sampled_from(["ethernet", "ethernet", "ethernet", "raw"]))
    flows = draw(st.lists(flow(link), min_size=1, max_size=3))
    frames = []
    while any(flows):
        source = draw(st.sampled_from([one for one in flows if one]))
        count = draw(st.integers(1, len(source)))
        frames += source[:count]
        del source[:count]
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        place = draw(st.integers(0, len(frames) - 1))
        kind = draw(st.sampled_from(["swap", "repeat", "harm", "drop"]))
        if kind == "swap":
            frames[place], frames[place - 1] = frames[place - 1], frames[place]
        elif kind == "repeat":
            frames.insert(place, frames[place])
        elif kind == "harm":
            frames[place] = draw(harmed(frames[place]))
        elif len(frames) > 1:
            del frames[place]
    return frames, link


FIXED = GsoType.TCP_FIXEDID | GsoType.TCP_FIXEDID_OUTER | GsoType.TCP_FIXEDID_INNER


def given_back(merged, frames, link, kernel="6.12"):
    """Every input, from the segments of what it was merged into."""
    back = [b""] * len(frames)
    options = {"link_type": link, "tunnel_ports": packets.PORTS, "kernel": kernel}
    for k, whole in enumerate(merged):
        numbers = np.flatnonzero(merged.into == k)
        assert numbers[0] == merged.first[k]
        assert len(numbers) == merged.gso_segs[k]
        pieces = [bytes(whole)]
        if merged.gso_segs[k] > 1:
            size = int(merged.gso_size[k])
            pieces = gso.segment(whole, size, gso_type=int(merged.gso_type[k]), **options).to_list()
            if not merged.gso_type[k] & (FIXED | GsoType.TCP_ACCECN):
                assert gso.segment(whole, size, **options).to_list() == pieces
        for number, piece in zip(numbers, pieces, strict=True):
            back[number] = piece
    return back


@settings(max_examples=examples(500), deadline=None)
@given(
    traffic(),
    st.fixed_dictionaries(
        {name: st.booleans() for name in ("udp_gro", "fixed_ids", "vxlan_remcsum")}
    ),
    st.sampled_from(["partial", "complete"]),
    packets.kernels,
)
def test_coalesce(case, switches, checksum, kernel):
    frames, link = case
    options = {"link_type": link, "tunnel_ports": packets.PORTS, "kernel": kernel}
    options |= switches
    merged = gso.coalesce(Frames.from_list(frames), checksum=checksum, **options)
    assert given_back(merged, frames, link, kernel) == frames
    expected = reference.coalesce(frames, **options)
    numbers = [np.flatnonzero(merged.into == k).tolist() for k in range(len(merged))]
    fixed = [int(bits & FIXED) for bits in merged.gso_type]
    assert list(zip(numbers, fixed, strict=True)) == expected


@settings(max_examples=examples(300), deadline=None)
@given(traffic(), st.booleans(), packets.kernels)
def test_lists(case, fixed_ids, kernel):
    frames, link = case
    options = {"link_type": link, "tunnel_ports": packets.PORTS, "kernel": kernel}
    gro = {"udp_gro": False, "fixed_ids": fixed_ids, "fraglist": True}
    batch = Frames.from_list(frames)
    made = gso.coalesce(batch, **options, **gro)
    numbers = [np.flatnonzero(made.into == k).tolist() for k in range(len(made))]
    assert numbers == [members for members, _ in reference.coalesce(frames, **options, **gro)]
    for k in np.flatnonzero(made.gso_type & GsoType.FRAGLIST):
        members = batch[made.into == k]
        size = int(made.gso_size[k])
        back = gso.segment(members, size, gso_type=int(made.gso_type[k]), **options)
        assert back.to_list() == members.to_list()
        head = len(members[0]) - size
        tail = b"".join(bytes(one)[head:] for one in members)
        assert bytes(made[int(k)])[head:] == tail
        checked = gso.segment(made[int(k)], 0, link_type=link, tunnel_ports=packets.PORTS)
        assert gso.parse(checked[0], link_type=link, tunnel_ports=packets.PORTS).payload == head


@settings(max_examples=examples(200), deadline=None)
@given(traffic())
def test_complete_checksums_are_right(case):
    frames, link = case
    options = {"link_type": link, "tunnel_ports": packets.PORTS}
    merged = gso.coalesce(Frames.from_list(frames), checksum="complete", **options)
    for whole in merged[merged.gso_segs > 1]:
        assert reference.segment(bytes(whole), 0, **options) == [bytes(whole)]


@settings(max_examples=examples(200), deadline=None)
@given(traffic(), st.data())
def test_timeout(case, data):
    frames, link = case
    latest = data.draw(st.sampled_from([2, 11, 30]))
    times = data.draw(st.lists(st.integers(0, latest), min_size=len(frames), max_size=len(frames)))
    if data.draw(st.booleans()):
        times.sort()
    options = {"link_type": link, "tunnel_ports": packets.PORTS, "timeout": 10}
    merged = gso.coalesce(Frames.from_list(frames), timestamps=times, **options)
    expected = reference.coalesce(frames, times=times, **options)
    assert merged.first.tolist() == [numbers[0] for numbers, _ in expected]


@settings(max_examples=examples(200), deadline=None)
@given(traffic(), st.data())
def test_frames_of_one_interface_are_merged_as_if_they_were_alone(case, data):
    frames, link = case
    number = st.sampled_from([0, 0, 0, 0, 1])
    devices = data.draw(st.lists(number, min_size=len(frames), max_size=len(frames)))
    options = {"link_type": link, "tunnel_ports": packets.PORTS}
    merged = gso.coalesce(frames, interfaces=devices, **options)
    got = {tuple(np.flatnonzero(merged.into == k).tolist()) for k in range(len(merged))}
    expected = set()
    for device in (0, 1):
        own = [i for i, one in enumerate(devices) if one == device]
        alone = gso.coalesce([frames[i] for i in own], **options)
        for k in range(len(alone)):
            expected.add(tuple(own[i] for i in np.flatnonzero(alone.into == k)))
    assert got == expected


def lying(frames, gaps):
    """The frames in one buffer, with so many other bytes in front of each."""
    data, starts = b"", []
    for frame, gap in zip(frames, gaps, strict=True):
        data += b"\x55" * gap
        starts.append(len(data))
        data += frame
    return Spans(data, starts, [at + len(one) for at, one in zip(starts, frames, strict=True)])


def in_two_tunnels(frames):
    """Each frame twice, in tunnels of different keys: one flow inside, but not one of GRO's."""
    outer = {"source": "192.0.2.1", "destination": "192.0.2.2", "source_port": 40000}
    pair = [gso.encapsulate(frames, "vxlan", key=key, **outer) for key in (1, 2)]
    return [bytes(one) for both in zip(*pair, strict=True) for one in both]


@st.composite
def streams(draw):
    """Segments of one to three streams, in tunnels or not, some with a wrong bit of payload."""
    sources = [handmade.CLIENT, handmade.OTHER, handmade.SERVER][: draw(st.integers(1, 3))]
    size = draw(st.sampled_from([4, 100, 1448]))
    flows = [
        handmade.stream(draw(st.integers(1, 6)), payload=b"x" * size, size=size, source=source)
        for source in sources
    ]
    if draw(st.booleans()):
        flows = [in_two_tunnels(flow) for flow in flows]
    frames = []
    while any(flows):
        source = draw(st.sampled_from([one for one in flows if one]))
        frame = bytearray(source.pop(0))
        frame[-draw(st.integers(1, 4))] ^= draw(st.sampled_from([0, 0, 0, 1]))
        frames.append(bytes(frame))
    return frames, "ethernet"


@st.composite
def scattered(draw):
    """Traffic that lies in a buffer, and what tells which of it may be merged."""
    frames, link = draw(st.one_of(traffic(), streams(), streams()))
    count = len(frames)
    each = {"min_size": count, "max_size": count}
    options = {"link_type": link, "tunnel_ports": packets.PORTS}
    options["max_flows"] = draw(st.sampled_from([1, 2, count + 1, 65536]))
    options["gro_max_size"] = draw(st.sampled_from([200, 65536, 65536, 1 << 17]))
    for name in ("udp_gro", "fixed_ids", "fraglist"):
        options[name] = draw(st.booleans())
    if draw(st.booleans()):
        options["interfaces"] = draw(st.lists(st.integers(0, 1), **each))
    if draw(st.booleans()):
        options["timestamps"] = draw(st.lists(st.integers(0, 20), **each))
        options["timeout"] = 10
    return frames, draw(st.lists(st.integers(0, 9), **each)), options


@settings(max_examples=examples(500), deadline=None)
@given(scattered(), st.sampled_from(["partial", "complete"]), packets.kernels)
def test_where_they_lie(case, checksum, kernel):
    """Frames that lie in a buffer become the same super-packets; the others are not copied."""
    frames, gaps, options = case
    options |= {"checksum": checksum, "kernel": kernel}
    expected = gso.coalesce(frames, **options)
    found = gso.coalesce(lying(frames, gaps), **options)
    for name in ("gso_size", "gso_segs", "gso_type", "first", "into", "held"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name
    alone = expected.gso_segs == 1
    assert found[~alone] == Frames.from_list(expected[~alone].to_list())
    assert found[alone].nbytes == 0
