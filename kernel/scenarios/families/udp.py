"""UDP through IPVS tunnels: datagrams of one size, sent many at a time, as QUIC does."""

from dataclasses import replace

from gso.kernel.scenarios.families import ipvs_gre, ipvs_gue, ipvs_ipip, vxlan
from gso.kernel.scenarios.traffic import UDP

SCENARIOS = [
    replace(base, name=f"udp-{base.name}", kind="udp", traffic=UDP, default=False)
    for base in (
        *ipvs_gue.SCENARIOS,
        *ipvs_gre.SCENARIOS,
        *ipvs_ipip.SCENARIOS,
        *vxlan.SCENARIOS,
    )
    if base.outer == base.inner and base.checksum != "remcsum"
]
