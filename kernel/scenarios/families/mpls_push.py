"""MPLS labels that tc adds to what the director forwards, also when it took that from a tunnel."""

from dataclasses import replace

from gso.kernel.scenarios.families.mpls import LABEL, TAKEN_OFF
from gso.kernel.scenarios.model import Command, Family, Scenario
from gso.kernel.scenarios.traffic import TCP

_FAMILIES: tuple[Family, ...] = (4, 6)
_MODULES = {"vxlan": ("vxlan",), "gretap": ("gre", "ip_gre")}
_MAC = "02:00:00:00:05:0{end}"


def _pushed(family: Family) -> Scenario:
    protocol = {4: "ip", 6: "ipv6"}[family]
    # "continue" leads on to the filter that the mirror has.
    push = f"protocol {protocol} matchall action mpls push label {LABEL} continue"
    return Scenario(
        name=f"mpls-push-outer{family}-inner{family}",
        kind="mpls-push",
        reason="the first label has to say what is below it",
        outer=family,
        inner=family,
        tunnel="MPLS",
        segmenter="__skb_gso_segment",
        director=("route add {server} via {there} dev up0",),
        during=(
            *TAKEN_OFF,
            Command(
                "director",
                f"tc filter add dev up0 egress pref 1 {push}",
                "tc filter del dev up0 egress pref 1",
            ),
        ),
        traffic=TCP,
        modules=("mpls_router", "mpls_iptunnel", "cls_matchall", "act_mpls"),
    )


def _from_tunnel(base: Scenario, kind: str) -> Scenario:
    """Let the client's packets come to the director through a tunnel, which ends there.

    They come whole, as between namespaces of one host: GRO would set what is stale to what is
    right by chance.
    """
    type_ = {"vxlan": "vxlan id {n} dstport {port}", "gretap": "gretap"}[kind]
    device = f"mtu 1400 type {type_}"
    mac = [f"address {_MAC.format(end=end)}" for end in (1, 2)]
    neighbour = f"neigh replace {{target}} lladdr {_MAC.format(end=2)} dev {{device}} nud permanent"
    usual = "ip route replace {target} via {gateway} dev c0 rto_min 50ms"
    return replace(
        base,
        name=f"{kind}-{base.name}",
        kind="mpls-push-tunnel",
        reason="the tunnel is gone, and so is what it said of its inside",
        client=(
            f"link add {{device}} {mac[0]} {device} local {{client_ip}} remote {{gateway}}",
            "link set {device} up",
            neighbour,
        ),
        director=(
            f"link add {{device}} {mac[1]} {device} local {{gateway}} remote {{client_ip}}",
            "link set {device} up",
            *base.director,
        ),
        during=(
            *base.during,
            Command("client", "ethtool -K c0 tso on", "ethtool -K c0 tso off"),
            Command(
                "client",
                "ip route replace {target} dev {device} src {client_ip} rto_min 50ms",
                usual,
            ),
        ),
        modules=(*base.modules, *_MODULES[kind]),
        mss=1300,
    )


_PUSHED = [_pushed(family) for family in _FAMILIES]

SCENARIOS = [
    *_PUSHED,
    *(_from_tunnel(base, "vxlan") for base in _PUSHED),
    *(_from_tunnel(base, "gretap") for base in _PUSHED if base.inner == 4),
]
