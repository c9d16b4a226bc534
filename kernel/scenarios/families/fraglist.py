"""Datagrams that the director merges as a list, into a tunnel that it segments itself."""

from dataclasses import replace

from gso.kernel.scenarios.families import gre, ip_in_ip, vxlan
from gso.kernel.scenarios.model import Command, Scenario
from gso.kernel.scenarios.traffic import UDP

# As from a wire: with all checksums. What is in a list is not completed any more.
_LISTED = (
    Command(
        "client",
        "ethtool -K c0 tx off tx-udp-segmentation off",
        "ethtool -K c0 tx on tx-udp-segmentation on",
    ),
    Command("director", "ethtool -K d0 rx-gro-list on", "ethtool -K d0 rx-gro-list off"),
)


def _listed(base: Scenario) -> Scenario:
    return replace(
        base,
        name=f"fraglist-{base.name}",
        kind="fraglist",
        reason="the tunnel makes room for its headers before the first datagram of the list alone",
        during=_LISTED,
        traffic=UDP[:2],
        listed=True,
        default=False,
    )


SCENARIOS = [
    _listed(base)
    for base in (*ip_in_ip.SCENARIOS, *vxlan.SCENARIOS, *gre.SCENARIOS)
    if base.name
    in (
        *("ipip-outer4-inner4", "ip6tnl-outer6-inner6", "gre-outer4-inner4-csum"),
        *("vxlan-outer4-inner4-nocsum", "vxlan-outer6-inner6-csum"),
    )
]
