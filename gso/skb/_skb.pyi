from typing import Any

import numpy as np
import numpy.typing as npt

SKB_DTYPE: np.dtype[Any]
FIELDS: tuple[str, ...]

def unknown_rows(n: int) -> npt.NDArray[np.void]: ...
