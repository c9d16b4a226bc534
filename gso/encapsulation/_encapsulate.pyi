from collections.abc import Iterable
from typing import Literal, SupportsBytes

import numpy.typing as npt
from typing_extensions import Buffer

from gso.buffers._frames import Frames
from gso.constants import Tunnel
from gso.encapsulation.outer import Address
from gso.versions import KernelVersion

def encapsulate(
    frames: Frames | Iterable[Buffer | SupportsBytes],
    tunnel: Tunnel | str,
    *,
    source: Address,
    destination: Address,
    port: int | None = None,
    source_port: npt.ArrayLike | None = None,
    key: int | None = None,
    checksum: bool | Literal["partial"] = False,
    remcsum: bool = False,
    sequence: int | None = None,
    options: Buffer = b"",
    policy: int | None = None,
    inner: Literal["ip", "ethernet"] | None = None,
    ttl: int | Literal["inherit"] = 64,
    tos: int | Literal["inherit"] = 0,
    df: bool | Literal["inherit"] | None = None,
    ip_id: npt.ArrayLike = 0,
    flow_label: npt.ArrayLike = 0,
    encap_limit: int | None = None,
    encap: Literal["fou", "gue"] | None = None,
    link: Buffer | None = None,
    link_type: Literal["ethernet", "raw"] = "ethernet",
    kernel: KernelVersion = "6.12",
) -> Frames: ...
