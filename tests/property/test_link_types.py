"""Link types given to the library: as with no link-layer header, and as the commands have it.

The headers are written here by hand; what follows each is read, cut and merged as the same packet
alone is, and as `gso segment` and `gso coalesce` do it in a capture of that link type.
"""

from __future__ import annotations

import pickle
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.headers.links import LINKS
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from kinds import PAIRS, TRIES, run

SIZE = 1000
TAG = st.tuples(st.sampled_from([b"\x81\0", b"\x88\xa8"]), st.binary(min_size=2, max_size=2))
TAGS = st.lists(TAG, max_size=2).map(lambda tags: b"".join(map(b"".join, tags)))
FAMILIES = {4: [2], 6: [10, 24, 28, 30]}
PPP = ("ppp", "ppp_hdlc", "c_hdlc", "ppp_with_dir")
KINDS = ("linux_sll", "linux_sll2", "null", "loop", "ipv4", "ipv6", "raw", "ethernet", *PPP)
NUMBERS = {"ethernet": 1, "raw": 101, "ppp": 9, "ppp_hdlc": 50, "ppp_ether": 51, "null": 0}


@st.composite
def heads(draw, kind: str, version: int) -> bytes:
    """What precedes an IP packet of this version behind a link header of a kind."""
    typed = draw(TAGS) + (b"\x86\xdd" if version == 6 else b"\x08\0")
    word = draw(st.integers(0, 4))
    if kind == "ethernet":
        return draw(st.binary(min_size=12, max_size=12)) + typed
    if kind == "linux_sll":
        return struct.pack(">HHH", word, 1, 6) + draw(st.binary(min_size=8, max_size=8)) + typed
    if kind == "linux_sll2":
        address = draw(st.binary(min_size=8, max_size=8))
        return typed[:2] + struct.pack(">HIHBB", 0, 2, 1, word, 6) + address + typed[2:]
    if kind in ("null", "loop"):
        order = draw(st.sampled_from(["little", "big"]))
        return draw(st.sampled_from(FAMILIES[version])).to_bytes(4, order)
    return draw(ppp_heads(kind, version)) if kind in PPP else b""


@st.composite
def ppp_heads(draw, kind: str, version: int) -> bytes:
    """PPP's header with or without what may be left out of it, or Cisco's HDLC."""
    direction = bytes([draw(st.integers(0, 1))]) if kind == "ppp_with_dir" else b""
    if not direction and draw(st.booleans()):
        cisco = draw(st.sampled_from([b"\x0f\0", b"\x8f\0"]))
        return cisco + (b"\x86\xdd" if version == 6 else b"\x08\0")
    start, high = draw(st.sampled_from([b"\xff\3", b""])), draw(st.sampled_from([b"\0", b""]))
    return direction + start + high + (b"\x57" if version == 6 else b"\x21")


def packet(pair, size: int, tunnel: str | None, start: int = 0) -> bytes:
    """An IP packet with TCP and `size` bytes of data, in a tunnel or not."""
    data = bytes(i % 251 for i in range(start, start + size))
    made = handmade.tcp(*pair, data, sequence=7 + start, flags=0x10)
    if tunnel is None:
        return made
    ends = {"source": "192.0.2.1", "destination": "192.0.2.2", "link_type": "raw"}
    return bytes(gso.encapsulate([made], tunnel, source_port=5555, **ends)[0])


def version_of(frame: bytes) -> int:
    return frame[0] >> 4


@st.composite
def packets(draw, *, least: int = 0):
    """A link type, what precedes a packet there, and a function that makes packets of a flow."""
    pair = draw(PAIRS)
    tunnel = draw(st.sampled_from([None, None, "gre", "gue"]))
    version = version_of(packet(pair, 1, tunnel))
    kind = draw(st.sampled_from(KINDS))
    head = draw(heads(kind, version))
    if len(head) > LINKS[kind].length and kind not in PPP and tunnel == "gue":
        tunnel = "gre"  # behind a tag the kernel refuses many a packet in GUE
    size = draw(st.integers(least, 5000))
    return kind, head, lambda n=size, start=0: packet(pair, n, tunnel, start), size


