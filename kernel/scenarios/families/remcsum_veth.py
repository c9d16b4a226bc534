"""Remote checksum offload between two namespaces: the sk_buff crosses with its marks."""

from dataclasses import replace

from gso.kernel.scenarios.families import fou, vxlan
from gso.kernel.scenarios.families.features import over_veth
from gso.kernel.scenarios.model import Scenario
from gso.kernel.scenarios.traffic import BULK


def _gue(base: Scenario) -> Scenario:
    """Go without an outer checksum, which would vouch for the inner one."""
    create, *others = base.director
    director = (create.replace(" encap-csum ", " noencap-csum "), *others)
    return replace(base, director=director, traffic=(BULK,))


def _vxlan(base: Scenario) -> Scenario:
    create, *director = base.director
    peer, *worker = base.worker
    return replace(
        base,
        checksum="remcsum",
        director=(f"{create} remcsumtx", *director),
        worker=(f"{peer} remcsumrx", *worker),
        traffic=(BULK,),
    )


def _across(base: Scenario, name: str) -> Scenario:
    return over_veth(
        base,
        name=name,
        kind="remcsum-veth",
        reason="the segmenter's mark of remote checksum offload must not reach the receiver",
        refusals=("Tcp.InCsumErrors",),
    )


SCENARIOS = [
    *(
        _across(_gue(base), f"remcsum-veth-gue-outer{base.outer}-inner{base.inner}")
        for base in fou.SCENARIOS
        # Over IPv6 there is an outer checksum, which veth takes as it is begun.
        if base.kind == "gue-device"
        and base.checksum == "remcsum"
        and base.outer == base.inner == 4
    ),
    *(
        _across(_vxlan(base), f"remcsum-veth-vxlan-outer{base.outer}-inner{base.inner}")
        for base in vxlan.SCENARIOS
        if base.kind == "vxlan" and base.checksum == "nocsum" and base.outer == base.inner
    ),
]
