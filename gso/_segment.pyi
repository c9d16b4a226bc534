from typing import Literal

from typing_extensions import Buffer

from gso._frames import Frames
from gso._layout import Layout, LinkType, TunnelPorts
from gso.constants import GsoType

def segment(
    frame: Buffer,
    gso_size: int,
    *,
    gso_type: GsoType | int | None = None,
    layout: Layout | None = None,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    checksum: Literal["complete", "partial"] = "complete",
) -> Frames: ...
