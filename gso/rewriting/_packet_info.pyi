from typing import Any

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames

PACKET_INFO_DTYPE: np.dtype[Any]
BLANK_OUTER: int
BLANK_INNER: int

def packet_info(frames: Frames, layouts: npt.NDArray[np.void]) -> npt.NDArray[np.void]: ...
