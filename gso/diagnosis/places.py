"""Where in the kernel an event saw its packet, as far as rules need to know."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gso.constants import Context
from gso.traces.trace import Trace

__all__ = ["fill_context"]

_PLACES = {
    "__dev_queue_xmit": Context.TRANSMIT,
    "validate_xmit_skb": Context.TRANSMIT,
    "dev_hard_start_xmit": Context.TRANSMIT,
    "net_dev_queue": Context.TRANSMIT,
    "net_dev_start_xmit": Context.TRANSMIT,
    "skb_checksum_help": Context.CHECKSUM_HELP,
    "skb_udp_tunnel_segment": Context.TUNNEL_SEGMENTER,
    "__skb_udp_tunnel_segment": Context.TUNNEL_SEGMENTER,
    "gre_gso_segment": Context.TUNNEL_SEGMENTER,
}
"""By functions whose first argument is the sk_buff, and tracepoints in them."""
_DUMPS = frozenset({"skb_dump", "skb_warn_bad_offload", "skb_checksum_help"})
"""The name in the kernel's log of an event whose place is in its stack."""
_NEAR_TOP = 8
_UNKNOWN = np.iinfo(np.int32).min
_CACHED = 1 << 12


def fill_context(batch: Trace) -> None:
    """Write into the batch's sk_buffs where each was seen, and the MTU of its device."""
    state, functions = batch.state, batch.columns["function"]
    used = np.zeros(len(batch.names) + 1, np.bool_)
    used[functions] = True
    table = np.zeros(len(used), np.int32)
    dumps = np.zeros(len(used), np.bool_)
    for number in np.flatnonzero(used[:-1]).tolist():
        table[number] = _place(batch.names[number])
        dumps[number] = batch.names[number] in _DUMPS
    context = table[functions]
    for row in np.flatnonzero(dumps[functions] & (batch.columns["stack"] >= 0)).tolist():
        context[row] |= _stack_place(batch.names[batch.columns["stack"][row]])
    state["context"] = np.where(context > 0, context, _UNKNOWN)
    mtu = batch.columns["mtu"]
    state["mtu"] = np.where(mtu > 0, mtu, _UNKNOWN)


@lru_cache(maxsize=_CACHED)
def _place(function: str) -> int:
    # Compilers add suffixes to functions that they specialise, such as ".isra.0".
    return int(_PLACES.get(function.split(".", maxsplit=1)[0], 0))


@lru_cache(maxsize=_CACHED)
def _stack_place(stack: str) -> int:
    place = 0
    for function in stack.split("\n", _NEAR_TOP)[:_NEAR_TOP]:
        place |= _place(function)
    return place
