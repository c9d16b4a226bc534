"""The rules for sk_buff fields, one obvious statement each, for tests of the fast ones."""

from __future__ import annotations

from gso import GsoType as G
from gso import SkbState, Tunnel
from gso.constants import Context

UDP_TUNNELS = G.UDP_TUNNEL | G.UDP_TUNNEL_CSUM
GRES = G.GRE | G.GRE_CSUM
TUNNELS = UDP_TUNNELS | GRES | G.IPXIP4 | G.IPXIP6
KINDS = (G.TCPV4, G.TCPV6, G.UDP, G.UDP_L4, G.SCTP, G.FCOE)
UNSET = 0xFFFF
BY_FRAGS = 0xFFFF
IN_UDP = (Tunnel.FOU, Tunnel.GUE, Tunnel.VXLAN, Tunnel.VXLAN_GPE, Tunnel.GENEVE)


def shortest(skb: SkbState) -> int:
    gso = skb.gso_type or 0
    if skb.tunnel is Tunnel.GUE:
        return 20 if gso & G.TUNNEL_REMCSUM else 12
    if skb.tunnel in (Tunnel.VXLAN, Tunnel.VXLAN_GPE, Tunnel.GENEVE):
        return 16
    if skb.tunnel is Tunnel.FOU or gso & UDP_TUNNELS:
        return 8
    if skb.tunnel is Tunnel.GRE or gso & GRES:
        return 8 if gso & G.GRE_CSUM else 4
    return 0


def has_tunnel_header(skb: SkbState) -> bool:
    if shortest(skb):
        return True
    if skb.tunnel not in (None, Tunnel.NONE) or (skb.gso_type or 0) & TUNNELS:
        return False
    outer, inner = skb.transport_header, skb.inner_network_header
    if outer is None or inner is None or outer >= inner:
        return False
    if (skb.context or 0) & Context.TUNNEL_SEGMENTER:
        return True
    if skb.tunnel is Tunnel.NONE or (skb.gso_type or 0) & G.ESP:
        return False
    return not is_other_header(skb, inner - outer)


def is_other_header(skb: SkbState, size: int) -> bool:
    """Whether a header between the IP headers may be another than a tunnel's, by its size."""
    protocol, network = skb.protocol, skb.network_header
    v6 = protocol == 0x86DD or (
        protocol != 0x0800 and (network is None or skb.transport_header - network == 40)
    )
    routing = v6 and size >= 24 and size % 8 == 0
    mac = skb.inner_mac_header
    elsewhere = mac is not None and (mac == 0 or mac > skb.inner_network_header)
    ipsec = elsewhere and (size == 16 or size >= 24) and size % 4 == 0
    return routing or ipsec


def inner_offsets_count(skb: SkbState) -> bool:
    if skb.encapsulation is not None:
        return skb.encapsulation == 1
    if (skb.gso_type or 0) & TUNNELS or skb.tunnel not in (None, Tunnel.NONE):
        return True
    outer, inner = skb.network_header, skb.inner_network_header
    if outer is not None and inner is not None:
        return outer < inner and inner != UNSET
    return skb.tnl_hlen is not None


def verdicts(skb: SkbState, kernel: str = "6.12") -> dict[str, bool]:
    """For each rule that can be judged: whether it is violated."""
    found: dict[str, bool] = {}

    def rule(name: str, violated: object) -> None:
        found[name] = found.get(name, False) or bool(violated)

    mac, network, transport = skb.mac_header, skb.network_header, skb.transport_header
    segmented = bool(skb.gso_size)
    if inner_offsets_count(skb):
        inner(skb, rule)
    if segmented and transport is not None:
        rule("transport-header-unset", transport == UNSET)
    if (segmented or skb.encapsulation == 1) and network not in (None, UNSET):
        if transport not in (None, UNSET):
            rule("outer-header-order", network > transport)
        if mac not in (None, UNSET) and segmented and skb.encapsulation == 0:
            rule("outer-header-order", mac > network)
    if segmented and skb.gso_size != BY_FRAGS:
        if skb.payload is not None:
            rule("payload-not-larger", skb.payload <= skb.gso_size)
        if skb.len is not None and skb.len <= skb.gso_size:
            rule("payload-not-larger", True)
    types(skb, rule)
    transmission(skb, rule)
    inner_kind(skb, rule)
    shared_info(skb, rule, kernel)
    untrusted(skb, rule)
    handlers(skb, rule)
    checksums(skb, rule)
    if skb.ihl is not None:
        rule("ihl-small", skb.ihl < 5)
    if skb.doff is not None:
        rule("doff-small", skb.doff < 5)
    if skb.len is not None and skb.data_len is not None:
        rule("data-len", skb.data_len > skb.len)
    return found


