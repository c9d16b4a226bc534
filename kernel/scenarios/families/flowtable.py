"""A flowtable of nft that rewrites ports: packets pass by the rest of the network code."""

from gso.kernel.scenarios.model import Command, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
# The worker answers the director, which is on its wire. No port of a client is one of these.
_REWRITTEN = {4: "ip to {here}:20000-29999", 6: "ip6 to [{here}]:20000-29999"}


def _scenario(family: Family) -> Scenario:
    rules = (
        "add table inet t{n} ;"
        " add flowtable inet t{n} f {{ hook ingress priority 0 ; devices = {{ d0, up0 }} ; }} ;"
        " add chain inet t{n} through {{ type filter hook forward priority 0 ; }} ;"
        " add rule inet t{n} through flow add @f ;"
        " add chain inet t{n} out {{ type nat hook postrouting priority 100 ; }} ;"
        f" add rule inet t{{n}} out oifname up0 meta l4proto tcp snat {_REWRITTEN[family]}"
    )
    return Scenario(
        name=f"flowtable-snat-inner{family}",
        kind="flowtable",
        reason="the checksum of a super-packet holds the pseudo header alone, which has no ports",
        outer=family,
        inner=family,
        tunnel="NONE",
        segmenter="__skb_gso_segment",
        director=("route add {server} via {there} dev up0",),
        during=(
            Command("director", f"nft {rules}", "nft delete table inet t{n}"),
            # Then small packets come with complete checksums, and merged ones do not.
            Command("client", "ethtool -K c0 tx off", "ethtool -K c0 tx on tso off"),
        ),
        traffic=TCP,
        refusals=("Tcp.InCsumErrors",),
        modules=("nf_flow_table_inet", "nft_flow_offload", "nft_ct", "nft_chain_nat", "nft_nat"),
    )


SCENARIOS = [_scenario(family) for family in _FAMILIES]
