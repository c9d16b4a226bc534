"""FOU and GUE by tunnel devices over a VLAN device: the tag in the frame, or in its metadata."""

from dataclasses import replace

from gso.kernel.scenarios.families import fou
from gso.kernel.scenarios.model import Command, Scenario

_TAKES_ALL = "ip link set {egress} mtu 1600"


def _over_vlan(base: Scenario, *, in_band: bool) -> Scenario:
    where = "inband" if in_band else "offload"
    return replace(
        base,
        name=f"{base.kind.removesuffix('-device')}-vlan-{where}-outer{base.outer}-inner{base.inner}",
        kind="fou-vlan",
        reason="the segmenter may not take the tag's protocol for that of the inner packet"
        if in_band
        else "a tag in the metadata is no part of what is segmented",
        egress="up0.{n}",
        worker_device="dn0.{n}",
        vlan=not in_band,
        director=(
            f"link add link up0 name {{egress}} type vlan id {{n}}{' reorder_hdr off' * in_band}",
            "link set {egress} up",
            *base.director,
        ),
        worker=(
            "link add link dn0 name {worker_device} type vlan id {n}",
            "link set {worker_device} up",
            *base.worker,
        ),
        during=(Command("director", _TAKES_ALL, _TAKES_ALL),),
        modules=(*base.modules, "8021q"),
    )


_PLAIN = [base for base in fou.SCENARIOS if base.checksum == "nocsum"]

SCENARIOS = [
    # The addresses of the scenarios have zero in bytes 8 and 9 of an inner IPv6 source.
    *(_over_vlan(base, in_band=True) for base in _PLAIN if base.kind == "fou-device"),
    *(
        _over_vlan(base, in_band=True)
        for base in _PLAIN
        if base.name == "gue-device-outer4-inner6-nocsum"
    ),
    *(
        _over_vlan(base, in_band=False)
        for base in _PLAIN
        if base.name == "fou-device-outer4-inner6-nocsum"
    ),
]
