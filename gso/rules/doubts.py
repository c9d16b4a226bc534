"""What fields of an sk_buff leave open where a rule takes them as a segmenter would."""

from __future__ import annotations

from collections.abc import Mapping

from gso.constants import Context, GsoType, Tunnel

__all__ = ["TUNNEL_TYPES", "is_tunnel_doubtful"]

_OF_TUNNELS = frozenset(
    {"tunnel-header-negative", "tunnel-header-short", "tunnel-header-wrong", "tunnel-header-long"}
    | {"inner-mac-length", "inner-header-unset"}
)
"""Rules for packets with a tunnel's header."""
TUNNEL_TYPES = (GsoType.UDP_TUNNEL | GsoType.UDP_TUNNEL_CSUM | GsoType.GRE | GsoType.GRE_CSUM) | (
    GsoType.IPXIP4 | GsoType.IPXIP6
)
"""The bits of packets with a tunnel's header."""
_IPV4, _IPV6, _IPV6_LENGTH = 0x0800, 0x86DD, 40
_EITHER = 8
"""Bytes of FOU's header, and of the shortest IPv6 extension header; ESP without encryption, too.

Others that may not be a tunnel's the rules leave alone. GUE's 12 bytes are no multiple of 8: they
are a tunnel's in any case, as those of GRE with two of its options.
"""


def is_tunnel_doubtful(rule: str, known: Mapping[str, int]) -> bool:
    """Whether a rule judged the header before the inner packet as a tunnel's, by its length alone.

    Args:
        rule: the rule that was violated.
        known: the fields that are known, by name.
    """
    if rule not in _OF_TUNNELS or _is_named(known):
        return False
    outer, inner = known.get("transport_header"), known.get("inner_network_header")
    if outer is None or inner is None or inner - outer != _EITHER:
        return False
    mac = known.get("inner_mac_header")
    return _may_be_v6(known, outer) or mac == 0 or (mac is not None and mac > inner)


def _is_named(known: Mapping[str, int]) -> bool:
    if known.get("tunnel", Tunnel.NONE) != Tunnel.NONE:
        return True
    segmented = known.get("context", 0) & Context.TUNNEL_SEGMENTER
    return bool(segmented or known.get("gso_type", 0) & TUNNEL_TYPES)


def _may_be_v6(known: Mapping[str, int], transport: int) -> bool:
    protocol, network = known.get("protocol"), known.get("network_header")
    if protocol in (_IPV4, _IPV6):
        return protocol == _IPV6
    return network is None or transport - network == _IPV6_LENGTH
