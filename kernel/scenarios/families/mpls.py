"""MPLS labels that a route adds: packets that no tunnel device has seen."""

from gso.kernel.scenarios.model import Command, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
_LABEL = "10{n}"


def _worker(do: str, undo: str) -> Command:
    return Command("worker", do, undo)


_TAKEN_OFF = (
    _worker("sysctl -qw net.mpls.conf.dn0.input=1", "sysctl -qw net.mpls.conf.dn0.input=0"),
    _worker("sysctl -qw net.mpls.platform_labels=100000", "sysctl -qw net.mpls.platform_labels=0"),
    _worker(f"ip -f mpls route add {_LABEL} dev lo", f"ip -f mpls route del {_LABEL}"),
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
        director=(f"route add {{server}} encap mpls {_LABEL} via {{there}} dev up0",),
        during=_TAKEN_OFF,
        traffic=TCP,
        modules=("mpls_router", "mpls_iptunnel"),
    )


SCENARIOS = [_by_route(family) for family in _FAMILIES]
