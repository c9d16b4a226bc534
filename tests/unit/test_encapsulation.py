"""Packets put into tunnels and taken out: what is refused, and what the parameters mean."""

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

import gso
from gso import Frames, GsoError, Reason, Tunnel

V4 = {"source": "192.0.2.1", "destination": "198.51.100.2"}
V6 = {"source": "2001:db8::1", "destination": "2001:db8::2"}


def packet(version=4, size=1000, **ip):
    kind = {4: IP, 6: IPv6}[version]
    return bytes(
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / kind(**ip) / TCP() / bytes(size)
    )


def one(frame, kind, **options):
    [made] = gso.encapsulate([frame], kind, **V4 | options).to_list()
    return made


SIZES = [
    ("vxlan", 4, {}, 50),
    ("vxlan", 6, {}, 70),
    ("geneve", 4, {}, 50),
    ("geneve", 4, {"options": 8}, 58),
    ("geneve", 4, {"options": 252}, 302),
    ("geneve", 4, {"inner": "ip"}, 36),
    ("vxlan-gpe", 4, {}, 36),
    ("gue", 4, {}, 32),
    ("gue", 6, {}, 52),
    ("gue", 4, {"remcsum": True}, 40),
    ("fou", 4, {}, 28),
    ("ipip", 4, {}, 20),
    ("sit", 4, {}, 20),
    ("ip6tnl", 6, {}, 40),
    ("ip6tnl", 6, {"encap_limit": True}, 48),
    ("gre", 4, {}, 24),
    ("gre", 4, {"key": 1}, 28),
    ("gre", 4, {"checksum": True}, 28),
    ("gre", 4, {"key": 1, "checksum": True, "sequence": True}, 36),
    ("gre", 4, {"inner": "ethernet"}, 38),
    ("bareudp", 4, {}, 28),
    ("gtp-u", 4, {}, 36),
    (Tunnel.VXLAN, 4, {"checksum": True}, 50),
]


# What `overhead` only asks for, and `encapsulate` needs a value of.
MADE = {"sequence": 0, "encap_limit": 4}


@pytest.mark.parametrize(("tunnel", "version", "header", "expected"), SIZES)
def test_overhead_is_what_a_packet_grows_by(tunnel, version, header, expected):
    assert gso.overhead(tunnel, version, **header) == expected
    given = header | {name: value for name, value in MADE.items() if name in header}
    ends = V4 if version == 4 else V6
    frame = packet(6 if tunnel == "sit" else 4)
    if tunnel in ("fou", "bareudp"):
        given["port"] = 5555
    if "options" in header:
        given["options"] = bytes(header["options"])
    [made] = gso.encapsulate([frame], tunnel, **ends, **given).to_list()
    assert len(made) - len(frame) == expected


def test_what_fits_an_mtu():
    assert gso.mss(1500) == 1460
    assert gso.mss(1500, tcp_options=12) == 1448
    assert gso.mss(1500, inner_version=6) == 1440
    assert gso.mss(1500, "vxlan") == 1410
    assert gso.mss(1500, "gue", 6, inner_version=6, remcsum=True) == 1380
    with pytest.raises(ValueError, match="mtu is 80, and headers take 90 bytes"):
        gso.mss(80, "vxlan")
    with pytest.raises(ValueError, match="key: not without a tunnel"):
        gso.mss(1500, key=3)


@pytest.mark.parametrize("kind", ["vxlan", "geneve", "gue", "gre", "ipip"])
@pytest.mark.parametrize("size", [10, 1448, 60000])
def test_the_whole_way(kind, size):
    """A super-packet in a tunnel is segmented; each segment comes out as if segmented before."""
    frame = packet(size=size)
    ends = dict(V4, checksum=True) if kind not in ("ipip",) else V4
    made = gso.encapsulate([frame], kind, **ends)
    assert gso.validate(made[0]) == []
    wire = gso.segment_batch(made, 1400, errors="pass")
    inside = gso.decapsulate(wire)
    assert inside.to_list() == gso.segment_batch([frame], 1400, errors="pass").to_list()


def big_packet(version, size=100_000):
    """A packet of BIG TCP, as 7.3 has it: no jumbo header, and lengths that do not fit are 0."""
    frame = bytearray(packet(version, size=0) + bytes(size))
    frame[16:18] = frame[18:20] = bytes(2) if version == 6 else frame[18:20]
    if version == 4:
        frame[16:18] = frame[24:26] = bytes(2)
        frame[24:26] = gso.checksum(frame[14:34]).to_bytes(2, "big")
    return bytes(frame)


