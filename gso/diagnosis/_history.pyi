from collections import Counter
from collections.abc import Callable, Container
from typing import Any

import numpy as np
import numpy.typing as npt

from gso.diagnosis.event import Event
from gso.traces.trace import Trace

class BatchColumns:
    batch: Trace
    def __init__(
        self, batch: Trace, kinds: npt.NDArray[np.uint8], encapsulators: Container[str]
    ) -> None: ...

class PacketHistory:
    since: int
    begin: int
    mask: int
    functions: dict[str, None]
    encapsulators: tuple[str, ...]
    results: dict[str, int]
    reason: str
    drop_location: str
    stack_text: str
    words: str
    occurrences: int
    @property
    def events(self) -> list[Event]: ...
    @property
    def before(self) -> Event | None: ...
    @property
    def bad(self) -> Event | None: ...
    @property
    def drop(self) -> Event | None: ...
    @property
    def dropped(self) -> bool: ...
    @property
    def first_line(self) -> int: ...
    @property
    def outer_length(self) -> int: ...

class Tally:
    rules: tuple[str, ...]
    function: str
    packets: int
    dropped: int
    flows: Counter[str]
    devices: Counter[str]
    example: Any
    def __init__(self, rules: tuple[str, ...], function: str) -> None: ...
    @property
    def times(self) -> tuple[int, int] | None: ...

def tally_packets(
    packets: list[Any],
    known: dict[Any, Any],
    judge: Callable[[Any], tuple[Tally, int] | None],
    timed: bool,
    most: int,
) -> list[Any]: ...
def start_histories(
    packets: dict[int, Any],
    given_up: set[int],
    make: Callable[[], PacketHistory],
    numbers: npt.NDArray[np.int64],
    suspicious: npt.NDArray[np.int64],
    base: int,
    remembered: int,
) -> list[int]: ...
def add_events(
    packets: dict[int, Any],
    columns: BatchColumns,
    start: int,
    base: int,
    numbers: npt.NDArray[np.int64],
    violated: npt.NDArray[np.uint64],
    chosen: npt.NDArray[np.int64],
    collected: npt.NDArray[np.bool_] | None,
) -> None: ...
