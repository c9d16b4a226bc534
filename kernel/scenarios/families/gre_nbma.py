"""GRE devices without a peer of their own: neighbours say where each packet goes (NBMA).

Such a device makes the outer header where Ethernet makes its own, in ``ipgre_header``, and its
packets come with it.
"""

from typing import Any

from gso.kernel.scenarios.model import Scenario
from gso.kernel.scenarios.traffic import TCP, TINY


def _scenario(name: str, flags: str, reason: str, **changes: Any) -> Scenario:
    ours = " ".join(f"o{flag}" for flag in flags.split())
    theirs = " ".join(f"i{flag}" for flag in flags.split())
    return Scenario(
        name=name,
        kind="gre-nbma",
        reason=reason,
        outer=4,
        inner=4,
        checksum="csum",
        tunnel="GRE",
        director=(
            f"link add {{device}} mtu 1520 type gre local {{here}} key {{n}} {ours}",
            "link set {device} up",
            "neigh replace {server} lladdr {there} dev {device} nud permanent",
            "route add {server} dev {device}",
        ),
        worker=(
            f"link add {{device}} type gre local {{there}} remote {{here}} ikey {{n}} {theirs}",
            "link set {device} up",
        ),
        modules=("gre", "ip_gre"),
        **changes,
    )


SCENARIOS = [
    _scenario(
        "gre-nbma",
        "csum",
        "the outer header is there before ipgre_xmit, which passes over it",
        segmenter="gre_gso_segment",
        tnl_hlen=12,
        traffic=TCP,
    ),
    _scenario(
        "gre-nbma-tiny",
        "csum seq",
        "ipgre_xmit may ask for no more bytes than those that it passes over",
        segmenter=None,
        traffic=TINY,
    ),
]
