"""GRE in FOU and GUE: what the kernel sent is taken out and put in again, byte for byte."""

import struct
from ipaddress import ip_address

import pytest

import gso
import handmade
from gso import GsoError, Reason
from vectorset import PORTS, generated, records

V4 = {"source": "192.0.2.1", "destination": "198.51.100.2"}
V6 = {"source": "2001:db8::1", "destination": "2001:db8::2"}
FOU, GUE = 5557, 6080
TOLD = {FOU: (gso.Tunnel.FOU, 47)}
FRAME = handmade.ethernet(handmade.tcp(payload=bytes(i % 251 for i in range(3000))))


def wire():
    """Segments of the kernel's devices of type gre and gretap with ``encap``."""
    found = []
    for record in [*records(), *generated()]:
        tunnel = str(record.get("tunnel"))
        if "gre" in tunnel and ("fou" in tunnel or "gue" in tunnel):
            found += [(tunnel, bytes.fromhex(one)) for one in record["outputs"]]
    return found


def parameters(frame):
    """What `gso.encapsulate` is to be given for the same outer headers, read by hand."""
    link = frame[:14]
    if frame[14] >> 4 == 4:
        at, proto = 34, frame[23]
        given = {"ip_id": int.from_bytes(frame[18:20], "big"), "df": bool(frame[20] & 0x40)}
        given |= {"tos": frame[15], "ttl": frame[22]}
        ends = frame[26:30], frame[30:34]
    else:
        at, proto = 54, frame[20]
        word = int.from_bytes(frame[14:18], "big")
        given = {"tos": word >> 20 & 0xFF, "flow_label": word & 0xFFFFF, "ttl": frame[21]}
        ends = frame[22:38], frame[38:54]
        if proto == 60:
            given["encap_limit"], at, proto = frame[58], 62, frame[54]
    assert proto == 17
    source, port, _, check = struct.unpack_from(">4H", frame, at)
    given |= {"source_port": source, "port": port, "checksum": bool(check), "link": link}
    at += 8
    if port == FOU:
        given["encap"] = "fou"
    else:
        given["encap"], words = "gue", frame[at] & 31
        given["remcsum"] = words == 2
        assert frame[at + 1] == 47
        at += 4 + 4 * words
    flags, kind = struct.unpack_from(">2H", frame, at)
    assert flags & ~0x2000 == 0
    if flags:
        given["key"] = int.from_bytes(frame[at + 4 : at + 8], "big")
    given["inner"] = "ethernet" if kind == 0x6558 else "ip"
    names = ["source", "destination"]
    return given | {n: ip_address(end) for n, end in zip(names, ends, strict=True)}


def test_the_kernels_segments_are_taken_out_and_put_in_again():
    found = wire()
    assert len(found) > 400
    assert len({name for name, _ in found}) > 40
    for name, frame in found:
        [inside] = gso.decapsulate([frame], tunnel_ports=PORTS).to_list()
        given = parameters(frame)
        [again] = gso.encapsulate([inside], "gre", **given).to_list()
        assert again == frame, name


@pytest.mark.parametrize("ends", [V4, V6])
@pytest.mark.parametrize("inner", ["ip", "ethernet"])
@pytest.mark.parametrize(
    ("encap", "options", "expected"),
    [
        ("fou", {"port": FOU}, 8 + 4),
        ("fou", {"port": FOU, "key": 7}, 8 + 8),
        ("gue", {}, 12 + 4),
        ("gue", {"sequence": 1, "key": 7}, 12 + 12),
        ("gue", {"remcsum": True}, 20 + 4),
    ],
)
def test_overhead_and_mss_count_both_headers(ends, inner, encap, options, expected):
    version = 4 if ends is V4 else 6
    expected += (20 if version == 4 else 40) + (14 if inner == "ethernet" else 0)
    [made] = gso.encapsulate([FRAME], "gre", encap=encap, inner=inner, **ends, **options).to_list()
    asked = {"encap": encap, "inner": inner} | {k: v for k, v in options.items() if k != "port"}
    asked |= {"sequence": True} if "sequence" in options else {}
    assert gso.overhead("gre", version, **asked) == expected
    assert len(made) - len(FRAME) == expected
    assert gso.mss(1500, "gre", version, **asked) == 1460 - expected


