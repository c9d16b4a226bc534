"""FOU and GUE by tunnel devices, without IPVS: with checksums, without, and remote offload."""

from itertools import product

from gso.kernel.scenarios.model import Checksum, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
_OPTIONS: dict[Checksum, str] = {
    "nocsum": "noencap-csum",
    "csum": "encap-csum",
    "remcsum": "encap-csum encap-remcsum",
}
# A FOU port hands all its packets to one protocol.
_PROTOCOL = {4: 4, 6: 41}


def director(encap: str, outer: Family, inner: Family, checksum: str) -> tuple[str, ...]:
    """Return the commands for the tunnel device and the route into it."""
    mode = {(4, 4): "ipip", (4, 6): "sit"}.get((outer, inner), "ip6tnl mode any encaplimit none")
    return (
        f"link add {{device}} mtu 1520 type {mode} local {{here}} remote {{there}} "
        f"encap {encap} encap-sport auto encap-dport {{port}} {checksum}",
        "link set {device} up",
        "route add {server} dev {device}",
    )


def worker(encap: str, outer: Family, inner: Family) -> tuple[str, ...]:
    """Return the command that takes the packets out of UDP."""
    what = "gue" if encap == "gue" else f"ipproto {_PROTOCOL[inner]}"
    return (f"fou add port {{port}} {what}{' -6' * (outer == 6)}",)


def _scenario(encap: str, outer: Family, inner: Family, checksum: Checksum) -> Scenario:
    return Scenario(
        name=f"{encap}-device-outer{outer}-inner{inner}-{checksum}",
        kind=f"{encap}-device",
        reason="a tunnel device sets inner_mac_header itself, in skb_tunnel_xmit's callers",
        outer=outer,
        inner=inner,
        checksum=checksum,
        tunnel=encap.upper(),
        tnl_hlen={"fou": 8, "gue": 12}[encap] + 8 * (checksum == "remcsum"),
        director=director(encap, outer, inner, _OPTIONS[checksum]),
        worker=worker(encap, outer, inner),
        traffic=TCP,
    )


SCENARIOS = [
    _scenario(encap, outer, inner, checksum)
    for encap, outer, inner, checksum in product(("fou", "gue"), _FAMILIES, _FAMILIES, _OPTIONS)
    if (encap, checksum) != ("fou", "remcsum")  # the option travels in GUE's header
]
