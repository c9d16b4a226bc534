from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

FORMATS: dict[str, int]
COLUMNS: dict[str, type[np.generic]]

class Scanner:
    damaged_lines: list[tuple[int, str]]
    relative: bool
    def __init__(self, format: str, rows: int = 65536, room: int = 1 << 26) -> None: ...
    @property
    def totals(self) -> tuple[int, int, int, int]: ...
    def skip_line(self, start: Buffer) -> None: ...
    def feed(self, block: Buffer, start: int) -> tuple[int, bool]: ...
    def take(
        self,
    ) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.void], list[str]]: ...
