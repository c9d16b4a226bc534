"""IPVS tunnels with plain IP in IP: what a patch for the other tunnels must not break."""

from itertools import product

from gso.kernel.scenarios.families.ip_in_ip import TUNNELS
from gso.kernel.scenarios.model import Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)

SCENARIOS = [
    Scenario(
        name=f"ipvs-ipip-outer{outer}-inner{inner}",
        kind="ipvs-ipip",
        reason="the segmenters of IP in IP go by inner_network_header, never by inner_mac_header",
        outer=outer,
        inner=inner,
        tunnel=TUNNELS[outer, inner],
        segmenter="__skb_gso_segment",
        ipvs="-i --tun-type ipip",
        traffic=TCP,
        default=outer == inner,
    )
    for outer, inner in product(_FAMILIES, _FAMILIES)
]
