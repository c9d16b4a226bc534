"""VXLAN whose checksums tc computes again on the way out, as after it has changed a header."""

from dataclasses import replace

from gso.kernel.scenarios.families import vxlan
from gso.kernel.scenarios.model import Command, Scenario


def _checksummed(base: Scenario) -> Scenario:
    protocol = "ip" if base.outer == 4 else "ipv6"
    # "continue" leads on to the filter that the mirror has.
    add = f"tc filter add dev up0 egress pref 1 protocol {protocol} matchall "
    return replace(
        base,
        name=base.name.replace("vxlan-", "vxlan-act-csum-").removesuffix("-csum"),
        kind="act-csum",
        reason="the outer checksum of a super-packet is the pseudo header's, not that of its bytes",
        during=(
            Command(
                "director", f"{add} action csum udp continue", "tc filter del dev up0 egress pref 1"
            ),
            # What a packet carries has to be complete before its outer checksum can be.
            Command("client", "ethtool -K c0 tx off", "ethtool -K c0 tx on tso off"),
        ),
        modules=(*base.modules, "cls_matchall", "act_csum"),
    )


SCENARIOS = [
    _checksummed(base)
    for base in vxlan.SCENARIOS
    if base.kind == "vxlan" and base.checksum == "csum"
]
