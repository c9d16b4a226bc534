"""SCTP in SRv6 that ends at the director, which forwards what was inside."""

from gso.kernel.scenarios.model import Command, Scenario
from gso.kernel.scenarios.traffic import SCTP


def _taken(setting: str) -> Command:
    return Command("director", f"sysctl -qw {setting}=1", f"sysctl -qw {setting}=0")


SCENARIOS = [
    Scenario(
        name="sctp-seg6-end-inner6",
        kind="sctp-seg6-end",
        reason="its super-packets have their headers in the head, and all data in a list",
        outer=6,
        inner=6,
        tunnel="NONE",
        segmenter="__skb_gso_segment",
        protocol="sctp",
        client=("route add {target} encap seg6 mode encap segs {gateway} dev c0",),
        director=("route add {server} via {there} dev up0",),
        during=(
            _taken("net.ipv6.conf.all.seg6_enabled"),
            _taken("net.ipv6.conf.d0.seg6_enabled"),
        ),
        traffic=SCTP,
        refusals=("SctpChecksumErrors",),
        # The routing header is in front of it on the client's cable.
        mss=1340,
        modules=("sctp",),
    )
]
