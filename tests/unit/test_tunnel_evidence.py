"""Whether the header between two IP headers is a tunnel's: by its bytes, gso_type, or its size."""

from __future__ import annotations

import io

import pytest

import gso
import handmade
from gso import GsoType

IPV6 = "2001:db8::1", "2001:db8::2"
IPV4 = "192.0.2.1", "192.0.2.2"
ROUTING = {n: bytes([41, 2 * n, 4, n - 1, n - 1, 0, 0, 0]) + bytes(16 * n) for n in (1, 2, 3)}
UDP = bytes.fromhex("03e8 157d 0000 0000")  # to port 5501
HEADERS = {
    **{f"segments-{n}": (IPV6, 43, header) for n, header in ROUTING.items()},
    "hop-by-hop": (IPV6, 0, bytes([41, 0, 5, 2, 0, 0, 1, 0])),
    "destination-options": (IPV6, 60, bytes([41, 0, 4, 1, 4, 1, 1, 0])),
    "fragment": (IPV6, 44, bytes([41, 0, 0, 1, 0, 0, 0, 9])),
    "authentication": (IPV6, 51, bytes([41, 4]) + bytes(22)),
    "authentication-4": (IPV4, 51, bytes([41, 4]) + bytes(22)),
    "esp": (IPV6, 50, bytes(16)),
    "esp-4": (IPV4, 50, bytes(24)),
    "sctp": (IPV4, 132, bytes(12)),
    "two-headers": (IPV6, 0, bytes([43, 0, 5, 2, 0, 0, 1, 0]) + ROUTING[1]),
    "gue": (IPV4, 17, UDP + bytes([0, 41, 0, 0])),
    "gue-6": (IPV6, 17, UDP + bytes([0, 41, 0, 0])),
    "fou-6": (IPV6, 17, UDP),
    "gre-6": (IPV6, 47, bytes.fromhex("000086dd")),
}
TUNNELS = ("gue", "gue-6", "fou-6", "gre-6")
HEAD = 100


def log(name: str, inner_mac: int, *, with_bytes: bool, more: str = "", function="x") -> str:
    """Return what ftrace prints of a super-packet and its drop; inner_mac counts from its IP."""
    ends, protocol, middle = HEADERS[name]
    inner = handmade.network(*((end, 0) for end in IPV6), 17, bytes(8 + 4000))
    frame = handmade.ethernet(handmade.network(*((e, 0) for e in ends), protocol, middle + inner))
    transport = HEAD + 14 + (40 if ends is IPV6 else 20)
    network = transport + len(middle)
    text = (
        f"       python3-174     [000] ..s1.    39.854161: {function}: ({function}+0x4/0xf70) "
        f"skb=0xff475bc19b1aab00 inner_mac_header={min(max(network + inner_mac, 0), 65535)} "
        f"inner_network_header={network} inner_transport_header={network + 40} "
        f"mac_header={HEAD} network_header={HEAD + 14} transport_header={transport} "
        f"len={len(frame)} data_len=4000{more}"
    )
    if with_bytes:
        words = (frame[at : at + 8] for at in range(0, 160, 8))
        text += f" data={{{','.join(hex(int.from_bytes(word, 'little')) for word in words)}}}"
    return (
        f"{text}\n       python3-174     [000] b.s1.    39.854262: kfree_skb: "
        "skbaddr=0xff475bc19b1aab00 protocol=34525 location=validate_xmit_skb+0x200/0x380 "
        "reason: NOT_SPECIFIED\n"
    )


def case(text: str) -> gso.diagnosis.cases.Case:
    [found] = gso.diagnose(gso.read_trace(io.BytesIO(text.encode()))).cases
    return found


@pytest.mark.parametrize("inner_mac", [-14, -17, -1000], ids=["before", "odd", "zero"])
@pytest.mark.parametrize("name", HEADERS)
def test_bytes_tell_whose_header_it_is(name, inner_mac):
    rules = case(log(name, inner_mac, with_bytes=True)).rules
    if name in TUNNELS:
        assert rules[0].startswith(("tunnel-header-", "inner-"))
    else:
        assert rules == ("dropped-in-segmentation",)


@pytest.mark.parametrize("inner_mac", [-14, -17, -1000, 65535], ids=["before", "odd", "0", "unset"])
@pytest.mark.parametrize("name", ["segments-1", "segments-2", "segments-3", "two-headers"])
def test_offsets_alone_call_no_routing_header_a_tunnel(name, inner_mac):
    found = case(log(name, inner_mac, with_bytes=False))
    assert found.rules == ("dropped-in-segmentation",)
    assert "cannot be judged" in found.message
    assert "gso_type" in found.message
    assert found.missing_call == ""


@pytest.mark.parametrize("inner_mac", [-1000, 40 + 16, 65535], ids=["zero", "behind", "unset"])
@pytest.mark.parametrize("name", ["esp", "esp-4", "authentication", "authentication-4"])
def test_offsets_alone_call_no_header_of_ipsec_a_tunnel(name, inner_mac):
    assert case(log(name, inner_mac, with_bytes=False)).rules == ("dropped-in-segmentation",)


@pytest.mark.parametrize("name", TUNNELS)
def test_offsets_alone_show_the_tunnels_of_ip_packets(name):
    assert case(log(name, -14, with_bytes=False)).rules == ("tunnel-header-negative",)


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        (GsoType.IPXIP6, ("dropped-in-segmentation",)),
        (GsoType.ESP, ("dropped-in-segmentation",)),
        (GsoType.UDP_TUNNEL, ("tunnel-header-wrong",)),
    ],
)
def test_gso_type_tells_whether_it_is_a_tunnels(kind, rules):
    more = f" gso_size=1400 gso_type={int(kind | GsoType.UDP_L4)}"
    assert case(log("segments-1", -14, with_bytes=False, more=more)).rules == rules


def test_its_segmenter_takes_it_for_a_tunnels():
    text = log("segments-1", -14, with_bytes=False, function="skb_udp_tunnel_segment")
    assert case(text).rules == ("tunnel-header-wrong",)


def test_bytes_from_elsewhere_tell_nothing():
    text = log("segments-1", -14, with_bytes=True)
    assert gso.read_trace(io.BytesIO(text.encode())).skb_state(0).tunnel is gso.Tunnel.IP6TNL
    for damaged in (
        text.replace(" len=", " len=9"),
        text.replace(" network_header=114 ", " network_header=113 "),
        text.replace("data={", "data={0x0,"),
    ):
        state = gso.read_trace(io.BytesIO(damaged.encode())).skb_state(0)
        assert state.tunnel is None


def test_bytes_count_wherever_they_stand_in_a_line():
    text = log("gre-6", -14, with_bytes=True)
    start = text.index(" data={")
    stop = text.index("}", start) + 1
    data, rest = text[start:stop], text[:start] + text[stop:]
    for line in (text, rest.replace(" inner_mac_header", data + " inner_mac_header")):
        assert gso.read_trace(io.BytesIO(line.encode())).skb_state(0).tunnel is gso.Tunnel.GRE
    lines = text.splitlines(keepends=True)
    other = log("gue", -14, with_bytes=True).splitlines(keepends=True)
    trace = gso.read_trace(io.BytesIO("".join([lines[0], *lines, *other, rest]).encode()))
    tunnels = [trace.skb_state(at).tunnel for at in (0, 1, 3, 5)]
    assert tunnels == [gso.Tunnel.GRE, gso.Tunnel.GRE, None, None]
