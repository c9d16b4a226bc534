from typing import Any

import numpy as np
import numpy.typing as npt

from gso.traces.name_table import NameTable

COLUMNS: dict[str, type[np.generic]]

class EventColumns:
    number: int
    def __init__(self, rows: int = 65536, room: int = 1 << 24) -> None: ...
    def take(
        self,
    ) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.void], NameTable]: ...
