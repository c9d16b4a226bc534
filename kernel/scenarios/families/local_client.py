"""A client on the director itself: its packets have no link-layer header at all yet."""

from dataclasses import replace

from gso.kernel.scenarios.families import ipvs_gre, ipvs_gue
from gso.kernel.scenarios.traffic import TCP

SCENARIOS = [
    replace(
        base,
        name=f"local-{base.name}",
        kind="local-client",
        reason="mac_header is unset (0xffff), so the stale offset points beyond the packet",
        # 0xffff less the offset of the transport header, which is not always the same.
        faulty_tnl_hlen=None,
        from_director=True,
        # Nothing merges the second, short segment of the incident to the first.
        traffic=tuple(t for t in TCP if t.name != "response"),
        default=False,
    )
    for base in (*ipvs_gue.SCENARIOS, *ipvs_gre.SCENARIOS)
    if base.checksum != "remcsum"
]