def inner(skb: SkbState, rule) -> None:
    mac, network, last = (
        skb.inner_mac_header,
        skb.inner_network_header,
        skb.inner_transport_header,
    )
    tunnelled = has_tunnel_header(skb)
    unset = tunnelled and mac == UNSET
    if skb.encapsulation == 1 and (network is not None or mac is not None):
        unset |= network in (0, UNSET)
        unset |= bool(skb.gso_size) and last in (0, UNSET)
        unset |= tunnelled and mac == 0
        rule("inner-header-unset", unset)
    if unset:
        rule("inner-header-unset", True)
        return
    if network in (0, UNSET):
        return
    if tunnelled and network is not None and mac not in (None, UNSET):
        mac_length(skb, network - mac, rule)
    if skb.encapsulation == 1 and network is not None:
        if skb.network_header not in (None, UNSET):
            rule("inner-header-order", skb.network_header >= network)
        if last is not None and skb.gso_size:
            rule("inner-header-order", network > last)
        if shortest(skb) and mac is not None:
            rule("inner-header-order", mac > network)
    if tunnelled:
        tunnel(skb, rule)


def mac_length(skb: SkbState, length: int, rule) -> None:
    if length == 0:
        ethernet = skb.inner_protocol_type == 0 and skb.inner_protocol == 0x6558
        rule("inner-mac-length", ethernet)
    elif length not in (14, 18, 22, 26, 30):
        rule("inner-mac-length", True)
    elif skb.inner_protocol_type is not None or skb.inner_protocol is not None:
        bare = skb.inner_protocol_type == 1 or skb.inner_protocol in (0x0800, 0x86DD)
        rule("inner-mac-length", bare)


def tunnel(skb: SkbState, rule) -> None:
    size = skb.tnl_hlen
    if size is None:
        return
    rule("tunnel-header-negative", size < 0)
    if size < 0:
        return
    rule("tunnel-header-short", size < (shortest(skb) or 4))
    rule("tunnel-header-wrong", size % 4 or (skb.tunnel is Tunnel.VXLAN and size > 16))
    if skb.len is not None:
        rule("tunnel-header-long", size > skb.len)


def types(skb: SkbState, rule) -> None:
    gso = skb.gso_type
    if gso is None:
        return
    if not skb.gso_size:
        return
    if skb.encapsulation == 1:
        rule("encapsulation-unmarked", not gso & (TUNNELS | G.ESP))
    if skb.encapsulation is not None and gso & (UDP_TUNNELS | GRES):
        rule("encapsulation-missing", skb.encapsulation != 1)
    rule("gso-type-contradictory", sum(bool(gso & kind) for kind in KINDS) != 1)
    if not gso & TUNNELS and skb.protocol is not None and skb.encapsulation == 0:
        wrong = {G.TCPV4: 0x86DD, G.TCPV6: 0x0800}
        rule("gso-type-protocol", any(gso & k and skb.protocol == p for k, p in wrong.items()))
    if skb.l4:
        tcp, udp = gso & (G.TCPV4 | G.TCPV6), gso & (G.UDP | G.UDP_L4)
        rule("gso-type-protocol", (tcp and skb.l4 != 6) or (udp and skb.l4 != 17))
    if skb.payload is not None and gso & G.UDP_L4 and gso & G.DODGY:
        rule("uso-segments", skb.payload > 128 * skb.gso_size)
    if gso & G.DODGY:
        rule("gso-by-frags", skb.gso_size == BY_FRAGS)


def transmission(skb: SkbState, rule) -> None:
    context = skb.context or 0
    sent, helped = context & Context.TRANSMIT, context & Context.CHECKSUM_HELP
    if sent and skb.gso_size and skb.ip_summed is not None:
        rule("bad-offload", skb.ip_summed in (0, 2))
    if helped and skb.gso_size == 0:
        rule("checksum-help-gso", False)
    if helped and skb.gso_size and skb.ip_summed is not None:
        rule("checksum-help-gso", skb.ip_summed != 2)
    outside(skb, rule, used=sent or helped)
    if sent and skb.gso_size == 0 and skb.mtu and skb.len is not None:
        rule("longer-than-mtu", skb.len - link_header(skb) > skb.mtu)


