from collections.abc import Iterable
from typing import Literal, SupportsBytes, SupportsIndex

from typing_extensions import Buffer

from gso.buffers._frames import Frames
from gso.constants import GsoType
from gso.headers.links import LinkType
from gso.headers.tunnels import TunnelPorts
from gso.versions import KernelVersion

def segment_sctp(
    frame: Buffer | SupportsBytes,
    gso_size: int,
    pieces: Iterable[SupportsIndex],
    gso_type: GsoType | int | None,
    link_type: LinkType,
    tunnel_ports: TunnelPorts | None,
    checksum: Literal["complete", "partial"],
    kernel: KernelVersion,
) -> Frames: ...
