from collections.abc import Iterable
from typing import Literal, SupportsBytes, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from gso.buffers._frames import Frames
from gso.buffers._spans import Spans
from gso.headers.links import LinkType
from gso.headers.tunnels import TunnelPorts
from gso.versions import KernelVersion

class Coalesced(Frames):
    @overload
    def __getitem__(self, key: int) -> memoryview: ...
    @overload
    def __getitem__(self, key: slice | npt.ArrayLike) -> Coalesced: ...
    @property
    def gso_size(self) -> npt.NDArray[np.int64]: ...
    @property
    def gso_segs(self) -> npt.NDArray[np.int64]: ...
    @property
    def gso_type(self) -> npt.NDArray[np.uint32]: ...
    @property
    def first(self) -> npt.NDArray[np.int64]: ...
    @property
    def into(self) -> npt.NDArray[np.int64]: ...
    @property
    def held(self) -> npt.NDArray[np.int64]: ...
    def vnet_headers(self, *, tunnels: bool = True) -> npt.NDArray[np.void]: ...
    def describable(self, *, tunnels: bool = True) -> npt.NDArray[np.bool_]: ...

def coalesce(
    frames: Frames | Spans | Iterable[Buffer | SupportsBytes],
    *,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    udp_gro: bool = True,
    fixed_ids: bool = False,
    gro_max_size: int = 65536,
    max_flows: int = 65536,
    interfaces: npt.ArrayLike | None = None,
    timestamps: npt.ArrayLike | None = None,
    timeout: int = 0,
    checksum: Literal["partial", "complete"] = "partial",
    kernel: KernelVersion = "6.12",
    gro_ipv4_max_size: int | None = None,
    fraglist: bool = False,
    vxlan_remcsum: bool = True,
) -> Coalesced: ...
def seen(made: Coalesced) -> tuple[int, int]: ...
