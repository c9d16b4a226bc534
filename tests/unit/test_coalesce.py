"""The rules by which GRO merges, and ends a packet: one rule a test."""

import pickle

import numpy as np
import pytest

import gso
import handmade
import vectorset
from gso import Frames, GsoType, Tunnel
from handmade import OTHER, ethernet, segment, stream, with_id


def merged(frames, **options):
    """How many frames went into each packet."""
    return gso.coalesce(Frames.from_list(frames), **options).gso_segs.tolist()


def test_stream():
    frames = stream(5)
    made = gso.coalesce(Frames.from_list(frames))
    assert len(made) == 1
    assert made.gso_size.tolist() == [100]
    assert made.gso_segs.tolist() == [5]
    assert made.first.tolist() == [0]
    assert made.into.tolist() == [0] * 5
    assert made.gso_type.tolist() == [GsoType.TCPV4]
    assert gso.segment(made[0], 100).to_list() == frames
    assert len(made[0]) == 14 + 20 + 32 + 500


def test_partial_checksum_is_what_the_segmenter_leaves():
    (made,) = gso.coalesce(Frames.from_list(stream(3)))
    assert gso.segment(made, 0, checksum="partial").to_list() == [bytes(made)]
    (whole,) = gso.coalesce(Frames.from_list(stream(3)), checksum="complete")
    assert gso.segment(made, 0).to_list() == [bytes(whole)]


def test_short_segment_ends_a_packet():
    frames = [*stream(2), segment(2, b"short"), segment(3, start=705)]
    assert merged(frames) == [3, 1]


@pytest.mark.parametrize(("flags", "expected"), [
    (0x18, [3, 1]),  # PSH
    (0x11, [3, 1]),  # FIN
    (0x50, [2, 1, 1]),  # ECE is not in the first
    (0x90, [2, 2]),  # CWR begins a packet
    (0x14, [2, 1, 1]),  # RST
    (0x12, [2, 1, 1]),  # SYN
    (0x30, [2, 1, 1]),  # URG
])  # fmt: skip
def test_flags(flags, expected):
    frames = stream(4)
    frames[2] = segment(2, flags=flags)
    assert merged(frames) == expected


@pytest.mark.parametrize("flags", [0x18, 0x11, 0x12, 0x14, 0x30])
def test_flags_that_the_first_may_not_have(flags):
    frames = stream(3, flags=flags)
    assert merged(frames) == [1, 1, 1]


def test_cwr_on_the_first():
    frames = [segment(0, flags=0xD0), segment(1, flags=0x50), segment(2, flags=0x50)]
    made = gso.coalesce(Frames.from_list(frames))
    assert made.gso_segs.tolist() == [3]
    assert made.gso_type[0] == GsoType.TCPV4 | GsoType.TCP_ECN
    assert gso.segment(made[0], 100).to_list() == frames


@pytest.mark.parametrize("harm", [
    {"ttl": 63}, {"tos": 2}, {"fragment": 0}, {"ident": 7}, {"ident": 1}, {"start": 1001},
])  # fmt: skip
def test_what_must_go_on_in_step(harm):
    frames = stream(3)
    frames[2] = segment(2, **harm)
    assert merged(frames) == [2, 1]


@pytest.mark.parametrize("place", [42, 48, 53, 60], ids=["ack", "window", "urgent", "option"])
def test_what_must_stay_the_same_in_the_transport_header(place):
    frames = stream(3)
    frame = bytearray(frames[2])
    frame[place] ^= 1
    frames[2] = bytes(gso.segment(frame, 0)[0])
    assert merged(frames) == [2, 1]


@pytest.mark.parametrize("fragment", [0x2000, 0x4001, 0x8000])
def test_fragments_pass(fragment):
    assert merged(stream(3, fragment=fragment)) == [1, 1, 1]


def test_longer_segment_starts_a_packet():
    frames = [*stream(2), segment(2, b"x" * 101), segment(3, start=1001)]
    assert merged(frames) == [2, 2]


