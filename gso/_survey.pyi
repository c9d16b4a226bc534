from typing import Any

import numpy as np
import numpy.typing as npt

SURVEY_DTYPE: np.dtype[Any]

def survey(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    network: npt.NDArray[np.int32],
    transport: npt.NDArray[np.int32],
    payload: npt.NDArray[np.int32],
    protocols: npt.NDArray[np.uint8],
    versions: npt.NDArray[np.uint8],
) -> npt.NDArray[np.void]: ...
