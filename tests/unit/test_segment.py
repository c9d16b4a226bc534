"""The details that segmenters get wrong, one test each, on packets made by scapy."""

import threading

import numpy as np
import pytest
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import GRE, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    IPv6ExtHdrSegmentRouting,
    PadN,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

import gso
import reference
from gso import GsoError, GsoType, Reason, Tunnel
from vectorset import PORTS, frame, record, records

GUE = b"\0\x04\0\0"
PAYLOAD = bytes(range(256)) * 12


def tcp(flags="PA", **fields):
    return TCP(sport=1000, dport=2000, seq=2**32 - 1000, ack=7, flags=flags, **fields)


def build(*layers, payload=PAYLOAD):
    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for layer in layers:
        packet /= layer
    return bytes(packet / Raw(payload))


def ip(**fields):
    return IP(src="10.0.0.1", dst="10.0.0.2", **fields)


def ip6(**fields):
    return IPv6(src="fd00::1", dst="fd00::2", **fields)


def vxlan(*inner, outer=None, udp=None, payload=PAYLOAD):
    udp = udp or UDP(sport=5, dport=4789, chksum=0)
    head = (outer or ip(id=9), udp, VXLAN(vni=5), Ether(src="02:00:00:00:00:03"))
    return build(*head, *inner, payload=payload)


def gue(*inner, outer=None, udp=None, header=GUE):
    inner_bytes = build(*inner)[14:]
    return build(outer or ip(id=9), udp or UDP(sport=5, dport=5501), payload=header + inner_bytes)


def segments(packet, size=1000, **options):
    options.setdefault("tunnel_ports", PORTS)
    result = gso.segment(packet, size, **options)
    keys = ("gso_type", "link_type", "tunnel_ports", "checksum")
    alike = {key: options[key] for key in keys if key in options}
    assert result.to_list() == reference.segment(packet, size, **alike)
    return [bytes(segment) for segment in result]


def refused(packet, size=1000, **options):
    options.setdefault("tunnel_ports", PORTS)
    with pytest.raises(GsoError) as caught:
        gso.segment(packet, size, **options)
    error = caught.value
    assert f"{error.offset}" in str(error) or f"{error.offset:#x}" in str(error)
    return error.reason, error.field, error.offset, error.limit


def outcome(call, packet, size):
    try:
        return [bytes(segment) for segment in call(packet, size, tunnel_ports=PORTS)]
    except GsoError as error:
        return error.reason, error.field, error.offset, error.limit


def flags(segment):
    return str(Ether(segment)[TCP].flags)


class TestTcp:
    def test_cwr_is_on_the_first_segment_only(self):
        """DPDK's librte_gso and wireguard-go repeat it: the peer would halve its window again."""
        assert [flags(s) for s in segments(build(ip(), tcp("CEA")))] == ["AEC", "AE", "AE", "AE"]

    def test_cwr_is_on_all_segments_with_accurate_ecn(self):
        packet = build(ip(), tcp("CEA"))
        accecn = segments(packet, gso_type=GsoType.TCPV4 | GsoType.TCP_ACCECN)
        assert [flags(s) for s in accecn] == ["AEC"] * 4

    def test_fin_and_psh_are_on_the_last_segment_only(self):
        assert [flags(s) for s in segments(build(ip(), tcp("FPA")))] == ["A", "A", "A", "FPA"]

    def test_all_other_flags_are_on_every_segment(self):
        seen = [flags(s) for s in segments(build(ip(), tcp("SRUAEN", urgptr=77)))]
        assert set(seen) == {"SRAUEN"}

    def test_sequence_numbers_wrap(self):
        seen = [Ether(s)[TCP].seq for s in segments(build(ip(), tcp()))]
        assert seen == [2**32 - 1000, 0, 1000, 2000]

    def test_checksum_of_zero_stays_zero(self):
        r = next(r for r in records() if "TCP checksum comes out as 0x0000" in r["description"])
        layout = gso.parse(frame(r), tunnel_ports=PORTS)
        at = layout.inner_transport_header or layout.transport_header
        out = gso.segment(frame(r), r["input"]["gso_size"], tunnel_ports=PORTS)
        assert {bytes(s[at + 16 : at + 18]) for s in out[:-1]} == {b"\0\0"}


