"""No false alarm: the kernel's own packets, as it had them just before segmentation."""

from __future__ import annotations

import pytest

import gso
import vectorset
from gso import SkbState

DROPPED = {
    "odd/payload-eq-mss": ["payload-not-larger"],
    "odd/tcp-csum-start-wrong": ["csum-start"],
    "plain/v4/drop-small": ["payload-not-larger"],
    # A packet that its own bytes make the kernel refuse says nothing of the sk_buff's fields.
    "odd/ip6-frag-hdr": [],
    "odd/proto-unknown": [],
}
STALE = {
    *("tunnel-header-negative", "tunnel-header-short", "tunnel-header-wrong"),
    *("inner-header-unset", "inner-mac-length"),
}
MADE_AT_RANDOM = ["payload-not-larger"]
RECORDED = (
    *("gso_size", "gso_type", "csum_start", "csum_offset", "encapsulation", "network_header"),
    *("inner_mac_header", "inner_network_header", "inner_transport_header"),
)


def sk_buff(record) -> SkbState:
    """The sk_buff's fields as the kernel had them, and as the packet shows them."""
    given, frame = record["input"], bytes(vectorset.frame(record))
    layout = gso.parse(frame, tunnel_ports=vectorset.PORTS)
    inner = layout.tunnel != gso.Tunnel.NONE
    network = layout.inner_network_header if inner else layout.network_header
    transport = layout.inner_transport_header if inner else layout.transport_header
    return SkbState(
        **{name: int(given[name]) for name in RECORDED if given.get(name) is not None},
        mac_header=0,
        transport_header=layout.transport_header,
        len=len(frame),
        ip_summed=3 if given["csum_partial"] else 0,
        protocol=int.from_bytes(frame[12:14], "big"),
        payload=len(frame) - layout.payload,
        tunnel=layout.tunnel,
        l4=layout.l4,
        ihl=frame[network] & 15 if frame[network] >> 4 == 4 else None,
        doff=frame[transport + 12] >> 4 if layout.l4 == 6 else None,
    )


@pytest.mark.parametrize("tunnel", sorted({r["tunnel"] for r in vectorset.records()}))
def test_what_the_kernel_segments_violates_no_rule(tunnel):
    records = [record for record in vectorset.records() if record["tunnel"] == tunnel]
    for record in records:
        found = gso.validate(sk_buff(record))
        expected = DROPPED.get(record["name"], MADE_AT_RANDOM) if record["dropped"] else []
        assert [one.rule for one in found] == expected, record["name"]
        if record["input"]["gso_size"]:
            assert len(found.judged) >= 8, (record["name"], found.judged)


def test_what_it_drops_is_all_here():
    dropped = {r["name"] for r in vectorset.records() if r["dropped"]}
    assert {name for name in dropped if not name.startswith("generated/")} == set(DROPPED)


@pytest.mark.parametrize("tunnel", sorted({r["tunnel"] for r in vectorset.records()}))
def test_a_stale_inner_mac_header_is_always_found(tunnel):
    """The incident's fault, made in each of the kernel's own tunnel packets that carry IP."""
    for record in vectorset.records():
        state = sk_buff(record)
        if record["tunnel"] != tunnel or state.encapsulation != 1 or record["dropped"]:
            continue
        if state.inner_mac_header != state.inner_network_header or not state.tnl_hlen:
            continue
        for stale in (state.network_header, state.inner_network_header - 14):
            found = gso.validate(SkbState(**{**state.known, "inner_mac_header": stale}))
            assert {one.rule for one in found} & STALE, (record["name"], stale)