@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("ends", [V4, V6])
@pytest.mark.parametrize("kind", ["vxlan", "geneve", "gue", "gre", "any ip"])
@pytest.mark.parametrize("checksum", [False, True, "partial"])
def test_big_tcp_in_a_tunnel_of_7_3(kind, ends, inner, checksum):
    if kind == "any ip":
        kind = "ip6tnl" if ends is V6 else "ipip" if inner == 4 else "sit"
    if kind in ("ip6tnl", "ipip", "sit", "gre") and checksum:
        checksum = kind == "gre"
    options = {"checksum": checksum} if checksum else {}
    frame = big_packet(inner)
    with pytest.raises(GsoError, match="more than 65535") as refused:
        gso.encapsulate([frame], kind, **ends, **options)
    assert refused.value.reason is Reason.TOO_LONG
    made = gso.encapsulate([frame], kind, kernel="7.3", **ends, **options)
    layout = gso.parse(made[0])
    version = layout.outer_version
    at = layout.network_header + (2 if version == 4 else 4)
    assert bytes(made[0][at : at + 2]) == bytes(2)
    if kind in ("vxlan", "geneve", "gue"):
        at = layout.transport_header + 4
        assert bytes(made[0][at : at + 2]) == bytes(2)
    assert gso.decapsulate(made, kernel="7.3").to_list() == [frame]
    with pytest.raises(GsoError):
        gso.decapsulate(made)
    wire = gso.segment_batch(made, 1400, kernel="7.3")
    assert gso.decapsulate(wire).to_list() == gso.segment(frame, 1400, kernel="7.3").to_list()


def test_big_tcp_in_a_tunnel_with_a_length_of_its_own():
    with pytest.raises(GsoError, match="more than 65535"):
        one(big_packet(4), "gtp-u", kernel="7.3")
    datagram = bytes(Ether() / IP(len=0) / UDP(len=0, chksum=0) / bytes(70_000))
    with pytest.raises(GsoError, match="more than 65535"):
        one(datagram, "vxlan", kernel="7.3")


def test_names_and_numbers_of_a_tunnel_are_the_same():
    assert one(packet(), Tunnel.GUE) == one(packet(), "gue")


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("mpls", {}, "'mpls' cannot be made, only ipip"),
        (Tunnel.NSH, {}, "cannot be made"),
        ("fou", {}, "fou has no port of its own: give port="),
        ("ipip", {"port": 1}, "port= is for tunnels in UDP, and ipip is none"),
        ("ipip", {"key": 1}, "key= is not for a tunnel of the kind ipip"),
        ("gue", {"key": 1}, "key= is not for a tunnel of the kind gue"),
        ("vxlan", {"key": 1 << 24}, "key is 16777216, not from 0 to 16777215"),
        ("vxlan", {"port": 65536}, "port is 65536, not from 0 to 65535"),
        ("vxlan", {"inner": "ip"}, "vxlan carries ethernet, not 'ip'"),
        ("geneve", {"options": b"\0\0\0\1abc"}, "ends at byte 8, but options has 7 bytes"),
        (
            "geneve",
            {"options": bytes(256)},
            "ends at byte 256, but options has 256 bytes and may have 252",
        ),
        ("gre", {"sequence": -1}, "sequence is -1, not from 0"),
        ("gre", {"encap_limit": 4}, "encap_limit= is for an outer header of IPv6"),
        ("ip6tnl", {}, "ip6tnl has an outer header of IPv6, not IPv4"),
        ("vxlan", {"ttl": 0}, "ttl is 0, not from 1 to 255"),
        ("vxlan", {"tos": 256}, "tos is 256, not from 0 to 255"),
        ("vxlan", {"checksum": "yes"}, "checksum is True, False or"),
        ("vxlan", {"link": b"x"}, "link has 1 bytes, an Ethernet header has from 14 to 64"),
        ("vxlan", {"source": "2001:db8::1"}, "addresses of two IP versions"),
        ("vxlan", {"source": "somewhere"}, "'somewhere' does not appear to be an IPv4 or IPv6"),
        (
            "vxlan",
            {"source_port": 70000},
            "source_port is 70000, not from 0 to 65535",
        ),
        ("vxlan", {"source_port": [1, 2]}, r"source_port has shape \(2,\) for 1 frames"),
        ("vxlan", {"flow_label": 1 << 20}, "flow_label is 1048576, not from 0 to 1048575"),
    ],
)
def test_wrong_parameters(kind, options, says):
    with pytest.raises(ValueError, match=says):
        gso.encapsulate([packet()], kind, **V4 | options)


@pytest.mark.parametrize(
    "options",
    [{"source_port": "1"}, {"source_port": 1.5}, {"ip_id": True}, {"ttl": "x"}, {"link": "raw"}],
)
def test_parameters_of_a_wrong_type(options):
    with pytest.raises(TypeError):
        gso.encapsulate([packet()], "vxlan", **V4 | options)


