from typing import Literal

from gso.buffers._frames import Frames
from gso.headers.tunnels import TunnelPorts

def guess_tunnels(
    frames: Frames,
    *,
    link_type: Literal["ethernet", "raw"] = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
) -> list[tuple[int, int, str]]: ...