def shifted(layout: gso.Layout, by: int) -> dict[str, object]:
    """The members of a layout, with offsets that count `by` bytes more."""
    names = [name for name in gso.LAYOUT_DTYPE.names or () if name != "tnl_hlen"]
    values = {name: getattr(layout, name) for name in names}
    offsets = [name for name in names if name.endswith("header") or name == "payload"]
    for name in offsets:
        if values[name] is not None and name != "mac_header":
            values[name] += by
    return values | {"tnl_hlen": layout.tnl_hlen}


@TRIES
@given(packets())
def test_offsets_count_from_the_frames_first_byte(drawn):
    kind, head, make, _ = drawn
    bare = make()
    layout = gso.parse(head + bare, link_type=kind)
    assert shifted(layout, 0) == shifted(gso.parse(bare, link_type="raw"), len(head))
    assert layout.link_type == kind
    rows = gso.parse_batch([head + bare] * 3, link_type=kind)
    names = gso.LAYOUT_DTYPE.names or ()
    for row in rows:
        found = [getattr(layout, name) for name in names]
        assert [int(row[name]) for name in names] == [-1 if v is None else v for v in found]


@TRIES
@given(packets(least=SIZE + 1))
def test_segments_begin_with_the_link_header(drawn):
    kind, head, make, _ = drawn
    bare, frame = make(), head + make()
    expected = [head + one for one in gso.segment(bare, SIZE, link_type="raw").to_list()]
    assert gso.segment(frame, SIZE, link_type=kind).to_list() == expected
    layout = gso.parse(frame, link_type=kind)
    assert gso.segment(frame, SIZE, layout=layout).to_list() == expected
    batch = gso.segment_batch([frame, frame], SIZE, link_type=kind)
    assert batch.to_list() == expected * 2
    headers, payload = gso.segment_headers(frame, SIZE, link_type=kind)
    pieces = [frame[at : at + n] for at, n in payload.tolist()]
    assert [bytes(one) + piece for one, piece in zip(headers, pieces, strict=True)] == expected
    many = gso.segment_headers_batch([frame], SIZE, link_type=kind)
    assert [b"".join(many.iovecs(i)) for i in range(len(many))] == expected


@TRIES
@given(packets(least=1600))
def test_the_command_cuts_the_same(drawn):
    kind, head, make, _ = drawn
    frame = head + make()
    made, _ = run(segment_capture, [frame], SIZE, link_type=kind)
    assert made == gso.segment(frame, SIZE, link_type=kind).to_list()


@pytest.mark.parametrize("kind", ["ethernet", "linux_sll", "linux_sll2"])
def test_gue_behind_a_tag_is_refused_where_the_kernel_does(kind):
    """With zeros in bytes 16 and 17 of the packet in the tunnel, wherever the tag is."""
    link = LINKS[kind]
    head = bytearray(link.length)
    head[link.type_at : link.type_at + 2] = b"\x81\0"
    pair = (("10.0.0.1", 4), ("10.0.0.2", 5))
    zeros = bytearray(handmade.tcp(*pair, bytes(4000)))
    for address, cut in ((b"\x0a\0\0\1", True), (b"\0\0\0\1", False)):
        zeros[16:20] = address
        ends = {"source": "192.0.2.1", "destination": "192.0.2.2", "link_type": "raw"}
        [made] = gso.encapsulate([bytes(zeros)], "gue", source_port=5555, **ends)
        frame = bytes(head) + b"\0\5\x08\0" + bytes(made)
        if cut:
            assert len(gso.segment(frame, SIZE, link_type=kind)) == 4
            continue
        with pytest.raises(gso.GsoError, match="VLAN tag outside"):
            gso.segment(frame, SIZE, link_type=kind)
        assert run(segment_capture, [frame], SIZE, link_type=kind)[0] == [frame]


