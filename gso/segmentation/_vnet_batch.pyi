import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames, Segments
from gso.headers.links import DeviceLinkType
from gso.versions import KernelVersion

OTHER: int
SEGMENT: int
CHECKSUM: int

def tell_work(
    frames: Frames, rows: bytes, link_type: DeviceLinkType, kernel: KernelVersion
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int, int]: ...
def complete_batch(frames: Frames, rows: bytes) -> Segments: ...