class TestIds:
    def test_wrap(self):
        frames = [segment(i, ident=65534 + i) for i in range(4)]
        made = gso.coalesce(Frames.from_list(frames))
        assert gso.segment(made[0], 100).to_list() == frames

    def test_fixed(self):
        frames = stream(4, ident=0)
        assert merged(frames) == [1] * 4
        made = gso.coalesce(Frames.from_list(frames), fixed_ids=True)
        assert made.gso_type.tolist() == [GsoType.TCPV4 | GsoType.TCP_FIXEDID]
        assert gso.segment(made[0], 100, gso_type=int(made.gso_type[0])).to_list() == frames

    def test_fixed_needs_df(self):
        assert merged(stream(3, ident=5, fragment=0), fixed_ids=True) == [1] * 3

    def test_not_mixed(self):
        frames = [segment(0, ident=4), segment(1, ident=4), segment(2, ident=6)]
        assert merged(frames, fixed_ids=True) == [2, 1]
        frames = [segment(0, ident=4), segment(1, ident=5), segment(2, ident=5)]
        assert merged(frames, fixed_ids=True) == [2, 1]


class TestDamage:
    def test_wrong_checksum(self):
        frames = stream(4)
        frames[2] = frames[2][:-1] + b"y"
        made = gso.coalesce(Frames.from_list(frames))
        assert made.gso_segs.tolist() == [2, 1, 1]
        assert bytes(made[1]) == frames[2]

    def test_padding(self):
        frames = [frame + bytes(2) for frame in stream(3)]
        assert merged(frames) == [1] * 3

    def test_what_is_no_packet_passes(self):
        frames = [b"", b"x", bytes(14), stream(1)[0][:50]]
        made = gso.coalesce(Frames.from_list(frames))
        assert made.to_list() == frames
        assert made.gso_size.tolist() == [0] * 4

    def test_acknowledgements_do_not_overtake(self):
        frames = [*stream(2), segment(2, b""), *[segment(i) for i in (2, 3)]]
        made = gso.coalesce(Frames.from_list(frames))
        assert made.gso_segs.tolist() == [2, 1, 2]
        assert made.first.tolist() == [0, 2, 3]

    def test_nothing_overtakes_what_cannot_be_merged(self):
        frames = stream(4)
        frames.insert(2, frames[1][:-1] + b"y")
        assert merged(frames) == [2, 1, 2]


class TestFlows:
    def test_interleaved(self):
        one, two = stream(4), stream(4, source=OTHER)
        made = gso.coalesce(
            Frames.from_list([x for pair in zip(one, two, strict=True) for x in pair])
        )
        assert made.gso_segs.tolist() == [4, 4]
        assert made.into.tolist() == [0, 1] * 4
        assert gso.segment(made[1], 100).to_list() == two

    def test_other_link_header_is_another_flow(self):
        frames = [stream(2)[0], b"\4" + stream(2)[0][1:], stream(2)[1], b"\4" + stream(2)[1][1:]]
        assert merged(frames) == [2, 2]

    def test_other_interface_is_another_flow(self):
        frames = [frame for frame in stream(3) for _ in range(2)]
        assert merged(frames, interfaces=[7, 8] * 3) == [3, 3]
        assert merged(frames) == [1, 2, 2, 1]

    def test_the_same_flow_in_many_tunnels(self):
        """Eight at most, so that each frame costs the same."""
        frames = [bytes([2 * i]) + frame[1:] for frame in stream(2) for i in range(9)]
        assert merged(frames[:8] + frames[9:17]) == [2] * 8
        assert merged(frames) == [1] * 18  # each takes the place of the one needed next

    def test_oldest_is_complete_when_there_are_too_many(self):
        sources = [("10.1.0.1", port) for port in range(1, 5)]
        frames = [segment(i, source=source) for i in range(2) for source in sources]
        assert merged(frames) == [2] * 4
        assert merged(frames, max_flows=3) == [1] * 8
        assert merged(frames[1:4] + frames[5:], max_flows=3) == [2] * 3

    def test_many(self):
        frames = [
            segment(i, source=(f"10.{a}.{b}.1", 9))
            for i in range(2)
            for a in range(40)
            for b in range(50)
        ]
        assert merged(frames) == [2] * 2000


