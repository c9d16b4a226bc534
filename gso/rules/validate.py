"""What makes the header offsets of an sk_buff right or wrong, and what the kernel makes of it.

    skb = gso.SkbState(transport_header=0x46, inner_mac_header=0x44, inner_network_header=0x52,
                       network_header=0x32, len=1558)
    for finding in gso.validate(skb):
        print(finding)      # tunnel-header-negative: tnl_hlen is -2: inner_mac_header 68 - ...

`RULES` is the one table of rules; their arithmetic is in ``gso/rules/judge.c``, which applies them
to many packets at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gso.constants import GsoType, Tunnel
from gso.rules._judge import FIELDS, SKB_DTYPE, judge_batch, unknown_rows
from gso.rules._judge import RULES as NAMES

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.tunnels import TunnelPorts

__all__ = [
    "FIELDS",
    "RULES",
    "SKB_DTYPE",
    "Finding",
    "Findings",
    "Rule",
    "Severity",
    "SkbState",
    "explain",
    "skb_array",
    "validate",
    "validate_batch",
]

OFFSETS = (
    *("mac_header", "network_header", "transport_header"),
    *("inner_mac_header", "inner_network_header", "inner_transport_header"),
)
_UNSET = 0xFFFF


class Severity(str, Enum):
    """What a violated rule costs."""

    ERROR = "error"
    """The kernel drops the packet, or sends a wrong one, as soon as it has to segment it."""
    WARNING = "warning"
    """Works by luck, or on some devices only."""

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, kw_only=True)
class SkbState:
    """The fields of a ``struct sk_buff`` that segmentation relies on; None is unknown.

    Offsets count from ``skb->head``, in bytes. They are u16 in the kernel, and printed in many
    ways: -2, 65534, 0xfffe, 4294967294 and 18446744073709551614 are the same offset, kept as
    65534; 65535 is unset.

    Attributes:
        len, data_len: bytes in all, and those of them in pages.
        encapsulation: whether the inner offsets are in use.
        gso_size, gso_type: of ``skb_shinfo(skb)``; payload bytes per segment and `gso.GsoType`.
        inner_protocol_type: 0 is ENCAP_TYPE_ETHER (`inner_protocol` counts), 1 is
            ENCAP_TYPE_IPPROTO (`inner_ipproto` counts).
        protocol, inner_protocol: Ethernet types, host order.
        inner_ipproto: IP protocol number.
        ip_summed: 3 is CHECKSUM_PARTIAL.
        csum_start, csum_offset: where checksumming starts, from ``skb->head``, and from there to
            the checksum field.
        ihl, doff: the header lengths in the innermost IPv4 and TCP headers, in 32-bit words.
        payload: bytes behind the innermost transport header.
        tunnel: the `gso.Tunnel`, where it is known.
        l4: the innermost IP protocol, 6 or 17.
        tnl_hlen: the tunnel header length as the kernel computes it, inner_mac_header -
            transport_header (``__skb_udp_tunnel_segment``, ``gre_gso_segment``), from these offsets
            if they are known. It can be negative.
    """

    mac_header: int | None = None
    network_header: int | None = None
    transport_header: int | None = None
    inner_mac_header: int | None = None
    inner_network_header: int | None = None
    inner_transport_header: int | None = None
    len: int | None = None
    data_len: int | None = None
    encapsulation: int | None = None
    gso_size: int | None = None
    gso_type: int | None = None
    inner_protocol_type: int | None = None
    inner_protocol: int | None = None
    inner_ipproto: int | None = None
    protocol: int | None = None
    ip_summed: int | None = None
    csum_start: int | None = None
    csum_offset: int | None = None
    ihl: int | None = None
    doff: int | None = None
    payload: int | None = None
    tunnel: Tunnel | None = None
    l4: int | None = None
    tnl_hlen: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, _checked(field.name, value))
        inner, outer = self.inner_mac_header, self.transport_header
        if inner is not None and outer is not None:
            object.__setattr__(self, "tnl_hlen", inner - outer)

    @property
    def known(self) -> dict[str, int]:
        """The fields that are known, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: int(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_row(cls, row: np.void) -> SkbState:
        """One row of an array of SKB_DTYPE."""
        values: dict[str, Any] = {}
        *numbers, zero_known = row.item()
        for name, value in zip(FIELDS, numbers, strict=True):
            if value != _UNKNOWN[name] and (value or zero_known):
                # What no sk_buff can hold came from a damaged log: it is not known.
                with contextlib.suppress(ValueError):
                    values[name] = _checked(name, value)
        return cls(**values)


_UNKNOWN = {name: int(np.iinfo(SKB_DTYPE[name]).min) for name in FIELDS}


def _checked(name: str, value: int) -> int:
    """The number as SKB_DTYPE holds it, or ValueError."""
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is a {type(value).__name__}, not an int")
    number = int(value)
    if name in OFFSETS or name in ("csum_start", "tnl_hlen"):
        number -= 1 << 64 if 1 << 63 <= number < 1 << 64 else 0
    if name in OFFSETS or name == "csum_start":
        low, high = -0x8000, 0xFFFF
        number -= 1 << 32 if number >= (1 << 32) - 0x8000 else 0
    elif name == "tnl_hlen":
        low, high = -0xFFFF, 0xFFFF
        number -= 1 << 32 if number >= 1 << 31 else 0
        number -= 1 << 16 if 0x8000 <= number <= 0xFFFF else 0
    else:
        low, high = 0, int(np.iinfo(SKB_DTYPE[name]).max)
    if not low <= number <= high:
        raise ValueError(f"{name} is {number}, not within {low} to {high}")
    if name == "tunnel":
        return Tunnel(number)
    return number & 0xFFFF if name in OFFSETS or name == "csum_start" else number


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        rule: its identifier.
        severity: what violating it costs.
        compares: the comparison, in the kernel's names.
        fields: what must be known to judge it.
        kernel_outcome: which function refuses what, with which error and which counter.
        likely_cause: what is usually wrong, and the remedy.
        commits: upstream commits where it happened or was fixed.
        bit: its bit in the masks of `validate_batch`.
    """

    rule: str
    severity: Severity
    compares: str
    fields: tuple[str, ...]
    kernel_outcome: str
    likely_cause: str
    commits: tuple[str, ...]
    bit: int


_DROP = (
    "validate_xmit_skb frees the packet (kfree_skb, reason NOT_SPECIFIED) and the device counts it "
    "in tx_dropped."
)
_SET_MAC = (
    "The encapsulating function leaves inner_mac_header at the old link header. Where no Ethernet "
    "header is carried, it must call skb_set_inner_mac_header(skb, skb_inner_network_offset(skb))."
)
_TNL = ("inner_mac_header", "transport_header")
_E, _W = Severity.ERROR, Severity.WARNING

_TABLE: tuple[tuple[str, Severity, str, tuple[str, ...], str, str, tuple[str, ...]], ...] = (
    (
        "tunnel-header-negative",
        _E,
        "tnl_hlen = inner_mac_header - transport_header >= 0",
        _TNL,
        "__skb_udp_tunnel_segment and gre_gso_segment pull tnl_hlen bytes; as an unsigned number "
        f"it is larger than any packet, pskb_may_pull fails, the result is -EINVAL. {_DROP} "
        "Packets that need no segmentation pass.",
        _SET_MAC,
        ("84c0d5e96f3a", "d7fce52fdf96"),
    ),
    (
        "tunnel-header-short",
        _E,
        "tnl_hlen >= the tunnel's header: 8 UDP and FOU, 12 GUE (20 with remcsum), 16 VXLAN and "
        "Geneve, 4 GRE (8 with checksum)",
        _TNL,
        "__skb_udp_tunnel_segment takes the inner packet from inside the tunnel header: the inner "
        "segmenter reads a garbage IP header and returns -EINVAL; gre_gso_segment refuses less "
        f"than 4 bytes. {_DROP}",
        _SET_MAC,
        ("84c0d5e96f3a", "d7fce52fdf96"),
    ),
    (
        "tunnel-header-wrong",
        _E,
        "tnl_hlen is a multiple of 4, and 16 for VXLAN",
        _TNL,
        "__skb_udp_tunnel_segment takes the inner packet from the wrong place: the inner segmenter "
        f"reads a garbage header and returns -EINVAL or -EPROTONOSUPPORT. {_DROP}",
        _SET_MAC,
        ("84c0d5e96f3a", "d7fce52fdf96"),
    ),
    (
        "tunnel-header-long",
        _E,
        "tnl_hlen <= len",
        (*_TNL, "len"),
        f"pskb_may_pull(skb, tnl_hlen) fails in the tunnel's segmenter: -EINVAL. {_DROP}",
        "transport_header was not moved to the new outer header, or inner_mac_header points behind "
        "the packet: skb_reset_transport_header(skb) after pushing the outer header.",
        (),
    ),
    (
        "inner-mac-length",
        _E,
        "inner_network_header - inner_mac_header is 0, or 14 and VLAN headers; always 0 where the "
        "tunnel carries an IP packet",
        ("inner_mac_header", "inner_network_header", "inner_protocol_type"),
        "the tunnel's segmenter starts the inner packet at inner_mac_header, which here is inside "
        f"the tunnel header or the inner packet: -EINVAL, or segments with wrong headers. {_DROP}",
        _SET_MAC,
        ("84c0d5e96f3a", "d7fce52fdf96", "c6ae073f5903"),
    ),
    (
        "outer-header-order",
        _E,
        "mac_header <= network_header <= transport_header",
        ("network_header", "transport_header"),
        "skb_network_header_len and skb_mac_header_len become negative numbers taken as u32: the "
        f"segmenters copy or pull from the wrong place. {_DROP}",
        "A header was pushed or pulled without skb_reset_network_header or "
        "skb_reset_transport_header.",
        ("cc20cced0598", "c83b49383b59"),
    ),
    (
        "inner-header-order",
        _E,
        "network_header < inner_network_header <= inner_transport_header, and "
        "inner_mac_header <= inner_network_header",
        ("inner_network_header", "encapsulation"),
        "skb_inner_network_header_len is negative: features_check of drivers and the inner "
        f"segmenter read outside the headers. {_DROP}",
        "The inner offsets were saved too late, or an outer header was pushed without "
        "skb_reset_inner_headers (iptunnel_handle_offloads) before it.",
        ("025f8ad20f2e", "c6ae073f5903"),
    ),
    (
        "transport-header-unset",
        _E,
        "transport_header != 0xffff where gso_size > 0",
        ("transport_header", "gso_size"),
        "skb_transport_header points 64 kB behind the head: netif_needs_gso and qdisc_pkt_len_init "
        "read it as a header; the tunnel header length is negative or huge.",
        "The source of the packet set no transport header: skb_probe_transport_header or "
        "skb_set_transport_header is missing.",
        (),
    ),
    (
        "inner-header-unset",
        _E,
        "inner offsets are neither 0 nor 0xffff where encapsulation is 1",
        ("encapsulation", "inner_network_header"),
        "the tunnel's segmenter computes its header length from inner_mac_header, the drivers from "
        f"inner_transport_header: -EINVAL. {_DROP}",
        "skb->encapsulation was set without skb_reset_inner_headers(skb): use "
        "iptunnel_handle_offloads.",
        ("025f8ad20f2e",),
    ),
    (
        "encapsulation-unmarked",
        _E,
        "gso_type has a tunnel bit where encapsulation is 1 and gso_size > 0",
        ("encapsulation", "gso_type", "gso_size"),
        "udp4_ufo_fragment takes the tunnel for a plain UDP packet and returns -EINVAL; a device "
        f"with hardware segmentation cuts the inner packet at the outer headers. {_DROP}",
        "iptunnel_handle_offloads was called without the tunnel's SKB_GSO_ bit, or a plain GSO "
        "packet was received as if it were a tunnel packet.",
        ("3d010c8031e3", "cc20cced0598"),
    ),
    (
        "encapsulation-missing",
        _E,
        "encapsulation is 1 where gso_type has SKB_GSO_UDP_TUNNEL, GRE or their _CSUM",
        ("encapsulation", "gso_type", "gso_size"),
        "gre_gso_segment and udp4_ufo_fragment (udp6_ufo_fragment) return -EINVAL: without "
        f"skb->encapsulation they see no tunnel. {_DROP}",
        "The tunnel header was removed without iptunnel_pull_offloads, or pushed without "
        "iptunnel_handle_offloads.",
        (),
    ),
    (
        "gso-type-contradictory",
        _E,
        "gso_type has exactly one of TCPV4, TCPV6, UDP, UDP_L4, SCTP, FCOE where gso_size > 0",
        ("gso_type", "gso_size"),
        "the segmenter of the protocol in the header finds its bit missing and returns -EINVAL "
        f"(tcp4_gso_segment, tcp6_gso_segment, udp4_ufo_fragment). {_DROP}",
        "gso_type came from an untrusted header (virtio, packet socket), or was overwritten "
        "instead of extended by |=.",
        ("121d57af308d",),
    ),
    (
        "gso-type-protocol",
        _E,
        "gso_type's transport is that of the packet: TCPV4 in IPv4, TCPV6 in IPv6, UDP_L4 in UDP",
        ("gso_type", "gso_size", "protocol"),
        "tcp4_gso_segment, tcp6_gso_segment or udp4_ufo_fragment is called for the packet's "
        f"protocol and returns -EINVAL as its own bit is missing. {_DROP}",
        "gso_type came from an untrusted header, or a translation between IPv4 and IPv6 did not "
        "change it.",
        ("121d57af308d",),
    ),
    (
        "inner-ipproto-handler",
        _E,
        "inet_offloads[inner_ipproto] has a gso_segment: 4, 6, 17, 41, 47, 50, 132",
        ("inner_protocol_type", "inner_ipproto"),
        f"skb_udp_tunnel_segment finds no segmenter for the inner protocol: -EINVAL. {_DROP}",
        "skb_set_inner_ipproto is missing, has another protocol's number, or comes after the "
        "packet was handed on.",
        ("9e7c5b396e98",),
    ),
    (
        "inner-protocol-handler",
        _E,
        "inner_protocol is an Ethernet type with a segmenter",
        ("inner_protocol_type", "inner_protocol"),
        "skb_mac_gso_segment finds no segmenter: -EPROTONOSUPPORT, or -EINVAL for type 0. " + _DROP,
        "skb_set_inner_protocol is missing or has the wrong type.",
        (),
    ),
    (
        "csum-start",
        _E,
        "csum_start is the innermost transport header where ip_summed is CHECKSUM_PARTIAL",
        ("ip_summed", "csum_start", "encapsulation"),
        "tcp_gso_segment and __udp_gso_segment return -EINVAL; a device that completes the "
        f"checksum writes it into the wrong place. {_DROP}",
        "A virtio header has a wrong csum_start, or a header was inserted or removed behind it "
        "without moving csum_start.",
        ("89add40066f9",),
    ),
    (
        "csum-offset",
        _E,
        "csum_offset is 16 for TCP, 6 for UDP where ip_summed is CHECKSUM_PARTIAL",
        ("ip_summed", "csum_offset", "gso_size"),
        "virtio_net_hdr_to_skb refuses such a header with -EINVAL; a device that completes the "
        "checksum overwrites another field.",
        "A virtio header has a wrong csum_offset.",
        ("89add40066f9",),
    ),
    (
        "uso-checksum",
        _E,
        "ip_summed is CHECKSUM_PARTIAL where gso_type has UDP_L4",
        ("ip_summed", "gso_type", "gso_size"),
        "virtio_net_hdr_to_skb refuses it with -EINVAL; __udp_gso_segment returns -EINVAL as "
        f"csum_start is not at the UDP header. {_DROP}",
        "A virtio header asks for USO without VIRTIO_NET_HDR_F_NEEDS_CSUM.",
        ("fc8b2a619469",),
    ),
    (
        "ihl-small",
        _E,
        "ihl >= 5",
        ("ihl",),
        f"inet_gso_segment returns -EINVAL. {_DROP}",
        "The IPv4 header is damaged, or network_header does not point at one.",
        (),
    ),
    (
        "doff-small",
        _E,
        "doff >= 5",
        ("doff",),
        f"tcp_gso_segment returns -EINVAL. {_DROP}",
        "The TCP header is damaged, or transport_header does not point at one.",
        (),
    ),
    (
        "payload-not-larger",
        _E,
        "payload > gso_size",
        ("payload", "gso_size", "gso_type"),
        "tcp_gso_segment and __udp_gso_segment return -EINVAL: there is nothing to segment. "
        + _DROP,
        "gso_size was not cleared (skb_gso_reset) when the packet was trimmed, or came from an "
        "untrusted header.",
        ("235174b2bed8", "b10b446ce7ad", "78effd896eee"),
    ),
    (
        "data-len",
        _E,
        "data_len <= len",
        ("len", "data_len"),
        "skb_headlen is negative: __skb_pull stops the kernel with BUG.",
        "len or data_len was changed by hand without the other.",
        (),
    ),
    (
        "gso-by-frags",
        _E,
        "gso_size is not GSO_BY_FRAGS (0xffff) where gso_type has DODGY",
        ("gso_size", "gso_type"),
        "virtio_net_hdr_to_skb refuses it with -EINVAL; skb_segment would cut by a fragment list "
        "that is not there.",
        "gso_size came from an untrusted header.",
        (),
    ),
    (
        "uso-segments",
        _W,
        "payload <= 128 * gso_size where gso_type has UDP_L4 and DODGY",
        ("payload", "gso_size", "gso_type"),
        "virtio_net_hdr_to_skb refuses more than UDP_MAX_SEGMENTS datagrams with -EINVAL.",
        "The sender's gso_size is too small for its payload.",
        (),
    ),
    (
        "dodgy-gso-size",
        _E,
        "gso_size > 0 where gso_type has DODGY and a kind of packet",
        ("gso_size", "gso_type"),
        "virtio_net_hdr_to_skb refuses it with -EINVAL: the writer (tun, packet socket) gets the "
        "error, virtio_net counts rx_frame_errors.",
        "A virtio header names a kind of GSO packet and no segment size.",
        (),
    ),
    (
        "dodgy-csum-start",
        _E,
        "csum_start is behind the IP header (20 or 40 bytes at least) where gso_type has DODGY",
        ("csum_start", "network_header", "protocol", "ip_summed", "gso_type", "encapsulation"),
        "virtio_net_hdr_to_skb refuses a csum_start inside the smallest IP header with -EINVAL; "
        "older kernels write the checksum into the IP header.",
        "A virtio header has a wrong csum_start.",
        ("89add40066f9",),
    ),
    (
        "dodgy-tunnel-checksum",
        _E,
        "ip_summed is CHECKSUM_PARTIAL where gso_type has DODGY and a UDP tunnel",
        ("ip_summed", "gso_type", "gso_size"),
        "virtio_net_hdr_tnl_to_skb refuses a tunnel header without VIRTIO_NET_HDR_F_NEEDS_CSUM "
        "with -EINVAL.",
        "A virtio header has a tunnel's gso_type and no VIRTIO_NET_HDR_F_NEEDS_CSUM.",
        (),
    ),
)

RULES: Mapping[str, Rule] = {row[0]: Rule(*row, bit=NAMES.index(row[0])) for row in _TABLE}
"""Every rule by its identifier, in the order of their bits."""


@dataclass(frozen=True)
class Finding:
    """A violated rule.

    Attributes:
        rule: the rule's identifier.
        severity: what it costs.
        message: what is compared, with the numbers.
        fields: the values that were compared, by name.
        kernel_outcome: what the kernel does about it.
        likely_cause: what is usually wrong, and the remedy.
    """

    rule: str
    severity: Severity
    message: str
    fields: Mapping[str, int]
    kernel_outcome: str
    likely_cause: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


class Findings(list[Finding]):
    """The findings, worst first as the table has them.

    Attributes:
        judged: identifiers of the rules that could be judged.
        not_judged: for each rule that lacks fields, which ones.
    """

    def __init__(
        self,
        found: Iterable[Finding] = (),
        judged: Iterable[str] = (),
        not_judged: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        super().__init__(found)
        self.judged = tuple(judged)
        self.not_judged = dict(not_judged or {})


def skb_array(states: Iterable[SkbState] | int) -> npt.NDArray[np.void]:
    """Array of SKB_DTYPE: of these states, or so many rows in which nothing is known yet.

    Unknown is the lowest number of a field's type, -2147483648 or -32768. In rows made by
    ``numpy.zeros``, whose field ``zero_known`` is 0, zero is unknown as well; what is put into
    them counts unless it is zero. The rows made here have ``zero_known`` 1: their zeros count.
    """
    if isinstance(states, int):
        return unknown_rows(states)
    known = [state.known for state in states]
    rows = unknown_rows(len(known))
    for row, values in zip(rows, known, strict=True):
        for name, value in values.items():
            row[name] = value
    return rows


def validate(
    skb: SkbState | Buffer,
    *,
    link_type: str = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    mtu: int | None = None,
) -> Findings:
    """Which rules an sk_buff, or a frame, violates.

    Args:
        skb: fields of an sk_buff; or the bytes of a frame, which are judged by their length and
            checksum fields.
        link_type: for a frame: what it starts with, as for `gso.headers.fields.dissect`.
        tunnel_ports: for a frame: UDP destination ports of tunnels, as for `gso.parse`.
        mtu: for a frame: the largest IP packet in bytes, if that is to be judged.

    Returns:
        A list of findings; its ``not_judged`` tells which rules lack which fields.
    """
    if not isinstance(skb, SkbState):
        from gso.rules.frames import validate_frame  # noqa: PLC0415  (it imports this)

        return validate_frame(skb, link_type=link_type, tunnel_ports=tunnel_ports, mtu=mtu)
    violated, judged = judge_batch(skb_array([skb]))
    known = skb.known
    return Findings(
        [finding(rule, known) for rule in explain(int(violated[0]))],
        [rule.rule for rule in explain(int(judged[0]))],
        _not_judged(int(judged[0]), known),
    )


def _not_judged(judged: int, known: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    lacking = {
        rule.rule: tuple(name for name in rule.fields if name not in known)
        for rule in RULES.values()
        if not judged >> rule.bit & 1
    }
    return {name: fields for name, fields in lacking.items() if fields}


def finding(rule: Rule, known: Mapping[str, int]) -> Finding:
    """The finding that a packet with these fields violates the rule."""
    names = list(dict.fromkeys((*_RELEVANT.get(rule.rule, ()), *rule.fields)))
    values = {name: known[name] for name in names if name in known}
    return Finding(
        rule.rule,
        rule.severity,
        _message(rule, values, known),
        values,
        rule.kernel_outcome,
        rule.likely_cause,
    )


_RELEVANT = {
    **dict.fromkeys(
        ("tunnel-header-negative", "tunnel-header-short", "tunnel-header-wrong"),
        ("tnl_hlen", *_TNL, "inner_network_header"),
    ),
    "tunnel-header-long": ("tnl_hlen", *_TNL),
    "inner-header-unset": ("inner_mac_header", "inner_network_header", "inner_transport_header"),
    "inner-header-order": ("network_header", *OFFSETS[3:]),
    "outer-header-order": ("mac_header", "network_header", "transport_header"),
    "csum-start": ("csum_start", "transport_header", "inner_transport_header"),
    "gso-type-protocol": ("l4",),
    "dodgy-csum-start": ("csum_start", "network_header"),
}


def _message(rule: Rule, values: Mapping[str, int], known: Mapping[str, int]) -> str:
    name = rule.rule
    if name.startswith("tunnel-header") and known.keys() >= set(_TNL):
        inner, outer = known["inner_mac_header"], known["transport_header"]
        text = f"tnl_hlen is {inner - outer}: inner_mac_header {inner} - transport_header {outer}"
        if name == "tunnel-header-long":
            return f"{text}, but the packet has {known['len']} bytes"
        network = known.get("inner_network_header", 0)
        if network > outer:
            return f"{text}; up to inner_network_header {network} it would be {network - outer}"
        return text
    if name == "inner-mac-length":
        inner, network = known["inner_mac_header"], known["inner_network_header"]
        return (
            f"the inner MAC header is {network - inner} bytes long: "
            f"inner_network_header {network} - inner_mac_header {inner}"
        )
    shown = ", ".join(f"{key} {_shown(key, value)}" for key, value in values.items())
    return f"{shown}; it should be: {rule.compares}"


def _shown(name: str, value: int) -> str:
    if name == "gso_type":
        return f"0x{value:x} ({GsoType(value).name or 'none'})"
    if name in OFFSETS and value == _UNSET:
        return "0xffff (unset)"
    if name.endswith("protocol"):
        return f"0x{value:04x}"
    return str(value)


def validate_batch(rows: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """Judge many sk_buffs at once: uint64, shape (n,); bit i is set where rule i is violated.

    Args:
        rows: shape (n,), of `gso.SKB_DTYPE`, as `gso.skb_array` makes them: unknown fields have the
            lowest number of their type, and are zero where the row's ``zero_known`` is 0
            (``numpy.zeros``). Offsets may be signed or not: -2 is 65534.

    `explain` tells what a mask means.
    """
    return judge_batch(rows, with_judged=False)[0]


def explain(mask: Any) -> list[Rule]:
    """The rules whose bits are set in a mask of `validate_batch`, in the order of their bits."""
    number = int(mask)
    if number < 0 or number >> len(RULES):
        raise ValueError(
            f"mask 0x{number & (1 << 64) - 1:x} has bits beyond the {len(RULES)} rules"
        )
    return [rule for rule in RULES.values() if number >> rule.bit & 1]