@pytest.mark.parametrize(
    "frames", [b"x" * 60, bytearray(60), memoryview(b"x"), np.zeros(60, np.uint8), "x"]
)
@pytest.mark.parametrize(
    "call",
    [
        lambda frames: gso.encapsulate(frames, "vxlan", **V4),
        gso.decapsulate,
        gso.parse_batch,
        gso.checksum_batch,
        gso.coalesce,
        lambda frames: gso.segment_batch(frames, 1448),
        lambda frames: gso.segment_headers_batch(frames, 1448),
    ],
)
def test_one_buffer_is_no_list_of_frames(call, frames):
    with pytest.raises(TypeError, match=f"not one {type(frames).__name__}"):
        call(frames)


def test_frames_may_be_packets_of_scapy():
    layers = Ether() / IP(dst="10.0.0.2") / UDP(dport=7) / b"abc"
    assert (
        gso.parse_batch([layers]).tolist()
        == gso.parse_batch(Frames.from_list([bytes(layers)])).tolist()
    )
    assert gso.checksum_batch([layers, b"ab"]).shape == (2,)


@pytest.mark.parametrize(
    ("kind", "frame", "reason", "says"),
    [
        (
            "ipip",
            packet(6),
            Reason.UNSUPPORTED,
            r"frame 0: the tunnel does not carry IPv6 \(byte 14\)",
        ),
        ("sit", packet(4), Reason.UNSUPPORTED, "does not carry IPv4"),
        (
            "gue",
            bytes(Ether() / ARP()),
            Reason.UNSUPPORTED,
            "carries IP packets, and there is none at byte 14",
        ),
        ("vxlan", b"short", Reason.BAD_HEADER, "of 14 bytes or more, and this frame has 5"),
        (
            "gue",
            packet(4, 65480),
            Reason.TOO_LONG,
            "tot_len of the outer IP header is 65552, more than 65535",
        ),
    ],
)
def test_what_a_tunnel_does_not_carry(kind, frame, reason, says):
    with pytest.raises(GsoError, match=says) as caught:
        gso.encapsulate([frame], kind, **V4)
    assert caught.value.reason == reason


def test_the_source_port_is_that_of_the_flow():
    first, second = packet(src="10.0.0.1"), packet(src="10.0.0.2")
    frames = [first, first[:-10] + bytes(range(10)), second]
    ports = [int.from_bytes(made[34:36], "big") for made in gso.encapsulate(frames, "vxlan", **V4)]
    assert ports[0] == ports[1] != ports[2]
    flows = [packet(src=f"10.0.{n // 256}.{n % 256}") for n in range(2000)]
    ports = [int.from_bytes(made[34:36], "big") for made in gso.encapsulate(flows, "gue", **V4)]
    assert min(ports) >= 32768
    assert max(ports) <= 60998
    # 2000 numbers out of 28231, drawn at random, would be 1931 different ones.
    assert len(set(ports)) > 1850


def test_ports_and_ids_of_each_frame():
    made = gso.encapsulate(
        [packet()] * 3, "fou", port=5555, source_port=[1, 2, 3], ip_id=np.arange(7, 10), **V4
    )
    assert [int.from_bytes(m[34:36], "big") for m in made] == [1, 2, 3]
    assert [int.from_bytes(m[18:20], "big") for m in made] == [7, 8, 9]


def test_padding_stays_outside_of_a_tunnel_for_ip():
    frame = packet(size=0) + b"pad"
    assert one(frame, "gue")[14 + 32 :] == frame[14:-3]
    assert one(frame, "vxlan")[14 + 36 :] == frame


def test_the_kernels_remote_checksum_offload_is_undone():
    frame = packet(size=1001)
    made = one(frame, "gue", remcsum=True, checksum=True)
    assert made[14 + 40 :] != frame[14:]
    assert gso.decapsulate([made]).to_list() == [frame]


def test_a_packet_without_a_checksum_to_leave_has_no_remote_checksum():
    fragment = packet(frag=3, size=100)
    assert one(fragment, "gue", remcsum=True) == one(fragment, "gue")


CE, ECT_0, NOT_ECT = 3, 2, 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        (CE, ECT_0, CE),
        (CE, 1, CE),
        (CE, CE, CE),
        (ECT_0, ECT_0, ECT_0),
        (NOT_ECT, CE, CE),
        (1, NOT_ECT, NOT_ECT),
    ],
)
def test_a_mark_of_congestion_comes_along(version, outer, inner, expected):
    """RFC 6040, as INET_ECN_decapsulate does it."""
    tos = {"tos": inner} if version == 4 else {"tc": inner}
    frame = packet(version, **tos)
    for kind in ("vxlan", "gue"):
        made = bytearray(one(frame, kind))
        made[15] = made[15] & ~3 | outer
        made[24:26] = bytes(2)
        made[24:26] = gso.checksum(made[14:34]).to_bytes(2, "big")
        [inside] = gso.decapsulate([made]).to_list()
        tos = {"tos": expected} if version == 4 else {"tc": expected}
        assert inside == packet(version, **tos)


