"""IP in IP by tunnel devices: ipip, sit, and ip6tnl with both IP versions."""

from gso.kernel.scenarios.model import Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_PAIRS: tuple[tuple[Family, Family, str], ...] = (
    (4, 4, "ipip"),
    (4, 6, "sit"),
    (6, 4, "ip6tnl"),
    (6, 6, "ip6tnl"),
)
TUNNELS = {(outer, inner): name.upper() for outer, inner, name in _PAIRS}

SCENARIOS = [
    Scenario(
        name=f"{kind}-outer{outer}-inner{inner}",
        kind=kind,
        reason="the segmenters of IP in IP go by inner_network_header, never by inner_mac_header",
        outer=outer,
        inner=inner,
        tunnel=TUNNELS[outer, inner],
        segmenter="__skb_gso_segment",
        director=(
            f"link add {{device}} mtu 1520 type {kind}{' mode any encaplimit none' * (outer == 6)} "
            "local {here} remote {there}",
            "link set {device} up",
            "route add {server} dev {device}",
        ),
        traffic=TCP,
    )
    for outer, inner, kind in _PAIRS
]
