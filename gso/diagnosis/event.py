"""One event of one packet, as it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from gso.skb._skb import SKB_DTYPE
from gso.skb.state import SkbState

__all__ = ["Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one packet.

    Attributes:
        line: of the log, counted from 1.
        time: nanoseconds, None where the log has none; since the packet's first event where the
            log's times are relative.
        cpu: -1 where the log has none.
        function: the function that saw the packet.
        flow, device: as the log prints them, or empty.
        data: the sk_buff's fields in that function, the bytes of a row of `gso.SKB_DTYPE`.
    """

    line: int
    time: int | None
    cpu: int
    function: str
    flow: str
    device: str
    data: bytes

    @property
    def row(self) -> np.void:
        """The sk_buff's fields, of `gso.SKB_DTYPE`."""
        return cast("np.void", np.frombuffer(self.data, SKB_DTYPE)[0])

    @property
    def state(self) -> SkbState:
        """The sk_buff's fields."""
        return SkbState.from_row(self.row)
