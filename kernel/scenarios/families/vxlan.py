"""VXLAN and Geneve by tunnel devices: Ethernet frames in UDP."""

from itertools import product

from gso.kernel.scenarios.model import Checksum, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
_CHECKSUMS: tuple[Checksum, ...] = ("nocsum", "csum")


def flags(outer: Family, checksum: Checksum) -> str:
    """Return the options of a device for the checksum of its outer UDP."""
    if outer == 4:
        return "udpcsum" if checksum == "csum" else "noudpcsum"
    return "" if checksum == "csum" else "udp6zerocsumtx udp6zerocsumrx"


def _scenario(kind: str, outer: Family, inner: Family, checksum: Checksum) -> Scenario:
    options = flags(outer, checksum)
    # A Geneve device has no local address to give; a VXLAN device needs one for its IP version.
    here, there = ("local {here} ", "local {there} ") if kind == "vxlan" else ("", "")
    device = f"type {kind} id {{n}} dstport {{port}}"
    return Scenario(
        name=f"{kind}-outer{outer}-inner{inner}-{checksum}",
        kind=kind,
        reason="the inner MAC header is a real one: the tunnel device's own",
        outer=outer,
        inner=inner,
        checksum=checksum,
        tunnel=kind.upper(),
        tnl_hlen=16,
        director=(
            f"link add {{device}} mtu 1520 {device} {here}remote {{there}} {options}",
            "link set {device} up",
            "neigh replace {server} lladdr {mac} dev {device} nud permanent",
            "route add {server} dev {device}",
        ),
        worker=(
            f"link add {{device}} address {{mac}} {device} {there}remote {{here}} {options}",
            "link set {device} up",
        ),
        traffic=TCP,
        modules=(kind,),
    )


SCENARIOS = [
    _scenario(kind, outer, inner, checksum)
    for kind, outer, inner, checksum in product(
        ("vxlan", "geneve"), _FAMILIES, _FAMILIES, _CHECKSUMS
    )
]
