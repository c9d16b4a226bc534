"""IPVS tunnels that make full-sized segments too large for the wire."""

from dataclasses import replace

from gso.kernel.scenarios.families import ipvs_ipip
from gso.kernel.scenarios.model import Command, Family, Scenario


def _forget(family: Family) -> Command:
    """Let the client forget the path MTU that it learned: its scenarios share a destination."""
    flush = f"ip -{family} route flush cache"
    return Command("client", flush, flush)


SCENARIOS: list[Scenario] = [
    replace(
        base,
        name=base.name.replace("ipvs-ipip", "ipvs-mtu"),
        kind="ipvs-mtu",
        reason="IPVS has to tell the client when its segments, and not only whole packets, are too "
        "large for the tunnel",
        default=False,
        during=(
            Command("director", "ip link set up0 mtu 1500", "ip link set up0 mtu 1600"),
            _forget(base.inner),
        ),
    )
    for base in ipvs_ipip.SCENARIOS
    if base.outer == base.inner
]
