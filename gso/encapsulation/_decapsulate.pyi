from collections.abc import Iterable
from typing import Literal, SupportsBytes

from typing_extensions import Buffer

from gso.buffers._frames import Frames
from gso.headers.tunnels import TunnelPorts
from gso.versions import KernelVersion

def decapsulate(
    frames: Frames | Iterable[Buffer | SupportsBytes],
    *,
    link: Buffer | None = None,
    link_type: Literal["ethernet", "raw"] = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    kernel: KernelVersion = "6.12",
) -> Frames: ...
