from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

DROPS: int
CONSUMES: int
ENTERS: int
AFTER_FREE: int
SEGMENTS: int

class PacketTable:
    room: int
    evicted: int
    def __init__(self, room: int) -> None: ...
    def assign(
        self,
        columns: Mapping[str, npt.NDArray[Any]],
        inner: npt.NDArray[np.int32],
        kinds: npt.NDArray[np.uint8],
        codes: npt.NDArray[np.int32],
        in_stack: Callable[[int, int], bool],
    ) -> tuple[npt.NDArray[np.int64], list[int]]: ...