class TestIpv4:
    def test_ids_count_and_wrap(self):
        assert [Ether(s)[IP].id for s in segments(build(ip(id=65534), tcp()))] == [
            65534, 65535, 0, 1,
        ]  # fmt: skip

    def test_fixed_ids(self):
        packet = build(ip(id=7, flags="DF"), tcp())
        fixed = segments(packet, gso_type=GsoType.TCPV4 | GsoType.TCP_FIXEDID)
        assert {Ether(s)[IP].id for s in fixed} == {7}

    def test_fixed_ids_need_df(self):
        packet = build(ip(id=7), tcp())
        assert refused(packet, gso_type=GsoType.TCPV4 | GsoType.TCP_FIXEDID) == (
            Reason.GSO_TYPE, "frag_off", 20, 0x4000,
        )  # fmt: skip

    def test_outer_ids_count_even_where_the_inner_is_fixed(self):
        packet = vxlan(ip(id=7, flags="DF"), tcp(), outer=ip(id=65535, flags="DF"))
        out = [Ether(s) for s in segments(packet, gso_type=GsoType.TCPV4 | GsoType.TCP_FIXEDID)]
        assert [s[IP].id for s in out] == [65535, 0, 1, 2]
        assert {s[VXLAN][IP].id for s in out} == {7}

    def test_stale_outer_length_and_checksum_are_not_believed(self):
        packet = bytearray(vxlan(ip(), tcp()))
        expected = segments(packet)
        packet[16:18] = b"\0\x13"
        packet[24:26] = b"\x12\x34"
        packet[38:40] = b"\xff\xff"
        assert segments(packet) == expected

    def test_options_are_repeated(self):
        packet = bytes(IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x94\x04\0\0") / tcp())
        out = segments(build(Raw(packet))[:12] + b"\x08\0" + packet + PAYLOAD)
        assert {s[34:38] for s in out} == {b"\x94\x04\0\0"}


class TestIpv6:
    def test_extension_headers_before_the_inner_transport(self):
        options = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / IPv6ExtHdrDestOpt()
        out = segments(gue(ip6() / options, tcp(), header=b"\0\x29\0\0"))
        assert {len(s) for s in out[:-1]} == {14 + 20 + 8 + 4 + 40 + 8 + 8 + 20 + 1000}
        assert Ether(out[0])[UDP].len == 8 + 4 + 40 + 16 + 20 + 1000

    def test_fragment_header_is_refused(self):
        packet = build(ip6() / IPv6ExtHdrFragment(), tcp())
        assert refused(packet) == (Reason.UNSUPPORTED, "nexthdr", 20, 44)

    @pytest.mark.parametrize("kind", [0, 2, 4])
    def test_final_destination_of_a_routing_header(self, kind):
        """CHECKSUM_PARTIAL holds the pseudo header of the final address: so must the segments."""
        addresses = ["fd00::8", "fd00::9"] if kind != 2 else ["fd00::9"]
        routing = IPv6ExtHdrRouting(type=kind, segleft=1, addresses=addresses)
        final = bytes.fromhex("fd" + "00" * 14 + "09")
        if kind == 4:
            routing = IPv6ExtHdrSegmentRouting(segleft=1, addresses=["fd00::9", "fd00::8"])
        packet = bytearray(build(ip6() / routing, tcp()))
        at = gso.parse(packet).transport_header
        source = bytes(packet[22:38])
        length = len(packet) - at
        packet[at + 16 : at + 18] = gso.pseudo_header(source, final, 6, length).to_bytes(2, "big")
        for segment in segments(packet):
            initial = gso.pseudo_header(source, final, 6, len(segment) - at)
            assert gso.checksum(segment[at:], initial) == 0

    @pytest.mark.parametrize("size", [65536, 200_000])
    def test_big_tcp_length_zero(self, size):
        out = segments(build(ip6(plen=0), tcp(), payload=bytes(size)), 60000)
        assert [Ether(s)[IPv6].plen for s in out[:-1]] == [60020] * (len(out) - 1)

    def test_big_tcp_jumbo_header_is_taken_out(self):
        """ipv6_hopopt_jumbo_remove: kernels before 7.0 put one in."""
        plain = build(ip6(plen=0, nh=6), tcp(), payload=bytes(70000))
        jumbo = b"\x06\0\xc2\x04" + (70020).to_bytes(4, "big")
        packet = plain[:20] + b"\0" + plain[21:54] + jumbo + plain[54:]
        assert segments(packet, 9000) == segments(plain, 9000)

    def test_jumbo_header_of_a_small_packet_stays(self):
        plain = build(ip6(plen=0, nh=6), tcp())
        packet = plain[:20] + b"\0" + plain[21:54] + b"\x06\0\xc2\x04\0\0\0\0" + plain[54:]
        assert {s[54:58] for s in segments(packet)} == {b"\x06\0\xc2\x04"}


class TestOuterChecksums:
    def test_udp_zero_stays_zero(self):
        assert {Ether(s)[UDP].chksum for s in segments(vxlan(ip(), tcp()))} == {0}

    def test_udp_is_complete_where_the_field_is_not_zero(self):
        packet = vxlan(ip(), tcp(), udp=UDP(sport=5, dport=4789, chksum=0xBAD))
        for segment in segments(packet):
            initial = gso.pseudo_header(segment[26:30], segment[30:34], 17, len(segment) - 34)
            assert gso.checksum(segment[34:], initial) == 0

    def test_udp_checksum_of_zero_is_sent_as_ffff(self):
        """Without it a receiver would take the checksum as absent."""
        packet = bytearray(vxlan(ip(), tcp(), udp=UDP(dport=4789, chksum=1)))
        for port in range(65536):
            packet[34:36] = port.to_bytes(2, "big")
            first = gso.segment(packet, 1000)[0]
            assert first[40:42] != b"\0\0"
            if first[40:42] == b"\xff\xff":
                return
        pytest.fail("no port gave a checksum of zero")

    def test_inner_udp_checksum_of_zero_is_sent_as_ffff(self):
        r = next(r for r in records() if "every UDP checksum computes to zero" in r["description"])
        layout = gso.parse(frame(r), tunnel_ports=PORTS)
        at = layout.inner_transport_header or layout.transport_header
        out = gso.segment(frame(r), r["input"]["gso_size"], tunnel_ports=PORTS)
        assert {bytes(s[at + 6 : at + 8]) for s in out[:-1]} == {b"\xff\xff"}

    def test_garbage_in_gre_checksum_and_reserved_fields(self):
        head = (ip(id=1), GRE(chksum_present=1, proto=0x0800))
        packet = bytearray(build(*head, ip(), tcp()))
        expected = segments(packet)
        packet[38:42] = b"\xde\xad\xbe\xef"
        assert segments(packet) == expected
        for segment in expected:
            assert segment[40:42] == b"\0\0"
            assert gso.checksum(segment[34:]) == 0

    def test_header_only_arithmetic_equals_summing_everything(self):
        """Two sealed tunnels inside each other, both over a right inner checksum."""
        inner = vxlan(ip(), tcp(), udp=UDP(sport=6, dport=4789, chksum=1))
        head = (ip(id=3), UDP(sport=5, dport=4789, chksum=1), VXLAN(vni=1))
        for segment in segments(build(*head, payload=inner)):
            for start in (34, 34 + 8 + 8 + 14 + 20):
                address = segment[start - 8 : start - 4], segment[start - 4 : start]
                initial = gso.pseudo_header(*address, 17, len(segment) - start)
                assert gso.checksum(segment[start:], initial) == 0


class TestRemoteChecksumOffload:
    HEADER = b"\x02\x04\0\x01\x80\0\0\0\0\x14\0\x24"

    def test_field_holds_each_segments_pseudo_header_sum(self):
        for check in (0, 0xBAD):
            packet = gue(
                ip(), tcp(), header=self.HEADER, udp=UDP(sport=5, dport=5501, chksum=check)
            )
            at = gso.parse(packet, tunnel_ports=PORTS).inner_transport_header
            for segment in segments(packet):
                total = gso.pseudo_header(segment[66:70], segment[70:74], 6, len(segment) - at)
                assert segment[at + 16 : at + 18] == total.to_bytes(2, "big")
                initial = gso.pseudo_header(segment[26:30], segment[30:34], 17, len(segment) - 34)
                assert (gso.checksum(segment[34:], initial) == 0) == (check != 0)

    def test_gso_type_decides_where_it_names_a_udp_tunnel(self):
        packet = gue(ip(), tcp(), header=self.HEADER)
        out = segments(packet, gso_type=GsoType.TCPV4 | GsoType.UDP_TUNNEL)
        at = gso.parse(packet, tunnel_ports=PORTS).inner_transport_header
        initial = gso.pseudo_header(out[0][66:70], out[0][70:74], 6, len(out[0]) - at)
        assert gso.checksum(out[0][at:], initial) == 0


class TestUdp:
    def test_uso(self):
        out = segments(build(ip(), UDP(sport=1, dport=2)), gso_type=GsoType.UDP_L4)
        assert [Ether(s)[UDP].len for s in out] == [1008, 1008, 1008, 80]

    def test_ufo_makes_ip_fragments(self):
        out = segments(build(ip(id=5, flags="DF"), UDP(sport=1, dport=2)), 800, gso_type=0x10000)
        fragments = [Ether(s)[IP] for s in out]
        assert [f.frag for f in fragments] == [0, 100, 200, 300]
        assert [str(f.flags) for f in fragments] == ["MF", "MF", "MF", ""]
        assert {f.id for f in fragments} == {5}
        datagram = b"".join(s[34:] for s in out)
        initial = gso.pseudo_header(out[0][26:30], out[0][30:34], 17, len(datagram))
        assert gso.checksum(datagram, initial) == 0

    def test_ufo_over_ipv6_inserts_a_fragment_header(self):
        hop = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
        for head in (ip6(), ip6() / IPv6ExtHdrDestOpt(), ip6() / hop):
            out = segments(build(head, UDP(sport=1, dport=2)), 800, gso_type=GsoType.UDP)
            fragments = [Ether(s)[IPv6ExtHdrFragment] for s in out]
            assert [f.m for f in fragments] == [1, 1, 1, 0]
            assert len({f.id for f in fragments}) == 1
            assert {f.nh for f in fragments} == {17}

    @pytest.mark.parametrize("size", [1, 5, 6, 7, 8, 9])
    def test_ufo_that_cuts_the_udp_header(self, size):
        out = segments(build(ip(), UDP(sport=1, dport=2)), size, gso_type=GsoType.UDP)
        datagram = b"".join(s[34:] for s in out)
        initial = gso.pseudo_header(out[0][26:30], out[0][30:34], 17, len(datagram))
        assert gso.checksum(datagram, initial) == 0

    def test_ufo_in_a_tunnel(self):
        packet = vxlan(ip(id=3), UDP(sport=1, dport=2), udp=UDP(sport=5, dport=4789, chksum=7))
        out = segments(packet, 1000, gso_type=GsoType.UDP)
        assert [Ether(s)[IP].id for s in out] == [9, 10, 11, 12]
        assert {Ether(s)[VXLAN][IP].id for s in out} == {3}
        for segment in out:
            initial = gso.pseudo_header(segment[26:30], segment[30:34], 17, len(segment) - 34)
            assert gso.checksum(segment[34:], initial) == 0


class TestGsoPartial:
    TYPE = GsoType.TCPV4 | GsoType.PARTIAL

    def test_one_long_segment_and_the_remainder(self):
        out = segments(build(ip(id=1), tcp(), payload=bytes(3500)), gso_type=self.TYPE)
        assert [len(s) - 54 for s in out] == [3000, 500]
        assert [Ether(s)[IP].len for s in out] == [1040, 540]
        assert [Ether(s)[IP].id for s in out] == [1, 4]
        assert Ether(out[1])[TCP].seq == (2**32 - 1000 + 3000) % 2**32

    def test_headers_are_those_of_the_devices_segments(self):
        """The outer checksum of the long segment is right for every segment cut from it."""
        packet = vxlan(ip(), tcp(), udp=UDP(sport=5, dport=4789, chksum=7), payload=bytes(3000))
        (long,) = segments(packet, gso_type=self.TYPE)
        first = segments(packet)[0]
        assert long[40:42] == first[40:42]

    def test_one_piece_is_no_gso_packet(self):
        out = segments(build(ip(), tcp(), payload=bytes(1500)), gso_type=self.TYPE)
        assert [len(s) - 54 for s in out] == [1000, 500]


def test_partial_checksum_is_the_pseudo_header_sum():
    for packet in (build(ip(), tcp()), vxlan(ip(), tcp())):
        layout = gso.parse(packet)
        at = layout.inner_transport_header or layout.transport_header
        for segment in segments(packet, checksum="partial"):
            total = gso.pseudo_header(segment[at - 8 : at - 4], segment[at - 4 : at], 6,
                                      len(segment) - at)  # fmt: skip
            assert segment[at + 16 : at + 18] == total.to_bytes(2, "big")


def test_size_zero_completes_checksums_only():
    packet = bytearray(vxlan(ip(), tcp(), udp=UDP(sport=5, dport=4789, chksum=7)))
    complete = bytearray(packet)
    packet[40:42] = b"\0\1"
    at = gso.parse(packet).inner_transport_header
    packet[at + 16 : at + 18] = b"\0\0"
    (out,) = segments(packet, 0)
    del complete[40:42]
    assert out[:40] + out[42:] == bytes(complete)


def test_size_zero_leaves_ethernet_padding_alone():
    packet = build(ip(), tcp(), payload=b"")
    (out,) = segments(packet + b"\x55" * 6, 0)
    assert out == packet + b"\x55" * 6


def test_size_zero_leaves_other_packets_alone():
    arp = bytes.fromhex("ffffffffffff02000000000108060001080006040001") + bytes(20)
    later = build(ip(frag=5), tcp())
    for packet in (arp, later, later[:36], build(ip(), UDP(sport=1, dport=2, chksum=0))):
        assert segments(packet, 0) == [packet]


def test_vlan_tags_are_repeated():
    for tags in (Dot1Q(vlan=5), Dot1AD(vlan=5) / Dot1Q(vlan=6)):
        packet = build(tags, ip(), tcp())
        n = len(tags)
        assert {s[12 : 14 + n] for s in segments(packet)} == {packet[12 : 14 + n]}
    too_many = Dot1Q()
    for _ in range(7):
        too_many /= Dot1Q()
    assert refused(build(too_many, ip(), tcp())) == (Reason.UNSUPPORTED, "vlan_hdr", 42, 8)


def test_raw_link_type():
    packet = build(ip(), tcp())
    expected = [s[14:] for s in segments(packet)]
    assert segments(packet[14:], link_type="raw") == expected
    assert gso.parse(packet[14:], link_type="raw").network_header == 0


TUNNELS = {
    "gre-key": lambda: build(ip(), GRE(key_present=1, key=9), ip(), tcp()),
    "gre6": lambda: build(ip6(), GRE(proto=0x86DD), ip6(), tcp()),
    "gue-v1": lambda: gue(ip(), tcp(), header=b""),
    "gpe": lambda: build(
        ip(), UDP(dport=4790, chksum=1), payload=b"\x0c\0\0\1\0\0\5\0" + build(ip(), tcp())[14:]
    ),
    "geneve-options": lambda: build(
        ip(),
        UDP(dport=6081, chksum=1),
        payload=b"\2\0\x65\x58\0\0\5\0" + b"\1\2\3\1\0\0\0\0" + build(ip(), tcp()),
    ),
    "mpls": lambda: build(MPLS(s=0), MPLS(s=1), ip(), tcp()),
    "nsh": lambda: build(NSH(mdtype=2, nextproto=1), ip(), tcp()),
    "nsh-ethernet": lambda: build(NSH(nextproto=3), payload=build(ip(), tcp())),
    "ipip-in-gue": lambda: gue(ip(), ip(), tcp()),
    "vxlan-in-ipip": lambda: build(ip(), payload=vxlan(ip(), tcp())[14:])[:23]
    + b"\4" + build(ip(), payload=vxlan(ip(), tcp())[14:])[24:],
}  # fmt: skip


@pytest.mark.parametrize("name", TUNNELS)
def test_tunnel(name):
    packet = TUNNELS[name]()
    out = segments(packet)
    at = gso.parse(packet, tunnel_ports=PORTS).payload
    assert b"".join(s[at:] for s in out) == PAYLOAD
    assert len(out) == 4


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (lambda: build(ip(proto=253), Raw(b"")), ("protocol", 23, 253)),
        (lambda: build(ip6(nh=59), Raw(b"")), ("nexthdr", 20, 59)),
        (lambda: build(ip(), UDP(dport=5557), GRE(chksum_present=1), ip(), tcp()),
         ("flags", 42, 0x8000)),
        (lambda: build(ip(), ip(), ip(), ip(), ip(), ip(), tcp()), ("encapsulation", 114, 5)),
        (lambda: gue(ip(), tcp(), header=b"\x20\4\0\0"), ("control", 43, 4)),
        (lambda: gue(ip(), tcp(), header=b"\x80\4\0\0"), ("version", 42, 2)),
        (lambda: b"\0" * 12 + b"\x08\x06" + bytes(50), ("h_proto", 12, 0x0806)),
    ],
)  # fmt: skip
def test_what_the_kernel_does_not_segment(packet, expected):
    assert refused(packet()) == (Reason.UNSUPPORTED, *expected)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({14: 0x44}, (Reason.BAD_HEADER, "ihl", 14, 5)),
        ({46: 0x40}, (Reason.BAD_HEADER, "doff", 46, 5)),
    ],
)
def test_bad_headers(change, expected):
    packet = bytearray(build(ip(), tcp()))
    for offset, value in change.items():
        packet[offset] = value
    assert refused(packet) == expected