class TestSize:
    def test_limit(self):
        frames = [segment(i, b"x" * 1400, size=1400) for i in range(50)]
        made = gso.coalesce(Frames.from_list(frames))
        assert made.gso_segs.tolist() == [46, 4]
        assert len(made[0]) - 14 < 65536

    def test_big_tcp(self):
        frames = [segment(i, b"x" * 1400, size=1400) for i in range(100)]
        made = gso.coalesce(Frames.from_list(frames), gro_max_size=200_000)
        assert made.gso_segs.tolist() == [100]
        assert bytes(made[0][16:18]) == b"\0\0"
        assert gso.segment(made[0], 1400).to_list() == frames

    def test_big_tcp_over_ipv6(self):
        client, server = ("fd00::1", 1), ("fd00::2", 2)
        frames = [
            ethernet(handmade.tcp(client, server, b"x" * 1400, flags=0x10, sequence=1400 * i))
            for i in range(100)
        ]
        for checksum in ("partial", "complete"):
            made = gso.coalesce(Frames.from_list(frames), gro_max_size=200_000, checksum=checksum)
            assert made.gso_segs.tolist() == [100]
            packet = bytes(made[0])
            assert packet[14 + 4 : 14 + 7] == b"\0\0\0"
            length = len(packet) - 14 - 40
            assert packet[54:62] == b"\6\0\xc2\4" + length.to_bytes(4, "big")
            assert gso.segment(packet, 1400).to_list() == frames

    def test_no_big_udp(self):
        frames = [ethernet(with_id(handmade.udp(payload=b"x" * 8000), i)) for i in range(20)]
        assert merged(frames, gro_max_size=400_000) == [8, 8, 4]


def datagrams(count, size=100):
    return [
        ethernet(with_id(handmade.udp(payload=bytes([i % 256]) * size), i)) for i in range(count)
    ]


class TestUdp:
    def test_merged(self):
        frames = datagrams(3)
        made = gso.coalesce(Frames.from_list(frames))
        assert made.gso_segs.tolist() == [3]
        assert made.gso_type.tolist() == [GsoType.UDP_L4]
        assert gso.segment(made[0], 100).to_list() == frames

    def test_not_if_not_wanted(self):
        assert merged(datagrams(3), udp_gro=False) == [1] * 3

    def test_at_most_64(self):
        assert merged(datagrams(70)) == [64, 6]

    def test_short_one_ends(self):
        frames = datagrams(2) + [ethernet(with_id(handmade.udp(payload=b"ab"), i)) for i in (2, 3)]
        assert merged(frames) == [3, 1]

    def test_without_checksum(self):
        frames = [frame[:40] + b"\0\0" + frame[42:] for frame in datagrams(3)]
        assert merged(frames) == [1] * 3


def tunnelled(count):
    """GUE segments, and the super-packet they are of."""
    record = next(r for r in vectorset.records() if r["name"] == "gue-ipip/v4/exact3")
    return vectorset.outputs(record)[:count], {"tunnel_ports": vectorset.PORTS}


class TestTunnels:
    def test_port_unknown(self):
        frames, _ = tunnelled(3)
        options = {"tunnel_ports": {6080: Tunnel.NONE}, "udp_gro": False}
        made = gso.coalesce(Frames.from_list(frames), **options)
        assert made.to_list() == frames

    @pytest.mark.parametrize(("place", "value"), [(42, 0x20), (45, 2), (44, 0x80)])
    def test_unknown_gue_flags(self, place, value):
        frames, options = tunnelled(3)
        frames = [frame[:place] + bytes([value]) + frame[place + 1 :] for frame in frames]
        assert merged(frames, **options) == [1] * 3

    def test_outer_ids_must_count(self):
        frames, options = tunnelled(3)
        assert merged(frames, **options) == [3]
        for frame in (frames := [bytearray(f) for f in frames]):
            frame[18:20], frame[24:26] = b"\0\7", b"\0\0"
            frame[24:26] = gso.checksum(frame[14:34]).to_bytes(2, "big")
        assert merged(frames, **options) == [1] * 3

    def test_one_level(self):
        frames, _ = tunnelled(3)
        inner = [frame[:14] + ip_in_ip(frame[14:], i) for i, frame in enumerate(frames)]
        assert merged(inner, tunnel_ports=vectorset.PORTS) == [1] * 3


