"""IPv6 segment routing (SRv6) by routes: around packets, around tunnels, and inside packets."""

from dataclasses import replace
from itertools import product

from gso.kernel.scenarios.families import gre, vxlan
from gso.kernel.scenarios.model import Command, Family, Scenario
from gso.kernel.scenarios.traffic import BULK, RESPONSE

_FAMILIES: tuple[Family, ...] = (4, 6)
# An address of the worker beside the end of the tunnel, which the route leads to.
_SEGMENT = "2001:db8:2::5:{n}"
_SUFFIXES = {"encap": "", "encap.red": "-red"}


def _worker(setting: str) -> Command:
    return Command("worker", f"sysctl -qw {setting}=1", f"sysctl -qw {setting}=0")


TAKEN = (_worker("net.ipv6.conf.all.seg6_enabled"), _worker("net.ipv6.conf.dn0.seg6_enabled"))
"""What lets the worker take packets with a segment routing header."""


def _by_route(inner: Family, mode: str) -> Scenario:
    return Scenario(
        name=f"seg6{_SUFFIXES[mode]}-outer6-inner{inner}",
        kind="seg6",
        reason="the packet was no tunnel before: its offsets are those of what is inside",
        outer=6,
        inner=inner,
        tunnel="IP6TNL",
        segmenter="__skb_gso_segment",
        director=(f"route add {{server}} encap seg6 mode {mode} segs {{there}} dev up0",),
        during=TAKEN,
        traffic=(BULK, RESPONSE),
        # With the routing header full-sized segments would not fit.
        mss=1340,
    )


def _around(base: Scenario, mode: str) -> Scenario:
    """Put the tunnel's packets behind one more IPv6 header."""
    route = f"route add {{there}} encap seg6 mode {mode} segs {_SEGMENT} dev up0"
    return replace(
        base,
        name=f"seg6{_SUFFIXES[mode]}-{base.name}",
        kind="seg6-tunnel",
        reason="the packet is a tunnel already, and what it says of its inside has to stay",
        director=(
            *base.director,
            f"neigh replace {_SEGMENT} lladdr {{there_mac}} dev up0 nud permanent",
            route,
        ),
        worker=(f"addr add {_SEGMENT}/128 dev dn0 nodad", *base.worker),
        during=TAKEN,
        traffic=(BULK, RESPONSE),
        mss=1340,
    )


def _of(bases: list[Scenario], *names: str) -> list[Scenario]:
    return [base for base in bases if base.name in names]


_INLINE = replace(
    _by_route(6, "encap"),
    name="seg6-inline-outer6-inner6",
    kind="seg6-inline",
    reason="behind the IPv6 header comes the routing header, and only then TCP",
    tunnel="NONE",
    director=("route add {server} encap seg6 mode inline segs {there} dev up0",),
)

SCENARIOS = [
    *(_by_route(inner, mode) for mode, inner in product(_SUFFIXES, _FAMILIES)),
    *(
        _around(base, "encap")
        for base in (
            *_of(vxlan.SCENARIOS, "vxlan-outer6-inner4-csum", "vxlan-outer6-inner6-csum"),
            *_of(vxlan.SCENARIOS, "vxlan-outer6-inner4-nocsum"),
            *_of(gre.SCENARIOS, "gre-outer6-inner4-nocsum", "gre-outer6-inner6-nocsum"),
            *_of(gre.SCENARIOS, "gretap-outer6-inner4-nocsum"),
        )
    ),
    *(_around(base, "encap.red") for base in _of(vxlan.SCENARIOS, "vxlan-outer6-inner4-csum")),
    _INLINE,
]
