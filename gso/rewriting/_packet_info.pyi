from typing import Any

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.headers.links import BareLinkType
from gso.headers.tunnels import TunnelPorts

PACKET_INFO_DTYPE: np.dtype[Any]
BLANK_OUTER: int
BLANK_INNER: int

def packet_info(frames: Frames, layouts: npt.NDArray[np.void]) -> npt.NDArray[np.void]: ...
def unremarkable(
    buffer: npt.NDArray[np.uint8],
    records: npt.NDArray[np.void],
    skip: int,
    *,
    link_type: BareLinkType,
    tunnel_ports: TunnelPorts | None,
    mtu: int,
    longest: int,
) -> npt.NDArray[np.bool_]: ...
