"""The effects of the kernel's functions on a packet, by their names."""

from __future__ import annotations

import re
from functools import lru_cache

from gso.diagnosis._packet_table import AFTER_FREE, CONSUMES, DROPS, ENTERS, SEGMENTS

__all__ = [
    "CONSUMERS",
    "DROP_FUNCTIONS",
    "ENCAPSULATORS",
    "ENTRIES",
    "FREE_PREFIXES",
    "IP_IN_IP",
    "SEGMENTERS",
    "SEGMENT_WORDS",
    "SKB_NOT_FIRST",
    "TUNNEL_SEGMENTERS",
    "caller",
    "function_kind",
    "is_plain",
    "location_name",
]

DROP_FUNCTIONS = frozenset(
    {"kfree_skb", "kfree_skb_reason", "sk_skb_reason_drop", "kfree_skb_list_reason"}
    | {"kfree_skb_list", "__kfree_skb_reason"}
)
"""Functions that free a packet as dropped."""
CONSUMERS = frozenset({"consume_skb", "napi_consume_skb", "__kfree_skb", "__consume_stateless_skb"})
"""Functions that free a packet as used."""
FREE_PREFIXES = (
    *("skb_release", "kfree_skbmem", "skb_free"),
    *("__kfree_skb", "kfree_skb", "sk_skb_reason"),
)
"""Starts of names of functions that a packet passes while it is freed."""
ENTRIES = frozenset(
    {"__alloc_skb", "build_skb", "napi_build_skb", "napi_gro_receive", "gro_receive_skb"}
    | {"netif_receive_skb", "__netif_receive_skb", "__netif_receive_skb_core", "eth_type_trans"}
    | {"netif_receive_skb_list_internal", "ip_rcv", "ipv6_rcv", "ip_rcv_core", "ip6_rcv_core"}
    | {"__tcp_transmit_skb", "__ip_queue_xmit", "ip_send_skb", "udp_send_skb", "tun_get_user"}
)
"""Functions that a packet enters as a new one."""
ENCAPSULATORS = (
    *("ip_vs_tunnel_xmit", "ip_vs_tunnel_xmit_v6", "vxlan_xmit_one", "vxlan_xmit", "geneve_xmit"),
    *("ip6_tnl_xmit", "ip6gre_tunnel_xmit", "ipgre_xmit", "gre_tap_xmit", "erspan_xmit"),
    *("ip_tunnel_xmit", "ip_md_tunnel_xmit", "ipip_tunnel_xmit", "sit_tunnel_xmit", "gtp_dev_xmit"),
    *("bareudp_xmit", "udp_tunnel_xmit_skb", "udp_tunnel6_xmit_skb", "ip6_tnl_start_xmit"),
    *("iptunnel_xmit", "mpls_xmit", "nsh_push", "wg_socket_send_skb_to_peer"),
)
"""Functions that put an outer header before a packet, or are on the way of one that does."""
IP_IN_IP = frozenset(
    {"ip6_tnl_xmit", "ip6_tnl_start_xmit", "ipip_tunnel_xmit", "sit_tunnel_xmit", "iptunnel_xmit"}
    | {"ip_tunnel_xmit", "ip_md_tunnel_xmit", "mpls_xmit", "nsh_push", "wg_socket_send_skb_to_peer"}
)
"""The encapsulators that may put no header of a tunnel between the outer header and the packet."""
SKB_NOT_FIRST = frozenset(
    {"iptunnel_xmit", "udp_tunnel_xmit_skb", "udp_tunnel6_xmit_skb", "wg_socket_send_skb_to_peer"}
)
"""The encapsulators whose first argument is not the sk_buff."""
SEGMENTERS = ("validate_xmit_skb", "ip_finish_output_gso", "skb_udp_tunnel_segment")
"""Functions that free a packet that cannot be segmented."""
TUNNEL_SEGMENTERS = ("skb_udp_tunnel_segment", "gre_gso_segment")
"""Functions that segment the inner packet of a tunnel."""
SEGMENT_WORDS = ("_gso_segment", "_ufo_fragment", "udp_tunnel_segment", "skb_segment")
"""Parts of the names of functions that segment."""

_CACHED = 1 << 12


@lru_cache(maxsize=_CACHED)
def is_plain(reason: str) -> bool:
    """Whether a packet that could not be segmented may be freed for this reason.

    kfree_skb gives none, which is shown as NOT_SPECIFIED, or as a number.
    """
    return reason.removeprefix("SKB_DROP_REASON_") in ("", "NOT_SPECIFIED", "SKB_GSO_SEG", "1", "2")


def caller(stack: tuple[str, ...]) -> str:
    """Return the function that dropped a packet: the first of the stack that does not free."""
    frees = (
        "trace_event",
        "__traceiter",
        "kfree_skb",
        "sk_skb_reason",
        "__kfree_skb",
        "bpf_",
        "kprobe",
    )
    return next((name for name in stack if not name.startswith(frees)), "")


@lru_cache(maxsize=_CACHED)
def location_name(location: str) -> str:
    """Return the name of a location in the kernel, "" if the log shows only its address."""
    return "" if re.fullmatch(r"(0x)?[0-9a-f]{8,}", location) else location


def function_kind(name: str) -> int:
    """Return what a function of this name does, bits of `gso.diagnosis._packet_table`."""
    kind = DROPS * (name in DROP_FUNCTIONS) | CONSUMES * (name in CONSUMERS)
    kind |= ENTERS * (name in ENTRIES) | SEGMENTS * (name in SEGMENTERS)
    return kind | AFTER_FREE * name.startswith(FREE_PREFIXES)
