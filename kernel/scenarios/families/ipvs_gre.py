"""IPVS tunnels with GRE: the same stale offset meets another segmenter."""

from itertools import product

from gso.kernel.scenarios.families.gre import device
from gso.kernel.scenarios.model import Checksum, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
_LENGTHS: dict[Checksum, tuple[int, int]] = {"nocsum": (4, -10), "csum": (8, -6)}

SCENARIOS = [
    Scenario(
        name=f"ipvs-gre-outer{outer}-inner{inner}-{checksum}",
        kind="ipvs-gre",
        reason="gre_gso_segment() too takes inner_mac_header - transport_header for its length",
        outer=outer,
        inner=inner,
        checksum=checksum,
        tunnel="GRE",
        segmenter="gre_gso_segment",
        tnl_hlen=length,
        faulty_tnl_hlen=faulty,
        ipvs=f"-i --tun-type gre --tun-{checksum}",
        worker=(
            f"link add {{device}} type {device('gre', outer)} local {{there}}"
            + " csum" * (checksum == "csum"),
            "link set {device} up",
        ),
        traffic=TCP,
        modules=("gre", "ip_gre", "ip6_gre"),
        default=outer == inner and checksum == "nocsum",
    )
    for outer, inner in product(_FAMILIES, _FAMILIES)
    for checksum, (length, faulty) in _LENGTHS.items()
]