def outside(skb: SkbState, rule, *, used: int) -> None:
    start, offset = skb.csum_start, skb.csum_offset or 0
    if skb.ip_summed != 3 or None in (start, skb.headroom, skb.len, skb.data_len):
        return
    if offset <= 0xFFFF and skb.headroom <= 1 << 24:
        end = skb.headroom + skb.len - skb.data_len
        rule("checksum-outside", start + offset + 2 > end)
        if used:
            rule("checksum-outside", start < skb.headroom)


def link_header(skb: SkbState) -> int:
    mac, network = skb.mac_header, skb.network_header
    if None in (mac, network) or UNSET in (mac, network):
        return 44
    return network - mac if 0 <= network - mac < 44 else 44


def inner_kind(skb: SkbState, rule) -> None:
    gso, by = skb.gso_type or 0, skb.inner_protocol_type
    if skb.gso_type is None or not skb.gso_size:
        return
    udp = gso & UDP_TUNNELS or skb.tunnel in IN_UDP
    ip_in_ip = skb.tunnel in (Tunnel.IPIP, Tunnel.SIT, Tunnel.IP6TNL)
    ip_in_ip |= bool(gso & (G.IPXIP4 | G.IPXIP6)) and not gso & (UDP_TUNNELS | GRES)
    ip_in_ip |= bool(udp) and by == 1 and skb.inner_ipproto in (4, 41)
    if skb.encapsulation == 1 and ip_in_ip and skb.protocol in (0x0800, 0x86DD):
        bit = G.IPXIP4 if skb.protocol == 0x0800 else G.IPXIP6
        rule("ipxip-version", not gso & bit)
    tcp = gso & (G.TCPV4 | G.TCPV6)
    if skb.encapsulation == 1 and gso & (UDP_TUNNELS | GRES) and tcp:
        named = {0: {0x0800: G.TCPV4, 0x86DD: G.TCPV6}, 1: {4: G.TCPV4, 41: G.TCPV6}}.get(by, {})
        kind = named.get(skb.inner_ipproto if by == 1 else skb.inner_protocol)
        if kind is not None:
            rule("inner-protocol-version", not gso & kind)
    if udp and by == 1 and skb.protocol is not None:
        rule("vlan-in-band", skb.protocol in (0x8100, 0x88A8))
    if skb.protocol in (0x8847, 0x8848) and skb.network_header not in (None, UNSET):
        labels(skb, tcp, rule)
    size = skb.tnl_hlen
    if gso & GRES and not gso & UDP_TUNNELS and skb.gre_flags is not None:
        rule("gre-sequence", skb.gre_flags & 0x1000)
    elif gso & GRES and not gso & UDP_TUNNELS and sized(skb) and size is not None:
        size -= 4 if gso & G.GRE_CSUM else 0
        if size == 4 or size >= 12:
            rule("gre-sequence", size != 4)


def labels(skb: SkbState, tcp: int, rule) -> None:
    inner, named = skb.inner_network_header, skb.inner_protocol
    if inner is not None:
        length = inner - skb.network_header
        rule("mpls-inner-header", inner in (0, UNSET) or length <= 0 or length % 4)
    if named is not None and tcp:
        kind = {0x0800: G.TCPV4, 0x86DD: G.TCPV6}.get(named, tcp)
        rule("mpls-inner-header", named == 0 or not tcp & kind)
        if named == 0x6558 and not {inner, skb.transport_header} & {None, UNSET}:
            rule("mpls-inner-header", skb.transport_header - inner < 34)


def sized(skb: SkbState) -> bool:
    """Whether the length of the tunnel's header can be judged."""
    found: list[str] = []
    if inner_offsets_count(skb):
        inner(skb, lambda name, _: found.append(name))
    return "tunnel-header-negative" in found


def unknown_bits(kernel: str) -> int:
    known = {*range(20)} if kernel != "7.3" else {*range(20), 30, 31} - {3}
    return sum(1 << bit for bit in range(32) if bit not in known)


