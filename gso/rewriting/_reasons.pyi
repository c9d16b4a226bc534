import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.capture.format import Int64s

CUT: int
UNSURE: int
HOP_OPTIONS: int
IMPLAUSIBLE: int
TRAILED: int
WRONG_SUM: int
DATAGRAM: int
OTHER: int
OPAQUE: int

def reasons(
    frames: Frames,
    info: npt.NDArray[np.void],
    sizes: Int64s,
    cut: npt.NDArray[np.bool_],
    *,
    mtu: int,
    longest: int,
) -> npt.NDArray[np.uint16]: ...
