from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, SupportsBytes, SupportsIndex

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from gso.buffers._frames import Frames
from gso.constants import GsoType
from gso.headers._layout import Layout
from gso.headers.links import DeviceLinkType, LinkType
from gso.headers.tunnels import TunnelPorts
from gso.versions import KernelVersion

def segment(
    frame: Buffer | SupportsBytes | Sequence[Buffer | SupportsBytes] | Frames,
    gso_size: int,
    *,
    gso_type: GsoType | int | None = None,
    layout: Layout | None = None,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    checksum: Literal["complete", "partial"] = "complete",
    kernel: KernelVersion = "6.12",
    pieces: Iterable[SupportsIndex] | None = None,
) -> Frames: ...
def segment_vouched(
    frame: Buffer | SupportsBytes,
    gso_size: int,
    *,
    gso_type: GsoType | int,
    layout: Layout,
    link_type: DeviceLinkType,
    checksum: Literal["complete", "partial"],
    kernel: KernelVersion,
) -> Frames: ...

class SegmentHeaders:
    @property
    def headers(self) -> Frames: ...
    @property
    def payload(self) -> npt.NDArray[np.int64]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, i: int) -> Any: ...

def segment_headers(
    frame: Buffer | SupportsBytes,
    gso_size: int,
    *,
    gso_type: GsoType | int | None = None,
    layout: Layout | None = None,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    checksum: Literal["complete", "partial"] = "complete",
    kernel: KernelVersion = "6.12",
) -> SegmentHeaders: ...
