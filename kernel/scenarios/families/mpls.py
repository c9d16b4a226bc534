"""MPLS labels that a route adds, to packets as they are and to those of tunnel devices."""

from dataclasses import replace

from gso.kernel.scenarios.families import fou, gre
from gso.kernel.scenarios.model import Command, Family, Scenario
from gso.kernel.scenarios.traffic import TCP, TCP_UNSEGMENTED

_FAMILIES: tuple[Family, ...] = (4, 6)
LABEL = "10{n}"


def _worker(do: str, undo: str) -> Command:
    return Command("worker", do, undo)


TAKEN_OFF = (
    _worker("sysctl -qw net.mpls.conf.dn0.input=1", "sysctl -qw net.mpls.conf.dn0.input=0"),
    _worker("sysctl -qw net.mpls.platform_labels=100000", "sysctl -qw net.mpls.platform_labels=0"),
    _worker(f"ip -f mpls route add {LABEL} dev lo", f"ip -f mpls route del {LABEL}"),
)


def _by_route(family: Family) -> Scenario:
    return Scenario(
        name=f"mpls-outer{family}-inner{family}",
        kind="mpls",
        reason="mpls_gso_segment goes by inner_network_header and inner_protocol alone",
        outer=family,
        inner=family,
        tunnel="MPLS",
        segmenter="__skb_gso_segment",
        director=(f"route add {{server}} encap mpls {LABEL} via {{there}} dev up0",),
        during=TAKEN_OFF,
        traffic=TCP,
        modules=("mpls_router", "mpls_iptunnel"),
    )


def _under_tunnel(base: Scenario) -> Scenario:
    """Give the outer packets of a tunnel device a label."""
    route = f"route add {{there}} encap mpls {LABEL} via {{there}} dev up0 onlink"
    return replace(
        base,
        name=f"mpls-{base.name.replace('-device', '')}",
        kind="mpls-tunnel",
        reason="one packet cannot say both what is below the label and what is in the tunnel, so "
        "it is segmented before",
        director=(*base.director, route),
        during=TAKEN_OFF,
        # The device gets segments, and no super-packet is seen there.
        traffic=TCP_UNSEGMENTED,
        modules=(*base.modules, "mpls_router", "mpls_iptunnel"),
    )


SCENARIOS = [
    *map(_by_route, _FAMILIES),
    *(
        _under_tunnel(base)
        for base in (*fou.SCENARIOS, *gre.SCENARIOS)
        if base.kind in ("fou-device", "gre")
        and base.outer == base.inner
        and base.checksum == "nocsum"
    ),
]
