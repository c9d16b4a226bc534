"""GRE by tunnel devices: for IP packets (gre) and for Ethernet frames (gretap)."""

from itertools import product

from gso.kernel.scenarios.model import Checksum, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
_CHECKSUMS: tuple[Checksum, ...] = ("nocsum", "csum")


def device(kind: str, outer: Family) -> str:
    """Return the type of device as ``ip link`` wants it."""
    return kind if outer == 4 else f"ip6{kind} encaplimit none"


def _scenario(kind: str, outer: Family, inner: Family, checksum: Checksum) -> Scenario:
    flags = " csum" * (checksum == "csum")
    ethernet = kind == "gretap"
    neighbour = ("neigh replace {server} lladdr {mac} dev {device} nud permanent",) * ethernet
    address = " address {mac}" * ethernet
    type_ = device(kind, outer)
    return Scenario(
        name=f"{kind}-outer{outer}-inner{inner}-{checksum}",
        kind=kind,
        reason="the tunnel device sets inner_mac_header: to the IP header, or the inner Ethernet's",
        outer=outer,
        inner=inner,
        checksum=checksum,
        tunnel="GRE",
        segmenter="gre_gso_segment",
        tnl_hlen=8 if checksum == "csum" else 4,
        director=(
            f"link add {{device}} mtu 1520 type {type_} local {{here}} remote {{there}}{flags}",
            "link set {device} up",
            *neighbour,
            "route add {server} dev {device}",
        ),
        worker=(
            f"link add {{device}}{address} type {type_} local {{there}} remote {{here}}{flags}",
            "link set {device} up",
        ),
        traffic=TCP,
        modules=("gre", "ip_gre", "ip6_gre"),
    )


SCENARIOS = [
    _scenario(kind, outer, inner, checksum)
    for kind, outer, inner, checksum in product(("gre", "gretap"), _FAMILIES, _FAMILIES, _CHECKSUMS)
]
