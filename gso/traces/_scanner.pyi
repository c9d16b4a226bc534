from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from gso.traces.name_table import NameTable

DAMAGED_KEPT: int
LONGEST_LINE: int
COLUMNS: dict[str, type[np.generic]]

class Scanner:
    damaged_lines: list[tuple[int, str]]
    relative: bool
    def __init__(self, rows: int = 65536, room: int = 1 << 24) -> None: ...
    @property
    def totals(self) -> tuple[int, int, int, int]: ...
    def remember_header(self, line: Buffer) -> None: ...
    def last_header(self, block: Buffer) -> bytes: ...
    def last_event(self, block: Buffer) -> int: ...
    def feed(self, block: Buffer, start: int) -> tuple[int, bool]: ...
    def take(
        self,
    ) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.void], NameTable]: ...
