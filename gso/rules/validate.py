"""Judge sk_buffs, one or many, and frames.

    skb = gso.SkbState(transport_header=0x46, inner_mac_header=0x44, inner_network_header=0x52,
                       network_header=0x32, len=1558)
    for finding in gso.validate(skb):
        print(finding)      # tunnel-header-negative: tnl_hlen is -2: inner_mac_header 68 - ...

`validate_batch` judges many sk_buffs at once, `explain` names the rules of its masks.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, SupportsBytes, cast, overload

import numpy as np
import numpy.typing as npt

from gso.headers.links import checked_link
from gso.rules._judge import judge_batch
from gso.rules.findings import Findings, finding
from gso.rules.lacking import lacking
from gso.rules.table import explain
from gso.skb.state import SkbState, skb_array
from gso.versions import REFERENCE, KernelVersion

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.links import LinkType
    from gso.headers.tunnels import TunnelPorts

__all__ = ["validate", "validate_batch"]


@overload
def validate(
    skb: npt.NDArray[np.void],
    *,
    link_type: LinkType = ...,
    tunnel_ports: TunnelPorts | None = ...,
    mtu: int | None = ...,
    kernel: KernelVersion = ...,
) -> list[Findings]: ...
@overload
def validate(
    skb: SkbState | np.void | Buffer | SupportsBytes,
    *,
    link_type: LinkType = ...,
    tunnel_ports: TunnelPorts | None = ...,
    mtu: int | None = ...,
    kernel: KernelVersion = ...,
) -> Findings: ...
def validate(
    skb: SkbState | np.void | npt.NDArray[np.void] | Buffer | SupportsBytes,
    *,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    mtu: int | None = None,
    kernel: KernelVersion = REFERENCE,
) -> Findings | list[Findings]:
    """Find the rules that an sk_buff, or a frame, violates.

    Args:
        skb: fields of an sk_buff; or a row of an array of `gso.SKB_DTYPE`; or such an array, of
            shape (n,); or the bytes of a frame, which is judged by its length and checksum fields.
        link_type: for a frame: its first header, as for `gso.parse`.
        tunnel_ports: for a frame: UDP destination ports of tunnels, as for `gso.parse`.
        mtu: for a frame: the largest IP packet in bytes, if that is to be judged.
        kernel: the Linux kernel that has the sk_buff or the frame: "6.12", "6.1" or "7.3".

    Returns:
        The findings; their ``not_judged`` has the fields that rules lack. For an array, those of
        each row.

    Raises TypeError for an array or a row of records that are not of `gso.SKB_DTYPE`, and
    ValueError for a kernel or a link type that is not known.
    """
    if isinstance(skb, SkbState):
        [violated], [judged] = judge_batch(skb_array([skb]), kernels=(kernel,))
        return _findings(skb.known, int(violated), int(judged))
    if isinstance(skb, (np.void, np.ndarray)) and skb.dtype.names:
        rows = np.asarray(skb)
        if rows.ndim:
            return _judge_rows(rows, kernel)
        return _judge_rows(rows.reshape(1), kernel)[0]
    from gso.rules.frames import validate_frame  # noqa: PLC0415  (a tenth of import gso)

    frame = cast("Buffer | SupportsBytes", skb)
    return validate_frame(
        frame,
        link_type=checked_link(link_type),
        tunnel_ports=tunnel_ports,
        mtu=mtu,
        kernel=kernel,
    )


def _judge_rows(rows: npt.NDArray[np.void], kernel: KernelVersion) -> list[Findings]:
    violated, judged = judge_batch(rows, kernels=(kernel,))
    masks = zip(rows, violated.tolist(), judged.tolist(), strict=True)
    return [_findings(SkbState.from_row(row).known, *both) for row, *both in masks]


def _findings(known: dict[str, int], violated: int, judged: int) -> Findings:
    return Findings(
        [finding(rule, known) for rule in explain(violated)],
        [rule.rule for rule in explain(judged)],
        partial(lacking, judged, known),
    )


def validate_batch(
    rows: npt.NDArray[np.void], *, kernel: KernelVersion = REFERENCE
) -> npt.NDArray[np.uint64]:
    """Judge many sk_buffs at once: uint64, shape (n,); bit i is set where rule i is violated.

    Args:
        rows: shape (n,), of `gso.SKB_DTYPE`, as `gso.skb_array` makes them: unknown fields have the
            lowest number of their type, and are zero where the row's ``zero_known`` is 0
            (``numpy.zeros``). Offsets may be signed or not: -2 is 65534.
        kernel: the Linux kernel that has the sk_buffs, as for `validate`.

    `explain` tells what a mask means.
    """
    return judge_batch(rows, with_judged=False, kernels=(kernel,))[0]
