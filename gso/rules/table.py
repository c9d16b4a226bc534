"""The rules for the fields of an sk_buff, and what the kernel does where one is violated.

Their arithmetic is in ``judge.c``, which judges many packets at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["RULES", "TNL_HLEN_PARTS", "Rule", "Severity", "explain"]


class Severity(str, Enum):
    """How bad a violated rule is."""

    ERROR = "error"
    """The kernel drops the packet, or sends a wrong one, as soon as it has to segment it."""
    WARNING = "warning"
    """The packet works by luck, or on some devices only."""

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        rule: its identifier.
        severity: how bad a violation is.
        compares: what has to hold, in the kernel's names.
        fields: the fewest fields with which it can be judged. Others may do as well, or decide
            whether it applies.
        kernel_outcome: the function that refuses the packet, its error and the counter.
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
TNL_HLEN_PARTS = ("inner_mac_header", "transport_header")
_E, _W = Severity.ERROR, Severity.WARNING

_TABLE: tuple[tuple[str, Severity, str, tuple[str, ...], str, str, tuple[str, ...]], ...] = (
    (
        "tunnel-header-negative",
        _E,
        "tnl_hlen = inner_mac_header - transport_header >= 0",
        (*TNL_HLEN_PARTS, "inner_network_header"),
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
        (*TNL_HLEN_PARTS, "inner_network_header"),
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
        (*TNL_HLEN_PARTS, "inner_network_header"),
        "__skb_udp_tunnel_segment takes the inner packet from the wrong place: the inner segmenter "
        f"reads a garbage header and returns -EINVAL or -EPROTONOSUPPORT. {_DROP}",
        _SET_MAC,
        ("84c0d5e96f3a", "d7fce52fdf96"),
    ),
    (
        "tunnel-header-long",
        _E,
        "tnl_hlen <= len",
        (*TNL_HLEN_PARTS, "inner_network_header", "len"),
        f"pskb_may_pull(skb, tnl_hlen) fails in the tunnel's segmenter: -EINVAL. {_DROP}",
        "transport_header was not moved to the new outer header, or inner_mac_header points past "
        "the packet: skb_reset_transport_header(skb) after pushing the outer header.",
        (),
    ),
    (
        "inner-mac-length",
        _E,
        "inner_network_header - inner_mac_header is 0, or 14 and VLAN headers; always 0 where the "
        "tunnel carries an IP packet",
        ("inner_mac_header", "inner_network_header", "transport_header"),
        "the tunnel's segmenter starts the inner packet at inner_mac_header, which here is inside "
        f"the tunnel header or the inner packet: -EINVAL, or segments with wrong headers. {_DROP}",
        _SET_MAC,
        ("84c0d5e96f3a", "d7fce52fdf96", "c6ae073f5903"),
    ),
    (
        "outer-header-order",
        _E,
        "mac_header <= network_header <= transport_header",
        ("network_header", "transport_header", "gso_size"),
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
        ("network_header", "inner_network_header", "encapsulation"),
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
        "skb_transport_header points 64 kB past the head: netif_needs_gso and qdisc_pkt_len_init "
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
        ("gso_type", "gso_size", "l4"),
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
        ("inner_protocol_type", "inner_ipproto", "gso_type"),
        f"skb_udp_tunnel_segment finds no segmenter for the inner protocol: -EINVAL. {_DROP}",
        "skb_set_inner_ipproto is missing, has another protocol's number, or comes after the "
        "packet was handed on.",
        ("9e7c5b396e98",),
    ),
    (
        "inner-protocol-handler",
        _E,
        "inner_protocol is an Ethernet type with a segmenter",
        ("inner_protocol_type", "inner_protocol", "gso_type"),
        "skb_mac_gso_segment finds no segmenter: -EPROTONOSUPPORT, or -EINVAL for type 0. " + _DROP,
        "skb_set_inner_protocol is missing or has the wrong type.",
        (),
    ),
    (
        "csum-start",
        _E,
        "csum_start is the innermost transport header where ip_summed is CHECKSUM_PARTIAL",
        ("ip_summed", "csum_start", "encapsulation", "transport_header"),
        "tcp_gso_segment and __udp_gso_segment return -EINVAL; a device that completes the "
        f"checksum writes it into the wrong place. {_DROP}",
        "A virtio header has a wrong csum_start, or a header was inserted or removed after it "
        "without moving csum_start.",
        ("89add40066f9",),
    ),
    (
        "csum-offset",
        _E,
        "csum_offset is 16 for TCP, 6 for UDP where ip_summed is CHECKSUM_PARTIAL",
        ("ip_summed", "csum_offset", "gso_size", "gso_type"),
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
        ("payload", "gso_size"),
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
        "csum_start is after the IP header (20 or 40 bytes at least) where gso_type has DODGY",
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
    (
        "bad-offload",
        _E,
        "ip_summed is neither CHECKSUM_NONE nor CHECKSUM_COMPLETE where gso_size > 0 on transmit",
        ("context", "gso_size", "ip_summed"),
        "__skb_gso_segment finds that the checksum is not prepared (skb_needs_check) and warns: "
        "skb_warn_bad_offload. It computes the checksum itself if it can; other segments are sent "
        "with a wrong checksum, or dropped.",
        "A packet that GRO or LRO merged, or that was forwarded, keeps ip_summed NONE or COMPLETE; "
        "on transmit it must be CHECKSUM_PARTIAL, as a function that merges or makes GSO packets "
        "has to set it.",
        (),
    ),
    (
        "checksum-help-gso",
        _E,
        "gso_size is 0 in skb_checksum_help",
        ("context", "gso_size", "ip_summed"),
        "skb_checksum_help computes one checksum, not one a segment: it warns "
        "(skb_warn_bad_offload) and returns -EINVAL. The caller drops the packet.",
        "The packet should have been segmented first: the caller did not ask netif_needs_gso or "
        "skb_is_gso, or gso_size came from memory that something else wrote to.",
        (),
    ),
    (
        "checksum-outside",
        _E,
        "csum_start and the checksum lie within the linear data where ip_summed is "
        "CHECKSUM_PARTIAL",
        ("ip_summed", "csum_start", "headroom", "len", "data_len"),
        "skb_checksum_help returns -EINVAL (it warns: offset >= skb_headlen), and "
        "validate_xmit_skb frees the packet; a device writes the checksum into other bytes.",
        "csum_start was not set, or it was not moved with the headers, or the headers are not in "
        "the linear part: pskb_may_pull is missing.",
        (),
    ),
    (
        "longer-than-mtu",
        _W,
        "len without the link header <= mtu where gso_size is 0 on transmit",
        ("context", "gso_size", "len", "mtu"),
        "__dev_queue_xmit does not compare them: the driver, the other end of a veth pair "
        "(is_skb_forwardable), a bridge, or the next host drops the packet without a word.",
        "An outer header was added after the check of the path's MTU. The MTU inside a tunnel has "
        "to be smaller by all its headers; gso.mss and gso.overhead compute them.",
        (),
    ),
    (
        "ipxip-version",
        _E,
        "gso_type has SKB_GSO_IPXIP4 in an outer IPv4 header, SKB_GSO_IPXIP6 in IPv6, where the "
        "tunnel carries an IP packet",
        (
            *("gso_type", "gso_size", "encapsulation", "protocol"),
            *("inner_protocol_type", "inner_ipproto"),
        ),
        "ipip_gso_segment and sit_gso_segment (IPXIP4), ip4ip6_gso_segment and ip6ip6_gso_segment "
        f"(IPXIP6), in FOU and GUE, too, return -EINVAL without their bit. {_DROP}",
        "The encapsulator gives iptunnel_handle_offloads no bit, or that of the other version.",
        (),
    ),
    (
        "inner-protocol-version",
        _E,
        "inner_protocol, or inner_ipproto, names the IP version of gso_type: TCPV4 in IPv4, TCPV6 "
        "in IPv6",
        ("gso_type", "gso_size", "encapsulation", "inner_protocol_type", "inner_protocol"),
        "skb_udp_tunnel_segment and gre_gso_segment hand the inner packet to the segmenter of that "
        f"protocol, which finds another version, and returns -EINVAL. {_DROP}",
        "inner_protocol is left from another tunnel, or was overwritten with the outer protocol, "
        "or is fixed for a tunnel that carries both versions.",
        (),
    ),
    (
        "mpls-inner-header",
        _E,
        "inner_network_header follows whole labels, and inner_protocol is that of the packet "
        "there, where protocol is MPLS",
        ("protocol", "gso_size", "gso_type", "network_header", "inner_network_header"),
        "mpls_gso_segment takes inner_network_header for the end of the labels and inner_protocol "
        f"for what follows: -EINVAL, or a segmenter that reads a wrong header. {_DROP}",
        "skb_mpls_push takes the first label for another one where inner_protocol is left from a "
        "tunnel that was removed.",
        ("025f8ad20f2e",),
    ),
    (
        "vlan-in-band",
        _W,
        "protocol is that of the outer IP header, no VLAN, where a tunnel in UDP carries an IP "
        "protocol",
        ("protocol", "gso_type", "gso_size", "inner_protocol_type"),
        "skb_udp_tunnel_segment hands down protocol as that of the inner packet: bytes 16 and 17 "
        "of the inner IP header are read as an Ethernet type, and where they are zero the result "
        f"is -EINVAL. {_DROP}",
        "The device that the tunnel's packets leave by writes the VLAN header into the frame "
        "(ethtool -K DEVICE txvlan off).",
        (),
    ),
    (
        "fraglist-kind",
        _W,
        "gso_type has FRAGLIST only with UDP_L4, TCPV4 or TCPV6, and without a tunnel",
        ("gso_type", "gso_size"),
        "skb_segment_list gives each packet of the list its outer headers again, but not their "
        "checksums; other segmenters do not look at FRAGLIST.",
        "GRO made a list of packets (rx-gro-list) for forwarding, and the way out leads through a "
        "tunnel.",
        (),
    ),
    (
        "frag-list",
        _E,
        "frag_list is there, so data_len > 0, where gso_size is GSO_BY_FRAGS (0xffff) or gso_type "
        "has FRAGLIST; there the packet's head has one segment, payload - data_len <= gso_size",
        ("gso_size", "gso_type", "data_len"),
        "skb_segment and skb_segment_list cut by the packets of frag_list. Where there are none, "
        "the kernel reads through a null pointer and stops, for FRAGLIST before 6.12; where the "
        "head has more than one segment, those kernels send it as it is.",
        "The packet was made linear, or data of its frag_list were pulled into its head (NAT, "
        "bpf_skb_pull_data), and gso_size and gso_type were not set anew; or gso_size is memory "
        "that something else wrote to.",
        ("a1e40ac5b5e9", "17bd3bd82f9f"),
    ),
    (
        "gso-type-unknown",
        _E,
        "gso_type has no bit that the kernel does not know, where gso_size > 0: up to bit 19, in "
        "7.3 without TCP_FIXEDID (3) and with TCP_FIXEDID_OUTER and TCP_FIXEDID_INNER (30, 31)",
        ("gso_type", "gso_size"),
        "skb_gso_ok compares it with the features of the device as it is: the packet is segmented "
        "by chance, or handed to a device that cannot.",
        "skb_shared_info was overwritten: a driver wrote past the end of its buffer.",
        (),
    ),
    (
        "gso-segments",
        _E,
        "len / gso_size is less than 65536",
        ("len", "gso_size"),
        "gso_segs has 16 bits: its number wraps, and what qdisc and device count is wrong.",
        "gso_size is too small for the packet; or skb_shared_info was overwritten.",
        (),
    ),
    (
        "gre-sequence",
        _W,
        "a GRE header has no sequence number where gso_size > 0",
        ("gre_flags", "gso_type", "gso_size"),
        "gre_gso_segment repeats the header: every segment has the same number, and a peer that "
        "looks at numbers drops all but the first (rx_fifo_errors).",
        "GSO stays on for devices in external mode whose routes ask for sequence numbers (seq).",
        (),
    ),
)

COMMITS: Mapping[str, tuple[str, str]] = {
    "025f8ad20f2e": ("net: mpls: error out if inner headers are not set", "6.8"),
    "121d57af308d": ("gso: validate gso_type in GSO handlers", "4.15"),
    "17bd3bd82f9f": (
        "net: gso: fix tcp fraglist segmentation after pull from frag_list",
        "6.12",
    ),
    "235174b2bed8": ("udp: gso: do not drop small packets when PMTU reduces", "6.14"),
    "3d010c8031e3": ("udp: do not accept non-tunnel GSO skbs landing in a tunnel", "6.9"),
    "78effd896eee": ("udp: Fix UDP length on last GSO_PARTIAL segment", "7.1"),
    "84c0d5e96f3a": ("ipvs: allow tunneling with gue encapsulation", "5.2"),
    "89add40066f9": ("net: drop bad gso csum_start and offset in virtio_net_hdr", "6.11"),
    "9e7c5b396e98": ("ip6_tunnel: set inner ipproto before ip6_tnl_encap", "5.10"),
    "a1e40ac5b5e9": (
        "gso: fix udp gso fraglist segmentation after pull from frag_list",
        "6.12",
    ),
    "b10b446ce7ad": ("udp: gso: Use single MSS length in UDP header for GSO_PARTIAL", "7.0"),
    "c6ae073f5903": (
        "geneve: Fix incorrect inner network header offset when innerprotoinherit is set",
        "6.10",
    ),
    "c83b49383b59": (
        "net: nsh: Use correct mac_offset to unwind gso skb in nsh_gso_segment()",
        "6.4",
    ),
    "cc20cced0598": ("gso: do not skip outer ip header in case of ipip and net_failover", "5.17"),
    "d7fce52fdf96": ("ipvs: align inner_mac_header for encapsulation", "6.4"),
    "fc8b2a619469": ("net: more strict VIRTIO_NET_HDR_GSO_UDP_L4 validation", "6.6"),
}
"""The commits that rules cite: subject, and the first kernel version that has the commit."""

RULES: Mapping[str, Rule] = {row[0]: Rule(*row, bit=bit) for bit, row in enumerate(_TABLE)}
"""Every rule by its identifier, in the order of their bits."""


def explain(mask: Any) -> list[Rule]:
    """The rules whose bits are set in a mask of `validate_batch`, in the order of their bits."""
    number = int(mask)
    if number < 0 or number >> len(RULES):
        raise ValueError(
            f"mask 0x{number & (1 << 64) - 1:x} has bits beyond the {len(RULES)} rules"
        )
    return [rule for rule in RULES.values() if number >> rule.bit & 1]