@pytest.mark.parametrize(
    ("gso_type", "limit"),
    [
        (GsoType.TCPV6, GsoType.TCPV4),
        (GsoType.UDP_L4, GsoType.TCPV4),
        (GsoType.SCTP, GsoType.TCPV4),
        (1 << 21, (1 << 20) - 1),
        (GsoType.TCPV4 | GsoType.GRE_CSUM, GsoType.GRE_CSUM),
    ],
)
def test_gso_type_against_the_headers(gso_type, limit):
    expected = (Reason.GSO_TYPE, "gso_type", int(gso_type), limit)
    assert refused(build(ip(), tcp()), gso_type=gso_type) == expected


class TestSizes:
    PACKET = build(ip(), tcp(), payload=bytes(1000))

    @pytest.mark.parametrize("size", [1000, 1001, 65534])
    def test_payload_must_be_larger(self, size):
        assert refused(self.PACKET, size) == (Reason.NOT_GSO, "gso_size", 1000, size)

    @pytest.mark.parametrize("size", [-1, 65535, 65536, 1 << 62, 1 << 64, -(1 << 64)])
    def test_out_of_range(self, size):
        assert refused(self.PACKET, size) == (Reason.GSO_SIZE, "gso_size", size, 65534)

    def test_one(self):
        assert len(segments(self.PACKET, 1)) == 1000

    def test_lengths_end_at_65535(self):
        packet = build(ip(len=0), tcp(), payload=bytes(70000))
        assert Ether(segments(packet, 65495)[0])[IP].len == 65535
        assert refused(packet, 65496) == (Reason.TOO_LONG, "tot_len", 65536, 65535)
        packet = build(ip6(plen=0), tcp(), payload=bytes(70000))
        assert Ether(segments(packet, 65515)[0])[IPv6].plen == 65535
        assert refused(packet, 65516) == (Reason.TOO_LONG, "payload_len", 65536, 65535)

    def test_not_an_integer(self):
        with pytest.raises(TypeError):
            gso.segment(self.PACKET, 1.5)

    @pytest.mark.parametrize("make", [gso.segment, gso.segment_headers])
    def test_a_truth_counts_nothing(self, make):
        with pytest.raises(TypeError, match="gso_size is an integer, not True"):
            make(self.PACKET, True)
        with pytest.raises(TypeError, match="gso_type is an integer, not True"):
            make(self.PACKET, 1000, gso_type=True)
        with pytest.raises(TypeError, match="gso_size is an integer, not False"):
            gso.segment_batch([self.PACKET], False)