def shared_info(skb: SkbState, rule, kernel: str) -> None:
    gso, size = skb.gso_type, skb.gso_size
    if gso is not None and size:
        rule("gso-type-unknown", gso & unknown_bits(kernel))
        if gso & G.FRAGLIST:
            single = gso & (G.TCPV4 | G.TCPV6 | G.UDP_L4)
            rule("fraglist-kind", not single or gso & TUNNELS)
    listed = bool(size) and size != BY_FRAGS and gso is not None and bool(gso & G.FRAGLIST)
    if (size == BY_FRAGS or listed) and skb.frag_list is not None:
        rule("frag-list", skb.frag_list == 0)
    if (size == BY_FRAGS or listed) and skb.data_len is not None:
        in_head = 0 if skb.payload is None or not listed else skb.payload - skb.data_len
        rule("frag-list", skb.data_len == 0 or in_head > size)
    if size and size != BY_FRAGS and skb.len is not None:
        rule("gso-segments", skb.len // 65536 >= size)


def untrusted(skb: SkbState, rule) -> None:
    gso = skb.gso_type or 0
    if not gso & G.DODGY:
        return
    if skb.gso_size is not None and any(gso & kind for kind in KINDS):
        rule("dodgy-gso-size", skb.gso_size == 0)
    if skb.gso_size and gso & UDP_TUNNELS and skb.ip_summed is not None:
        rule("dodgy-tunnel-checksum", skb.ip_summed != 3)
    smallest = {0x0800: 20, 0x86DD: 40}.get(skb.protocol)
    partial = skb.ip_summed == 3 and skb.csum_start is not None and skb.encapsulation == 0
    if partial and smallest and skb.network_header not in (None, UNSET):
        rule("dodgy-csum-start", skb.csum_start < skb.network_header + smallest)


def handlers(skb: SkbState, rule) -> None:
    udp = (skb.gso_type or 0) & UDP_TUNNELS or skb.tunnel in IN_UDP
    if not udp or skb.inner_protocol_type is None:
        return
    if skb.inner_protocol_type == 1:
        if skb.inner_ipproto is not None:
            known = (4, 6, 17, 41, 47, 50, 132)
            rule("inner-ipproto-handler", skb.inner_ipproto not in known)
    elif skb.inner_protocol_type == 0:
        if skb.inner_protocol is not None:
            known = (0x0800, 0x86DD, 0x6558, 0x8100, 0x88A8, 0x8847, 0x8848, 0x894F)
            rule("inner-protocol-handler", skb.inner_protocol not in known)
    else:
        rule("inner-protocol-handler", True)


def carries_v4(skb: SkbState) -> bool:
    if skb.inner_protocol_type == 1:
        return skb.inner_ipproto == 4
    return skb.inner_protocol_type == 0 and skb.inner_protocol == 0x0800


def at_header(start: int, header: int, is_v4: object) -> bool:
    """IPv6 extension headers may stand between."""
    return start == header or (not is_v4 and start > header and (start - header) % 8 == 0)


def checksums(skb: SkbState, rule) -> None:
    gso, start = skb.gso_type or 0, skb.csum_start
    if skb.gso_size and gso & G.UDP_L4 and not gso & G.FRAGLIST and skb.ip_summed is not None:
        rule("uso-checksum", skb.ip_summed != 3)
    if skb.ip_summed != 3:
        return
    outer, last = skb.transport_header, skb.inner_transport_header
    if start is not None:
        is_v4 = gso & G.TCPV4 or skb.protocol == 0x0800
        if skb.encapsulation == 0 and outer not in (None, UNSET):
            rule("csum-start", not at_header(start, outer, is_v4))
        if skb.encapsulation == 1 and last not in (None, UNSET):
            good = at_header(start, last, gso & G.TCPV4 or carries_v4(skb))
            if skb.gso_size:
                rule("csum-start", not good)
            elif outer not in (None, UNSET):
                rule("csum-start", not good and start != outer)
    tcp = skb.l4 == 6 or bool(gso & (G.TCPV4 | G.TCPV6))
    udp = skb.l4 == 17 or bool(gso & (G.UDP | G.UDP_L4))
    if skb.csum_offset is not None and skb.gso_size and tcp != udp:
        rule("csum-offset", skb.csum_offset != (16 if tcp else 6))
