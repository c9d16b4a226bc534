from collections.abc import Iterable
from typing import Literal, SupportsBytes

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from gso.buffers._frames import Frames, Segments
from gso.constants import GsoType
from gso.headers.links import DeviceLinkType, LinkType
from gso.headers.tunnels import TunnelPorts
from gso.versions import KernelVersion

def segment_batch(
    frames: Frames | Iterable[Buffer | SupportsBytes],
    gso_size: int | npt.ArrayLike,
    *,
    threads: int = 1,
    gso_type: GsoType | int | npt.ArrayLike | None = None,
    out: Buffer | None = None,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    checksum: Literal["complete", "partial"] = "complete",
    errors: Literal["raise", "pass"] = "raise",
    kernel: KernelVersion = "6.12",
) -> Segments: ...
def segment_batch_vouched(
    frames: Frames,
    gso_size: npt.NDArray[np.int64],
    gso_type: npt.NDArray[np.int64],
    *,
    link_type: DeviceLinkType,
    checksum: Literal["complete", "partial"],
    kernel: KernelVersion,
) -> Segments: ...
def segment_headers_batch(
    frames: Frames | Iterable[Buffer | SupportsBytes],
    gso_size: int | npt.ArrayLike,
    *,
    gso_type: GsoType | int | npt.ArrayLike | None = None,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    checksum: Literal["complete", "partial"] = "complete",
    errors: Literal["raise", "pass"] = "raise",
    kernel: KernelVersion = "6.12",
) -> SegmentHeadersBatch: ...

class SegmentHeadersBatch:
    headers: Segments
    frames: Frames
    @property
    def payload(self) -> npt.NDArray[np.int64]: ...
    @property
    def parent(self) -> npt.NDArray[np.int64]: ...
    def iovecs(self, i: int) -> list[memoryview]: ...
    def __len__(self) -> int: ...
