"""Judge sk_buffs, one or many, and frames.

    skb = gso.SkbState(transport_header=0x46, inner_mac_header=0x44, inner_network_header=0x52,
                       network_header=0x32, len=1558)
    for finding in gso.validate(skb):
        print(finding)      # tunnel-header-negative: tnl_hlen is -2: inner_mac_header 68 - ...

`validate_batch` judges many sk_buffs at once, `explain` names the rules of its masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gso.rules._judge import judge_batch
from gso.rules.findings import Findings, finding
from gso.rules.table import RULES, explain
from gso.skb.state import SkbState, skb_array

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.tunnels import TunnelPorts

__all__ = ["validate", "validate_batch"]


def validate(
    skb: SkbState | Buffer,
    *,
    link_type: str = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    mtu: int | None = None,
) -> Findings:
    """Find the rules that an sk_buff, or a frame, violates.

    Args:
        skb: fields of an sk_buff; or the bytes of a frame, which is judged by its length and
            checksum fields.
        link_type: for a frame: its first header, as for `gso.headers.fields.dissect`.
        tunnel_ports: for a frame: UDP destination ports of tunnels, as for `gso.parse`.
        mtu: for a frame: the largest IP packet in bytes, if that is to be judged.

    Returns:
        The findings; their ``not_judged`` has the fields that rules lack.
    """
    if not isinstance(skb, SkbState):
        from gso.rules.frames import validate_frame  # noqa: PLC0415  (a tenth of import gso)

        return validate_frame(skb, link_type=link_type, tunnel_ports=tunnel_ports, mtu=mtu)
    violated, judged = judge_batch(skb_array([skb]))
    known = skb.known
    return Findings(
        [finding(rule, known) for rule in explain(int(violated[0]))],
        [rule.rule for rule in explain(int(judged[0]))],
        _not_judged(int(judged[0]), known),
    )


def _not_judged(judged: int, known: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    lacking = {
        rule.rule: tuple(name for name in rule.fields if name not in known)
        for rule in RULES.values()
        if not judged >> rule.bit & 1
    }
    return {name: fields for name, fields in lacking.items() if fields}


def validate_batch(rows: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """Judge many sk_buffs at once: uint64, shape (n,); bit i is set where rule i is violated.

    Args:
        rows: shape (n,), of `gso.SKB_DTYPE`, as `gso.skb_array` makes them: unknown fields have the
            lowest number of their type, and are zero where the row's ``zero_known`` is 0
            (``numpy.zeros``). Offsets may be signed or not: -2 is 65534.

    `explain` tells what a mask means.
    """
    return judge_batch(rows, with_judged=False)[0]
