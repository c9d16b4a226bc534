"""Which scenarios go through which code: a table from the kernel's files and functions to them.

It chooses what is run for a patch that fixes no known fault. Whether the code really ran is
counted in the machine; the table only has to be generous.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gso.kernel.scenarios.registry import SCENARIOS


@dataclass(frozen=True)
class Reach:
    """Code, by globs of files and functions, and what goes there: names, globs and groups."""

    files: tuple[str, ...]
    scenarios: tuple[str, ...]
    functions: str = "*"


_UDP_TUNNELS = ("vxlan-*-csum", "geneve-*-csum", "fou-device-*", "gue-device-*")
_IP_TUNNELS = ("ipip", "sit", "ip6tnl", "gre-*-nocsum", "gretap-*-nocsum")

REACH = (
    Reach(
        ("net/netfilter/ipvs/*",),
        ("ipvs-gue", "ipvs-gre", "ipvs-ipip", "ipvs-mtu", "fou-direct-routing", "ipvs-masq*"),
    ),
    Reach(("drivers/net/geneve.c",), ("geneve", "geneve-inherit", "udp-geneve-*")),
    Reach(("drivers/net/bareudp.c",), ("bareudp",)),
    Reach(("drivers/net/vxlan/*", "drivers/net/vxlan.c"), ("vxlan", "udp-vxlan-*")),
    Reach(("net/ipv4/fou*.c", "net/ipv6/fou6.c"), ("fou-device", "gue-device", "ipvs-gue")),
    Reach(
        ("net/ipv4/ip_gre.c", "net/ipv4/gre_*.c", "net/ipv6/ip6_gre.c"),
        ("gre", "gretap", "gre-external", "gre-nbma", "ipvs-gre"),
    ),
    Reach(("net/ipv4/ipip.c",), ("ipip", "?*-device-outer4-inner4-*", "ipvs-ipip")),
    Reach(("net/ipv6/sit.c",), ("sit", "?*-device-outer4-inner6-*", "ipvs-ipip")),
    Reach(("net/ipv6/ip6_tunnel.c",), ("ip6tnl", "?*-device-outer6-*", "ipvs-ipip")),
    Reach(("net/ipv4/ip_tunnel*.c",), (*_IP_TUNNELS, *_UDP_TUNNELS, "ipvs-gue")),
    Reach(("net/ipv4/udp_tunnel*.c", "net/ipv6/ip6_udp_tunnel.c"), _UDP_TUNNELS),
    Reach(
        ("net/ipv4/udp_offload.c", "net/ipv6/udp_offload.c", "net/ipv?/udp.c"),
        (*_UDP_TUNNELS, "udp", "ipvs-gue", "fraglist"),
    ),
    Reach(("net/core/skbuff.c",), ("fraglist",), "skb_segment_list"),
    Reach(("net/ipv6/exthdrs.c",), ("sctp-seg6-end",), "ipv6_srh_rcv"),
    Reach(("net/mpls/*",), ("mpls", "mpls-tunnel")),
    Reach(("net/sched/act_csum.c",), ("act-csum", "act-csum-partial")),
    Reach(("drivers/net/veth.c",), ("remcsum-veth", "gue-tunnel-offload-*")),
    Reach(("net/ipv?/esp?_offload.c", "net/xfrm/*"), ("esp",)),
    Reach(("net/netfilter/nf_flow_table*",), ("flowtable",)),
    Reach(("net/8021q/*",), ("ipvs-gue-vlan",)),
)


def scenarios_of(changes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the scenarios for pairs of file and function; where no row has one, a sample."""
    found = [
        word
        for file, function in changes
        for row in REACH
        if any(fnmatchcase(file, glob) for glob in row.files)
        and fnmatchcase(function, row.functions)
        for word in row.scenarios
    ]
    return tuple(dict.fromkeys(found)) or sample()


def sample() -> tuple[str, ...]:
    """Return the names of one scenario of each kind."""
    return tuple({scenario.kind: scenario.name for scenario in reversed(SCENARIOS)}.values())[::-1]
