from gso.buffers._frames import Frames
from gso.buffers._spans import Spans
from gso.headers.links import LinkType
from gso.headers.tunnels import TunnelPorts

def guess_tunnels(
    frames: Frames | Spans,
    *,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
) -> list[tuple[int, int, str]]: ...
