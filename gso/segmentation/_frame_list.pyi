from gso.buffers._frames import Frames
from gso.constants import GsoType
from gso.headers.links import LinkType
from gso.headers.tunnels import TunnelPorts
from gso.versions import KernelVersion

def segment_list(
    frames: Frames,
    gso_size: int,
    gso_type: GsoType | int | None,
    link_type: LinkType,
    tunnel_ports: TunnelPorts | None,
    kernel: KernelVersion,
) -> Frames: ...
