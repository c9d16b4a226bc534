from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

RECORD_DTYPE: np.dtype[Any]
PCAP_RECORD: int
OLD_PCAP_RECORD: int
OBSOLETE_PACKET_BLOCK: int
SIMPLE_PACKET_BLOCK: int
ENHANCED_PACKET_BLOCK: int
MAX_BLOCK: int

Records = npt.NDArray[np.void]
Bytes = Buffer | npt.NDArray[np.uint8]

def scan_pcap(
    buffer: Bytes,
    start: int,
    stop: int,
    swapped: bool,
    records: Records,
    origin: int = 0,
    minor: int = 4,
    header: int = 16,
) -> tuple[int, int]: ...
def scan_pcapng(
    buffer: Bytes,
    start: int,
    stop: int,
    swapped: bool,
    interfaces: int,
    snaplen: int,
    records: Records,
    origin: int = 0,
) -> tuple[int, int]: ...
def gather(
    buffer: Bytes,
    records: Records,
    skips: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint8],
    start: int = 0,
) -> int: ...
def without_words(
    buffer: Bytes, records: Records, start: int, words: Sequence[int]
) -> npt.NDArray[np.int64]: ...
def nanoseconds(
    records: Records,
    numerators: npt.NDArray[np.uint64],
    denominators: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> None: ...
def packed_size(
    records: Records,
    offsets: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    skips: npt.NDArray[np.uint32],
    tails: npt.NDArray[np.int64] | None = None,
) -> int: ...
def pack(
    buffer: Bytes,
    records: Records,
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    skips: npt.NDArray[np.uint32],
    swapped: bool,
    out: npt.NDArray[np.uint8],
    spell_out: bool = False,
    behind: npt.NDArray[np.uint8] | None = None,
    tails: npt.NDArray[np.int64] | None = None,
) -> int: ...
