from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from gso.versions import KernelVersion

def check_names(rules: Iterable[str]) -> None: ...
def judge_batch(
    rows: npt.NDArray[np.void],
    with_judged: bool = True,
    kernels: Iterable[KernelVersion] = ...,
) -> tuple[npt.NDArray[np.uint64], Any]: ...
def count_bits(masks: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]: ...
