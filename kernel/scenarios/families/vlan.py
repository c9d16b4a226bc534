"""IPVS tunnels with GUE and a VLAN on either side of the director, as in the incident."""

from dataclasses import replace

from gso.kernel.scenarios.families import ipvs_gue
from gso.kernel.scenarios.model import Command, Scenario

_TAKES_ALL = "ip link set {egress} mtu 1600"
_BASES = [s for s in ipvs_gue.SCENARIOS if s.outer == s.inner and s.checksum != "remcsum"]


def _egress(base: Scenario, *, in_band: bool) -> Scenario:
    where = "inband" if in_band else "egress"
    reorder = " reorder_hdr off" * in_band
    return replace(
        base,
        name=base.name.replace("gue-", f"gue-vlan-{where}-"),
        kind="ipvs-gue-vlan",
        reason="a VLAN device on the way out changes nothing in the inner header offsets",
        egress="up0.{n}",
        worker_device="dn0.{n}",
        # In-band the tag is in the packet already when it comes to the segmenter.
        vlan=not in_band,
        director=(
            f"link add link up0 name {{egress}} type vlan id {{n}}{reorder}",
            "link set {egress} up",
        ),
        worker=(
            "link add link dn0 name {worker_device} type vlan id {n}",
            "link set {worker_device} up",
            *base.worker,
        ),
        # A smaller MTU of up0, in another scenario, stays with the VLAN device on it.
        during=(Command("director", _TAKES_ALL, _TAKES_ALL),),
        modules=(*base.modules, "8021q"),
        default=base.name == "gue-outer4-inner4-csum" and not in_band,
    )


def _ingress(base: Scenario, *, in_band: bool) -> Scenario:
    here, there = "c0.{n}", "d0.{n}"
    route = f"{{target}} dev {here} src {{client_ip}} rto_min 50ms"
    reorder = " reorder_hdr off" * in_band
    usual = "{target} via {gateway} dev c0 rto_min 50ms"
    faulty = base.faulty_tnl_hlen
    return replace(
        base,
        name=base.name.replace("gue-", f"gue-vlan-ingress{'-inband' * in_band}-"),
        kind="ipvs-gue-vlan",
        reason="the stale offset is that of the packet's link-layer header"
        + (", which an in-band VLAN tag makes four bytes longer" if in_band else ""),
        faulty_tnl_hlen=None if faulty is None else faulty - 4 * in_band,
        client=(
            f"link add link c0 name {here} type vlan id {{n}}",
            f"link set {here} up",
            f"neigh replace {{target}} lladdr {{ingress_mac}} dev {here} nud permanent",
        ),
        director=(
            f"link add link d0 name {there} type vlan id {{n}}{reorder}",
            f"link set {there} up",
        ),
        during=(Command("client", f"ip route replace {route}", f"ip route replace {usual}"),),
        modules=(*base.modules, "8021q"),
        default=False,
    )


# With an in-band tag the inner packet is segmented while skb->protocol still says VLAN, and
# skb_segment() takes two bytes of the inner IP header for the protocol after a tag. In an IPv6
# address they may be zero, and then every packet is dropped, fix or no fix (seen in 6.12.117 with
# 2001:db8:1::1). So in-band goes with IPv4 only.
_IN_BAND = [base for base in _BASES if base.inner == 4]

SCENARIOS = [
    *(_egress(base, in_band=False) for base in _BASES),
    *(_egress(base, in_band=True) for base in _IN_BAND),
    *(_ingress(base, in_band=in_band) for in_band in (False, True) for base in _BASES),
]