class TestBuffers:
    PACKET = build(ip(), tcp())

    @pytest.mark.parametrize(
        "make",
        [
            bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8),
            lambda b: np.repeat(np.frombuffer(b, np.uint8), 2)[::2],
            lambda b: memoryview(b[::-1])[::-1],
        ],
    )  # fmt: skip
    def test_any_buffer(self, make):
        assert gso.segment(make(self.PACKET), 1000) == gso.segment(self.PACKET, 1000)
        assert gso.parse(make(self.PACKET)) == gso.parse(self.PACKET)

    def test_empty(self):
        assert refused(b"") == (Reason.TRUNCATED, "ethhdr", 0, 0)

    def test_buffer_is_released(self):
        packet = bytearray(self.PACKET)
        gso.segment(packet, 1000)
        with pytest.raises(GsoError):
            gso.segment(packet, 60000)
        packet.append(1)

    @pytest.mark.parametrize("name", [r["name"] for r in records()[::9]])
    def test_every_prefix_is_an_answer_or_an_error(self, name):
        packet = frame(record(name))
        end = gso.parse(packet, tunnel_ports=PORTS).payload
        for n in range(end + 3):
            for size in (0, 1):
                answer = outcome(gso.segment, packet[:n], size)
                assert answer == outcome(reference.segment, packet[:n], size)

    def test_headers_behind_the_first_bytes(self):
        """A chain of headers longer than what is looked at first, and one beyond all offsets."""
        long = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(250))] * 8)
        out = segments(build(ip6() / long / long, tcp()))
        assert len(out) == 4
        endless = build(ip6(nh=60))[:54] + (b"\x3c\xff" + bytes(2046)) * 40
        assert refused(endless) == (Reason.TOO_LONG, "hdrlen", 54 + 31 * 2048, 65535)

    def test_concurrent_changes(self):
        """Another thread scribbles over the headers: wrong bytes are fine, anything else is not."""
        one = vxlan(ip(), tcp(), payload=bytes(60000))
        packet = bytearray(one * 2)
        view = memoryview(packet)
        frames = gso.Frames(packet, [0, len(one), len(packet)])
        stop = threading.Event()

        def scribble():
            rng = np.random.default_rng(1)
            while not stop.is_set():
                view[int(rng.integers(0, 110))] ^= int(rng.integers(1, 256))

        thread = threading.Thread(target=scribble)
        thread.start()
        outcomes = set()
        try:
            for i in range(300):
                try:
                    gso.segment(view[: len(one)], 1400)
                    gso.segment_batch(frames, 1400, threads=1 + i % 2)
                    outcomes.add("segments")
                except GsoError:
                    outcomes.add("error")
                view[:110] = one[:110]
        finally:
            stop.set()
            thread.join()
        assert outcomes == {"segments", "error"}