@TRIES
@given(packets(), st.integers(2, 6))
def test_what_is_merged_is_what_the_command_merges(drawn, count):
    kind, head, make, _ = drawn
    frames = [head + make(100, 100 * i) for i in range(count)]
    made = gso.coalesce(frames, link_type=kind, checksum="complete")
    alone = [frame[len(head) :] for frame in frames]
    bare = gso.coalesce(alone, link_type="raw", checksum="complete")
    assert made.to_list() == [head + one for one in bare.to_list()]
    assert made.gso_type.tolist() == bare.gso_type.tolist()
    written, _ = run(coalesce_capture, frames, link_type=kind)
    assert written == made.to_list()
    cut = gso.segment_batch(made, 100, gso_type=made.gso_type, link_type=kind, errors="pass")
    assert cut.to_list() == frames


@TRIES
@given(packets(), st.integers(0, 30))
def test_a_header_cut_short_is_told(drawn, room):
    kind, head, make, _ = drawn
    frame = (head + make())[: min(room, len(head) + 19)]
    with pytest.raises(gso.GsoError) as told:
        gso.parse(frame, link_type=kind)
    assert told.value.reason == gso.Reason.TRUNCATED
    assert gso.parse_batch([frame], link_type=kind, errors="mark")["payload"].tolist() == [-1]


@pytest.mark.parametrize("kind", ["null", "loop"])
@pytest.mark.parametrize("family", ["0000000a", "1e000000", "02000002", "00020000", "00000000"])
def test_a_family_that_is_not_the_packets_is_no_ip(kind, family):
    frame = bytes.fromhex(family) + handmade.tcp(payload=bytes(4000))
    layout = gso.parse(frame, link_type=kind)
    assert (layout.outer_version, layout.network_header, layout.payload) == (0, 4, 4)
    with pytest.raises(gso.GsoError, match="family") as told:
        gso.segment(frame, SIZE, link_type=kind)
    assert (told.value.reason, told.value.offset) == (gso.Reason.UNSUPPORTED, 0)
    made = gso.coalesce([frame, frame], link_type=kind)
    assert made.to_list() == [frame, frame]
    assert run(segment_capture, [frame], SIZE, link_type=kind)[0] == [frame]


def test_many_frames_of_one_shape_are_read_alike():
    """Headers that differ where the type is not are read from the row of another frame."""
    for kind in ("linux_sll", "linux_sll2"):
        at = LINKS[kind].type_at
        head = bytearray(LINKS[kind].length)
        head[at : at + 2] = b"\x08\0"
        arp = bytes(head[:at]) + b"\x08\x06" + bytes(head[at + 2 :])
        frames = []
        for i in range(200):
            own = bytearray(arp if i % 50 == 49 else head)
            own[2 if kind == "linux_sll2" else 0] = i
            frames.append(bytes(own) + handmade.tcp(payload=bytes(100)))
        rows = gso.parse_batch(frames, link_type=kind)
        each = [gso.parse(frame, link_type=kind).outer_version for frame in frames]
        assert rows["outer_version"].tolist() == each
        assert np.flatnonzero(rows["outer_version"] == 0).tolist() == [49, 99, 149, 199]


def test_a_layout_keeps_its_link_type_in_a_pickle():
    frame = bytes(14) + b"\x08\0" + handmade.tcp(payload=bytes(3000))
    layout = gso.parse(frame, link_type="linux_sll")
    again = pickle.loads(pickle.dumps(layout))
    assert again == layout
    cut = gso.segment(frame, SIZE, layout=again).to_list()
    assert cut == gso.segment(frame, SIZE, link_type="linux_sll").to_list()