@pytest.mark.parametrize("ends", [V4, V6])
@pytest.mark.parametrize("encap", ["fou", "gue"])
@pytest.mark.parametrize("remcsum", [False, True])
def test_the_whole_way(ends, encap, remcsum):
    """A super-packet is segmented in the tunnel as it is without it."""
    options = {"port": FOU, "checksum": True} | ends
    if encap == "gue":
        options |= {"port": GUE, "remcsum": remcsum}
    made = gso.encapsulate([FRAME], "gre", encap=encap, **options)
    cut = gso.segment_batch(made, 1000, tunnel_ports=TOLD)
    rules = {found.rule for one in cut for found in gso.validate(one, tunnel_ports=TOLD)}
    assert rules == ({"frame-partial-checksum"} if options.get("remcsum") else set())
    out = gso.decapsulate(cut, tunnel_ports=TOLD)
    assert out.to_list() == gso.segment(FRAME, 1000).to_list()


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("gre", {"encap": "fou"}, "fou has no port of its own: give port="),
        ("gre", {"encap": "vxlan"}, "encap is 'vxlan' for gre: it is 'fou' or 'gue'"),
        ("ipip", {"encap": "gue"}, "encap is 'gue' for ipip: .* for gre only"),
        ("gre", {"port": 1}, "port= is for tunnels in UDP, and gre is none"),
        ("gre", {"remcsum": True}, "remcsum= is not for a tunnel of the kind gre"),
        ("gre", {"encap": "fou", "port": 1, "remcsum": True}, "remcsum= is not for"),
    ],
)
def test_wrong_parameters(kind, options, says):
    with pytest.raises(ValueError, match=says):
        gso.encapsulate([FRAME], kind, **V4 | options)


def in_udp(port, payload):
    packet = handmade.udp(("192.0.2.1", 5), ("192.0.2.2", port), payload)
    return handmade.ethernet(packet)


INSIDE = handmade.tcp(payload=b"inside")
GRE = b"\0\0\x08\0"


@pytest.mark.parametrize(
    ("port", "payload", "told", "reason", "says"),
    [
        (GUE, b"\x20\x04\0\0" + INSIDE, {}, Reason.UNSUPPORTED, "GUE control message of type 4"),
        (GUE, b"\x80\x04\0\0" + INSIDE, {}, Reason.UNSUPPORTED, "is of version 2, and 1 is"),
        (GUE, b"\0\x2f\0\0\x40\0\x08\0" + INSIDE, {}, Reason.UNSUPPORTED, "source routing"),
        (GUE, b"\0\x2f\0\0\0\0\x88\x47" + INSIDE, {}, Reason.UNSUPPORTED, "but 0x8847"),
        (FOU, b"\0\1\x88\x0b" + INSIDE, TOLD, Reason.UNSUPPORTED, "version other than 0"),
        (FOU, b"\0\0\x08", TOLD, Reason.TRUNCATED, "gre_base_hdr"),
        (FOU, INSIDE, {FOU: ("fou", 50)}, Reason.UNSUPPORTED, "neither IP nor GRE but protocol 50"),
        (FOU, b"\x70" + INSIDE[1:], {FOU: "fou"}, Reason.UNSUPPORTED, "is no IP packet: .* is 7"),
    ],
)
def test_what_is_not_taken_out(port, payload, told, reason, says):
    with pytest.raises(GsoError, match=says) as why:
        gso.decapsulate([in_udp(port, payload)], tunnel_ports=told)
    assert why.value.reason == reason


def test_a_route_in_gre_is_not_taken_for_the_packet():
    gre = b"\x40\0\x08\0" + bytes(8) + INSIDE
    frame = handmade.ethernet(handmade.network(("192.0.2.1", 0), ("192.0.2.2", 0), 47, gre))
    with pytest.raises(GsoError, match="source routing"):
        gso.decapsulate([frame])


def test_a_checksum_of_gre_in_udp_is_judged():
    body = b"\x80\0\x08\0\0\0\0\0" + INSIDE
    check = gso.checksum(body)
    body = body[:4] + check.to_bytes(2, "big") + body[6:]
    assert gso.decapsulate([in_udp(FOU, body)], tunnel_ports=TOLD, link=b"").to_list() == [INSIDE]
    bad = body[:4] + (check ^ 1).to_bytes(2, "big") + body[6:]
    with pytest.raises(GsoError, match="outer checksum at byte 46") as why:
        gso.decapsulate([in_udp(FOU, bad)], tunnel_ports=TOLD)
    assert why.value.reason == Reason.CHECKSUM
