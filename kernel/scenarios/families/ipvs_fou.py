"""IPVS in direct-routing mode, over a tunnel device with FOU: the way round the fault."""

from itertools import product

from gso.kernel.scenarios.families.fou import director, worker
from gso.kernel.scenarios.model import Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)

SCENARIOS = [
    Scenario(
        name=f"fou-outer{outer}-inner{inner}-nocsum",
        kind="fou-direct-routing",
        reason="the tunnel device, not IPVS, adds the headers and sets inner_mac_header",
        outer=outer,
        inner=inner,
        tunnel="FOU",
        tnl_hlen=8,
        faulty_tnl_hlen=8,
        ipvs="-g",
        director=director("fou", outer, inner, "noencap-csum"),
        worker=worker("fou", outer, inner),
        traffic=TCP,
        default=True,
    )
    for outer, inner in product(_FAMILIES, _FAMILIES)
]
