from collections.abc import Container
from typing import Any

import numpy as np
import numpy.typing as npt

from gso.event import Event
from gso.trace import Trace

class Rows:
    batch: Trace
    def __init__(
        self, batch: Trace, kinds: npt.NDArray[np.uint8], encapsulators: Container[str]
    ) -> None: ...

class Collected:
    since: int
    begin: int
    mask: int
    functions: dict[str, None]
    encapsulators: dict[str, None]
    results: dict[str, int]
    reason: str
    drop_location: str
    stack_text: str
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
    def times(self) -> tuple[int, int] | None: ...
    @property
    def outer_length(self) -> int: ...
    def tally(self, flows: dict[str, int], devices: dict[str, int], most: int) -> None: ...

def feed(
    packets: dict[int, Any],
    rows: Rows,
    start: int,
    base: int,
    lives: npt.NDArray[np.int64],
    violated: npt.NDArray[np.uint64],
    chosen: npt.NDArray[np.int64],
    collected: npt.NDArray[np.bool_] | None,
) -> None: ...
