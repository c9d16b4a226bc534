"""Bare UDP: IP packets in UDP without any header between, by routes that say where to."""

from itertools import product

from gso.kernel.scenarios.model import Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)


def _scenario(outer: Family, inner: Family, *, multiproto: bool = False) -> Scenario:
    kind = "ipv4 multiproto" if multiproto else {4: "ipv4", 6: "ipv6"}[inner]
    device = f"link add {{device}} mtu 1520 type bareudp dstport {{port}} ethertype {kind}"
    encap = f"encap {'ip' if outer == 4 else 'ip6'} id 0 dst {{there}} src {{here}}"
    return Scenario(
        name=f"bareudp{'-multiproto' * multiproto}-outer{outer}-inner{inner}",
        kind="bareudp",
        reason="the segmenter goes by inner_protocol, which the device has to set",
        outer=outer,
        inner=inner,
        checksum="csum",
        tunnel="FOU",
        tnl_hlen=8,
        director=(
            device,
            "link set {device} up",
            f"route add {{server}} {encap} {'ttl' if outer == 4 else 'hoplimit'} 64 csum "
            "dev {device}",
        ),
        worker=(device, "link set {device} up"),
        traffic=TCP,
        modules=("bareudp",),
    )


SCENARIOS = [
    *(_scenario(outer, inner) for outer, inner in product(_FAMILIES, _FAMILIES)),
    # IPv4 is what such a device is made for, and IPv6 comes with it.
    _scenario(4, 6, multiproto=True),
]
