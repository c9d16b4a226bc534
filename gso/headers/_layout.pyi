from collections.abc import Iterable
from typing import Literal, SupportsBytes

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from gso.buffers._frames import Frames
from gso.buffers._spans import Spans
from gso.constants import L4, Tunnel
from gso.headers.links import DeviceLinkType, LinkName, LinkType
from gso.headers.tunnels import TunnelPorts

LAYOUT_DTYPE: np.dtype[np.void]

class Layout:
    @property
    def link_type(self) -> LinkName: ...
    @property
    def mac_header(self) -> int: ...
    @property
    def network_header(self) -> int | None: ...
    @property
    def transport_header(self) -> int | None: ...
    @property
    def inner_mac_header(self) -> int | None: ...
    @property
    def inner_network_header(self) -> int | None: ...
    @property
    def inner_transport_header(self) -> int | None: ...
    @property
    def payload(self) -> int: ...
    @property
    def tnl_hlen(self) -> int: ...
    @property
    def tunnel(self) -> Tunnel: ...
    @property
    def l4(self) -> L4: ...
    @property
    def inner_version(self) -> int: ...
    @property
    def outer_version(self) -> int: ...
    def _repr_html_(self) -> str: ...
    def _repr_svg_(self) -> str: ...
    def __eq__(self, other: object) -> bool: ...
    __hash__: None  # type: ignore[assignment]

def parse(
    frame: Buffer | SupportsBytes,
    *,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
) -> Layout: ...
def parse_announced(
    frame: Buffer | SupportsBytes,
    inner_network_header: int,
    inner_version: int,
    *,
    link_type: DeviceLinkType = "ethernet",
) -> Layout: ...
def parse_batch(
    frames: Frames | Spans | Iterable[Buffer | SupportsBytes],
    *,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    errors: Literal["raise", "mark"] = "raise",
) -> npt.NDArray[np.void]: ...