class TestLayout:
    def test_saves_parsing(self):
        packet, other = build(ip(id=1), tcp()), build(ip(id=2), tcp(), payload=b"x" * 2000)
        layout = gso.parse(packet)
        assert gso.segment(other, 700, layout=layout) == gso.segment(other, 700)

    def test_of_a_longer_frame_is_refused(self):
        layout = gso.parse(vxlan(ip(), tcp()))
        packet = build(ip(), tcp(), payload=b"")
        assert refused(packet, layout=layout) == (Reason.LAYOUT, "payload", 104, 54)

    def test_must_be_one(self):
        with pytest.raises(TypeError, match="Layout"):
            gso.segment(build(ip(), tcp()), 1000, layout=(0, 14))
        with pytest.raises(TypeError, match=r"gso\.parse"):
            gso.Layout()

    def test_long_headers(self):
        long = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(250))] * 2)
        packet = build(ip6() / long, tcp())
        assert gso.segment(packet, 900, layout=gso.parse(packet)) == gso.segment(packet, 900)

    def test_repr(self):
        text = repr(gso.parse(build(ip(), tcp())))
        assert "network_header=14, transport_header=34, inner_mac_header=None" in text
        assert "tunnel=<Tunnel.NONE: 0>" in text

    def test_the_ports_of_the_caller_come_first(self):
        packet = vxlan(ip(), tcp())
        assert gso.parse(packet).tunnel is Tunnel.VXLAN
        assert gso.parse(packet, tunnel_ports={4789: Tunnel.NONE}).tunnel is Tunnel.NONE
        many = dict.fromkeys(range(1, 2000), Tunnel.GUE) | {4789: Tunnel.NONE}
        assert gso.parse(packet, tunnel_ports=many).tunnel is Tunnel.NONE

    @pytest.mark.parametrize(
        ("name", "tnl_hlen"),
        [("gue-ipip/", 12), ("gue-ipip-remcsum/", 20), ("fou-ipip/", 8), ("gre/", 4),
         ("gre-csum/", 8), ("vxlan/", 16), ("ipip/", 0), ("gue-gre/", 16)],
    )  # fmt: skip
    def test_tnl_hlen(self, name, tnl_hlen):
        for r in records():
            if r["name"].startswith(name):
                assert gso.parse(frame(r), tunnel_ports=PORTS).tnl_hlen == tnl_hlen


class TestZeroWithoutSegmentation:
    """skb_checksum_help sends a checksum of 0 as 0xffff, also for TCP, unlike the segmenter."""

    packet = build(ip(), tcp(), payload=b"ab")

    def frame(self, field):
        """The payload makes the checksum 0."""
        bare = self.packet[:50] + bytes(2) + self.packet[52:54]
        seed = gso.pseudo_header(bare[26:30], bare[30:34], 6, 22)
        payload = gso.checksum(bare[34:], seed).to_bytes(2, "big")
        return bare[:50] + field + bare[52:] + payload

    def test_completed(self):
        pseudo = gso.segment(self.frame(b"\1\1"), 0, checksum="partial")[0]
        assert bytes(pseudo[50:52]) != b"\1\1"
        (made,) = segments(bytes(pseudo), 0)
        assert made == self.frame(b"\xff\xff")

    def test_already_right(self):
        assert segments(self.frame(b"\0\0"), 0) == [self.frame(b"\0\0")]
