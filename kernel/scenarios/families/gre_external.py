"""GRE by one device for many peers: routes say where to, and with which fields (`external`)."""

from itertools import product

from gso.kernel.scenarios.model import Family, Scenario
from gso.kernel.scenarios.traffic import TCP, TCP_UNSEGMENTED

_FAMILIES: tuple[Family, ...] = (4, 6)


def _scenario(outer: Family, inner: Family, *, numbered: bool) -> Scenario:
    # A namespace can have one such device of each kind.
    device, kind = {4: ("gre4ext", "gre"), 6: ("gre6ext", "ip6gre")}[outer]
    to = "encap ip" if outer == 4 else "encap ip6"
    hops = "ttl" if outer == 4 else "hoplimit"
    peer = kind if outer == 4 else f"{kind} encaplimit none"
    reason = (
        "each segment needs a sequence number of its own, so the device may get no super-packets"
        if numbered
        else "without sequence numbers the header is the same for all segments"
    )
    return Scenario(
        name=f"gre-external-outer{outer}-inner{inner}{'-seq' * numbered}",
        kind="gre-external",
        reason=reason,
        outer=outer,
        inner=inner,
        tunnel="GRE",
        segmenter=None if numbered else "gre_gso_segment",
        tnl_hlen=None if numbered else 8,
        director=(
            f"link add {device} mtu 1520 type {kind} external",
            f"link set {device} up",
            f"route add {{server}} {to} id {{n}} dst {{there}} src {{here}} {hops} 64 "
            f"key{' seq' * numbered} dev {device}",
        ),
        worker=(
            f"link add {{device}} type {peer} local {{there}} remote {{here}} ikey {{n}}"
            f"{' iseq' * numbered}",
            "link set {device} up",
        ),
        traffic=TCP_UNSEGMENTED if numbered else TCP,
        modules=("gre", "ip_gre", "ip6_gre"),
    )


SCENARIOS = [
    _scenario(outer, inner, numbered=numbered)
    for outer, inner, numbered in product(_FAMILIES, _FAMILIES, (False, True))
]
