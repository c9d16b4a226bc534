"""VXLAN whose checksums tc computes again on the way out, as after it has changed a header."""

from dataclasses import replace

from gso.kernel.scenarios.families import vxlan
from gso.kernel.scenarios.model import Command, Scenario
from gso.kernel.scenarios.traffic import BULK


def _action(base: Scenario) -> Command:
    protocol = "ip" if base.outer == 4 else "ipv6"
    # "continue" leads on to the filter that the mirror has.
    add = f"tc filter add dev up0 egress pref 1 protocol {protocol} matchall "
    return Command(
        "director", f"{add} action csum udp continue", "tc filter del dev up0 egress pref 1"
    )


def _checksummed(base: Scenario) -> Scenario:
    return replace(
        base,
        name=base.name.replace("vxlan-", "vxlan-act-csum-").removesuffix("-csum"),
        kind="act-csum",
        reason="the outer checksum of a super-packet is the pseudo header's, not that of its bytes",
        during=(
            _action(base),
            # What a packet carries has to be complete before its outer checksum can be.
            Command("client", "ethtool -K c0 tx off", "ethtool -K c0 tx on tso off"),
        ),
        modules=(*base.modules, "cls_matchall", "act_csum"),
    )


def _unfinished(base: Scenario) -> Scenario:
    """Leave the client's checksums to the devices, as nearly all do."""
    return replace(
        base,
        name=base.name.replace("vxlan-", "vxlan-act-csum-partial-"),
        kind="act-csum-partial",
        reason="a checksum further inside is still to be done when the outer one is computed",
        during=(_action(base),),
        traffic=(BULK,),
        modules=(*base.modules, "cls_matchall", "act_csum"),
    )


_VXLAN = [base for base in vxlan.SCENARIOS if base.kind == "vxlan"]

SCENARIOS = [
    *(_checksummed(base) for base in _VXLAN if base.checksum == "csum"),
    *(
        _unfinished(base)
        for base in _VXLAN
        if base.outer == base.inner and (base.checksum, base.outer) != ("nocsum", 6)
    ),
]