@pytest.mark.parametrize("kind", ["user0", "Ethernet", 105, 1.5, None])
def test_other_link_types_are_refused_by_name(kind):
    with pytest.raises(ValueError, match=r'one of "ethernet", .*"ppp", .*, not ') as told:
        gso.parse(bytes(60), link_type=kind)
    assert repr(kind) in str(told.value)


def test_packets_with_virtio_headers_have_no_cooked_header():
    with pytest.raises(ValueError, match="not 'linux_sll'"):
        gso.segment_vnet(bytes(100), link_type="linux_sll")
    with pytest.raises(ValueError, match="not 'null'"):
        gso.segment_vnet_batch([bytes(60)], np.zeros(1, gso.VNET_DTYPE), link_type="null")


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_link_type_may_be_given_by_its_number(kind):
    head = {
        "ethernet": bytes(12) + b"\x08\0",
        "ppp_ether": b"\x11\0\0\7\x0f\xd6\0\x21",
        "null": b"\2\0\0\0",
        "raw": b"",
    }.get(kind, b"\xff\3\0\x21")
    frame = head + handmade.tcp(payload=bytes(4000))
    layout = gso.parse(frame, link_type=NUMBERS[kind])
    assert layout == gso.parse(frame, link_type=kind)
    assert (layout.link_type, layout.payload) == (kind, len(head) + 52)
    assert gso.segment(frame, SIZE, link_type=NUMBERS[kind]) == gso.segment(
        frame, SIZE, link_type=kind
    )
    made = [gso.coalesce([frame], link_type=one).vnet_headers() for one in (NUMBERS[kind], kind)]
    assert made[0].tolist() == made[1].tolist()
    told = gso.validate(frame, link_type=NUMBERS[kind])
    assert list(told) == list(gso.validate(frame, link_type=kind))
    assert not told


@pytest.mark.parametrize("protocol", [b"\xc0\x21", b"\x80\x57", b"\x02\x81", b"\x3d"])
@pytest.mark.parametrize("start", [b"\xff\3", b""])
def test_what_ppp_announces_as_another_protocol_is_no_ip(start, protocol):
    frame = start + protocol + handmade.tcp(payload=bytes(4000))
    at = len(start) + len(protocol)
    layout = gso.parse(frame, link_type="ppp")
    assert (layout.outer_version, layout.network_header, layout.payload) == (0, at, at)
    with pytest.raises(gso.GsoError, match="ppp_proto") as told:
        gso.segment(frame, SIZE, link_type="ppp")
    assert told.value.offset == len(start)
    assert gso.coalesce([frame, frame], link_type="ppp").to_list() == [frame, frame]
    assert run(segment_capture, [frame], SIZE, link_type="ppp")[0] == [frame]


@TRIES
@given(PAIRS, st.integers(1600, 5000), st.binary(min_size=2, max_size=2))
def test_pppoe_without_ethernet(pair, size, session):
    """As behind an Ethernet header, which it lacks."""
    bare = handmade.tcp(*pair, bytes(size), flags=0x10)
    length = (len(bare) + 2).to_bytes(2, "big")
    protocol = b"\0\x57" if version_of(bare) == 6 else b"\0\x21"
    front = bytes(12) + b"\x88\x64"
    frame = b"\x11\0" + session + length + protocol + bare
    layout = gso.parse(frame, link_type="ppp_ether")
    assert shifted(layout, len(front)) == shifted(gso.parse(front + frame), 0)
    expected = [one[len(front) :] for one in gso.segment(front + frame, SIZE).to_list()]
    assert gso.segment(frame, SIZE, link_type="ppp_ether").to_list() == expected
    assert run(segment_capture, [frame], SIZE, link_type="ppp_ether")[0] == expected
    merged = gso.coalesce([front + one for one in expected], checksum="complete").to_list()
    found = gso.coalesce(expected, link_type="ppp_ether", checksum="complete").to_list()
    assert found == [one[len(front) :] for one in merged]
    assert run(coalesce_capture, expected, link_type="ppp_ether")[0] == found