def test_a_mark_of_congestion_on_a_packet_that_does_not_know_of_it():
    made = bytearray(one(packet(), "gue"))
    made[15] |= 3
    made[24:26] = bytes(2)
    made[24:26] = gso.checksum(made[14:34]).to_bytes(2, "big")
    with pytest.raises(GsoError, match="congestion was met") as caught:
        gso.decapsulate([made])
    assert caught.value.reason == Reason.UNSUPPORTED


def changed(frame, at, value):
    return frame[:at] + bytes([value]) + frame[at + 1 :]


@pytest.mark.parametrize(
    ("frame", "reason", "says"),
    [
        (packet(), Reason.UNSUPPORTED, "no segmentation|no tunnel is known"),
        (bytes(Ether() / ARP()), Reason.UNSUPPORTED, "protocol 0x0806"),
        (changed(one(packet(), "gue"), 24, 7), Reason.CHECKSUM, "outer checksum at byte 24"),
        (
            changed(one(packet(), "vxlan", checksum=True), 200, 7),
            Reason.CHECKSUM,
            "outer checksum at byte 40",
        ),
        (
            changed(one(packet(), "gre", checksum=True), 200, 7),
            Reason.CHECKSUM,
            "outer checksum at byte 38",
        ),
        (
            one(packet(), "vxlan")[:-1],
            Reason.BAD_HEADER,
            "outer IP packet has 1090 bytes by its header",
        ),
        (changed(one(packet(), "vxlan"), 39, 255), Reason.BAD_HEADER, "outer UDP datagram has"),
    ],
)
def test_what_is_not_taken_out(frame, reason, says):
    with pytest.raises(GsoError, match=f"frame 0: .*({says})") as caught:
        gso.decapsulate([frame])
    assert caught.value.reason == reason


@pytest.mark.parametrize("kind", ["ipip", "gre", "gue", "vxlan"])
def test_a_tunnel_with_nothing_inside_is_refused(kind):
    """An outer length that ends with the tunnel's header, whatever bytes follow."""
    frame = bytearray(one(packet(size=0), kind))
    end = 14 + gso.overhead(kind) - (14 if kind == "vxlan" else 0)
    frame[16:18] = (end - 14).to_bytes(2, "big")
    frame[24:26] = bytes(2)
    frame[24:26] = gso.checksum(frame[14:34]).to_bytes(2, "big")
    if kind in ("gue", "vxlan"):
        frame[38:40] = (end - 34).to_bytes(2, "big")
    with pytest.raises(GsoError, match="begins at byte") as refused:
        gso.decapsulate([bytes(frame)])
    assert refused.value.reason is Reason.BAD_HEADER


def test_nothing_in_nothing_out():
    assert len(gso.encapsulate([], "vxlan", **V4)) == 0
    assert len(gso.decapsulate(Frames())) == 0


@pytest.mark.parametrize("checksum", [False, True])
def test_a_batch_that_does_not_stay_in_the_caches(checksum):
    """More than 16 MiB are written past the caches, and are the same bytes."""
    frames = [packet(4, 60000 - 7 * i, id=i) for i in range(8)]
    alone = gso.encapsulate(frames, "vxlan", checksum=checksum, **V4).to_list()
    assert gso.encapsulate(frames * 40, "vxlan", checksum=checksum, **V4).to_list() == alone * 40


@pytest.mark.parametrize("link_type", ["ethernet", "raw"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    "header", [{}, {"ttl": "inherit", "tos": "inherit", "df": "inherit"}, {"remcsum": True}]
)
def test_any_bit_may_differ_from_the_frame_before(version, link_type, header):
    """Headers are taken over from the frame before, but only where nothing depends on the bit."""
    frame = packet(version, 100)[14 if link_type == "raw" else 0 :]
    for at in range(60):
        for bit in range(8):
            changed = bytearray(frame)
            changed[at] ^= 1 << bit
            frames = [frame, bytes(changed), frame]
            try:
                alone = [one(each, "gue", link_type=link_type, **header) for each in frames]
            except GsoError:
                with pytest.raises(GsoError, match="frame 1: "):
                    gso.encapsulate(frames, "gue", link_type=link_type, **V4, **header)
            else:
                batch = gso.encapsulate(frames, "gue", link_type=link_type, **V4, **header)
                assert batch.to_list() == alone, (at, bit)
