"""IPVS tunnels with GUE: the fault itself, for every pair of IP versions and every checksum."""

from itertools import product

from gso.kernel.scenarios.model import Checksum, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
# Length of the tunnel header, and what is computed for it: a link-layer header (14 bytes) less.
_LENGTHS: dict[Checksum, tuple[int, int]] = {
    "nocsum": (12, -2),
    "csum": (12, -2),
    "remcsum": (20, 6),
}

SCENARIOS = [
    Scenario(
        name=f"gue-outer{outer}-inner{inner}-{checksum}",
        kind="ipvs-gue",
        reason="ip_vs_tunnel_xmit() leaves inner_mac_header at the packet's own link-layer header",
        outer=outer,
        inner=inner,
        checksum=checksum,
        tunnel="GUE",
        tnl_hlen=length,
        faulty_tnl_hlen=faulty,
        ipvs=f"-i --tun-type gue --tun-port {{port}} --tun-{checksum}",
        worker=("fou add port {port} gue" + " -6" * (outer == 6),),
        traffic=TCP,
        default=True,
    )
    for outer, inner in product(_FAMILIES, _FAMILIES)
    for checksum, (length, faulty) in _LENGTHS.items()
]
