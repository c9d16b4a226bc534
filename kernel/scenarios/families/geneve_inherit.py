"""Geneve that carries IP packets without Ethernet: devices with ``innerprotoinherit``."""

from itertools import product

from gso.kernel.scenarios.families.vxlan import flags
from gso.kernel.scenarios.model import Checksum, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
_CHECKSUMS: tuple[Checksum, ...] = ("nocsum", "csum")


def _scenario(outer: Family, inner: Family, checksum: Checksum) -> Scenario:
    device = f"type geneve id {{n}} dstport {{port}} {flags(outer, checksum)} innerprotoinherit"
    return Scenario(
        name=f"geneve-inherit-outer{outer}-inner{inner}-{checksum}",
        kind="geneve-inherit",
        reason="there is no inner Ethernet header: inner MAC and network header are in one place",
        outer=outer,
        inner=inner,
        checksum=checksum,
        tunnel="GENEVE",
        tnl_hlen=16,
        director=(
            f"link add {{device}} mtu 1520 {device} remote {{there}}",
            "link set {device} up",
            "route add {server} dev {device}",
        ),
        worker=(f"link add {{device}} {device} remote {{here}}", "link set {device} up"),
        traffic=TCP,
        modules=("geneve",),
    )


SCENARIOS = [
    _scenario(outer, inner, checksum)
    for outer, inner, checksum in product(_FAMILIES, _FAMILIES, _CHECKSUMS)
]
