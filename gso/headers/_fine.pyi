from collections import Counter

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.headers.tunnels import TunnelPorts

def fine_frames(
    frames: Frames,
    link_type: str,
    *,
    tunnel_ports: TunnelPorts | None = None,
    mtu: int | None = None,
    tunnels: Counter[tuple[int, str]] | None = None,
    fragments: npt.NDArray[np.bool_] | None = None,
    alike: npt.NDArray[np.uint64] | None = None,
) -> npt.NDArray[np.bool_]: ...
