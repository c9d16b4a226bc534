from typing import Any

import numpy as np
import numpy.typing as npt

SKB_DTYPE: np.dtype[Any]
FIELDS: tuple[str, ...]
RULES: tuple[str, ...]

def judge_batch(
    rows: npt.NDArray[np.void], with_judged: bool = True
) -> tuple[npt.NDArray[np.uint64], Any]: ...
def count_bits(masks: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]: ...
def unknown_rows(n: int) -> npt.NDArray[np.void]: ...
