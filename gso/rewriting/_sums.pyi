import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.capture.format import Int64s

def can_be_cut(
    frames: Frames, info: npt.NDArray[np.void], sizes: Int64s
) -> npt.NDArray[np.bool_]: ...