def ip_in_ip(packet, number):
    return with_id(handmade.network(("10.9.9.1", 0), ("10.9.9.2", 0), 4, packet), number)


class TestTimes:
    def test_timeout(self):
        frames, times = stream(4), [0, 10, 11, 12]
        assert merged(frames, timestamps=times, timeout=10) == [2, 2]
        assert merged(frames, timestamps=times, timeout=12) == [4]

    def test_time_running_backwards(self):
        assert merged(stream(3), timestamps=[5, 4, 6], timeout=10**9) == [1, 2]


class TestResult:
    made = gso.coalesce(Frames.from_list([*stream(3), b"?", *stream(2, source=OTHER)]))

    def test_slices(self):
        part = self.made[1:]
        assert part.gso_segs.tolist() == [1, 2]
        assert part.first.tolist() == [3, 4]
        assert self.made[[2, 0]].gso_segs.tolist() == [2, 3]
        assert self.made[self.made.gso_segs > 1].to_list() == [bytes(self.made[i]) for i in (0, 2)]

    def test_segment_batch_takes_it(self):
        back = gso.segment_batch(self.made[self.made.gso_size > 0], [100, 100])
        assert back.to_list() == stream(3) + stream(2, source=OTHER)

    def test_pickle(self):
        copy = pickle.loads(pickle.dumps(self.made))
        assert copy == self.made
        assert copy.first.tolist() == self.made.first.tolist()

    def test_read_only(self):
        with pytest.raises(ValueError, match="read-only"):
            self.made.gso_size[0] = 1

    def test_not_made_by_hand(self):
        with pytest.raises(TypeError, match=r"gso\.coalesce"):
            gso.Coalesced()

    def test_empty(self):
        made = gso.coalesce(Frames())
        assert len(made) == 0
        assert made.gso_size.shape == made.first.shape == made.into.shape == (0,)

    def test_repr(self):
        assert repr(self.made).startswith("<gso.Coalesced: 3 frames")


def test_wrong_usage():
    frames = Frames.from_list(stream(2))
    with pytest.raises(ValueError, match="gro_max_size is between 1 and 524280, not 600000"):
        gso.coalesce(frames, gro_max_size=600_000)
    with pytest.raises(ValueError, match="max_flows"):
        gso.coalesce(frames, max_flows=0)
    with pytest.raises(ValueError, match=r"shape \(3,\) for 2 frames"):
        gso.coalesce(frames, timestamps=[1, 2, 3])
    with pytest.raises(ValueError, match="checksum"):
        gso.coalesce(frames, checksum="none")


def test_time_is_linear_in_hostile_input():
    """Frames of one flow in ever new tunnels are looked up among eight, not among all."""
    base = stream(1)[0]
    count = 20_000
    data = np.tile(np.frombuffer(base, np.uint8), (count, 1))
    data[:, :4] = np.arange(count, dtype=">u4").view(np.uint8).reshape(-1, 4)
    frames = Frames(data.ravel(), np.arange(count + 1) * len(base))
    assert len(gso.coalesce(frames)) == count


def test_tunnel_kinds_are_told():
    frames, options = tunnelled(3)
    made = gso.coalesce(Frames.from_list(frames), **options)
    layout = gso.parse(made[0], **options)
    assert layout.tunnel is Tunnel.GUE
    assert made.gso_type[0] == GsoType.TCPV4 | GsoType.UDP_TUNNEL | GsoType.IPXIP4
