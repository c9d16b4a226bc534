"""The parts of capture formats that occur once a file: headers, interfaces, options.

Sources: draft-ietf-opsawg-pcap section 4 (file header), draft-ietf-opsawg-pcapng sections 3.5
(options), 4.1 (section header block) and 4.2 (interface description block).
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from typing import IO, Any, Literal, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from gso.capture.damage import damaged
from gso.capture.options import (
    INTERFACE_NUMBERS,
    Options,
    Order,
    kept,
    options,
    pack_options,
    text_of,
)
from gso.constants import Reason
from gso.errors import GsoError
from gso.link_types import link_name, link_number

Format: TypeAlias = Literal["pcap", "pcapng"]
Source: TypeAlias = "str | os.PathLike[str] | IO[bytes] | bytes | bytearray | memoryview"
Int64s: TypeAlias = "npt.NDArray[np.int64]"
Records: TypeAlias = "npt.NDArray[np.void]"

CHUNK = 2 << 20
"""Bytes to read or write at a time: so many that the fixed cost of a step is small."""
MOST_RECORDS = 1 << 14
"""Packets to handle at a time."""

PCAP_MICROSECONDS = 0xA1B2C3D4
PCAP_NANOSECONDS = 0xA1B23C4D
PCAP_MODIFIED = 0xA1B2CD34
"""Of Linux distributions before 2000: 8 more bytes in the header of each packet."""
SECTION_HEADER = 0x0A0D0D0A
BYTE_ORDER_MAGIC = 0x1A2B3C4D
INTERFACE_DESCRIPTION = 1
ENHANCED_PACKET = 6

_PCAP_MINOR = 4

SHB_USERAPPL = 4
IF_NAME = 2
IF_DESCRIPTION = 3
IF_TSRESOL = 9
IF_TSOFFSET = 14
_IN_FIELDS = (IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_TSOFFSET)


@dataclass(frozen=True)
class Interface:
    """Where packets were captured (pcapng section 4.2); a pcap file has exactly one, unnamed.

    Attributes:
        link_type: what a frame starts with, as `link_name` calls it: ``"ethernet"``, ``"raw"``...
        name: such as ``"eth0"``; empty if the file does not say.
        description: free text; empty if the file does not say.
        snaplen: longest packet that the capture keeps, in bytes; 0: no limit.
        ticks_per_second: resolution of the timestamps in the file (pcapng ``if_tsresol``).
        offset: seconds to add to the timestamps in the file (pcapng ``if_tsoffset``);
            `Capture.timestamps` has them added already.
        options: code and value of each other option of a pcapng file, such as the filter, the
            operating system and the speed; numbers are little-endian.
    """

    link_type: str = "ethernet"
    name: str = ""
    description: str = ""
    snaplen: int = 0
    ticks_per_second: int = 10**9
    offset: int = 0
    options: Options = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "link_type", link_name(link_number(self.link_type)))


def is_path(source: Source) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it is the name of a file, not a file."""
    return isinstance(source, (str, os.PathLike))


def as_file(source: Source) -> Any:
    """A file with these bytes; a file as it is."""
    return io.BytesIO(source) if isinstance(source, (bytes, bytearray, memoryview)) else source


@dataclass(frozen=True)
class PcapHeader:
    """The 24 bytes that a pcap file starts with."""

    order: Order
    nanoseconds: bool
    interface: Interface
    minor: int = 4
    record: int = 16
    """Bytes of the header of each packet."""

    SIZE = 24

    @staticmethod
    def unpack(header: bytes) -> PcapHeader:
        """Read a header whose magic number is known to be one of pcap's."""
        order: Order = "<" if header[0] in (0xD4, 0x4D, 0x34) else ">"
        magic, major, minor, _, _, snaplen, link = struct.unpack(order + "IHHiIII", header)
        if major != 2 or minor > _PCAP_MINOR:
            raise GsoError(
                f"pcap version {major}.{minor}: only 2.0 to 2.4 are understood",
                reason=Reason.UNSUPPORTED,
                field="version",
                offset=4,
                limit=4,
            )
        # The upper half of the field tells the length of a frame check sequence.
        interface = Interface(
            link_name(link & 0xFFFF),
            snaplen=snaplen,
            ticks_per_second=10**9 if magic == PCAP_NANOSECONDS else 10**6,
        )
        record = 24 if magic == PCAP_MODIFIED else 16
        return PcapHeader(order, magic == PCAP_NANOSECONDS, interface, minor, record)

    @staticmethod
    def pack(interface: Interface, snaplen: int) -> bytes:
        """A header for little-endian nanosecond records."""
        link = link_number(interface.link_type)
        return struct.pack("<IHHiIII", PCAP_NANOSECONDS, 2, 4, 0, 0, snaplen, link)


def section_order(magic: bytes, offset: int) -> Order:
    """Byte order of a section, from the four bytes of its byte-order magic."""
    orders: tuple[Order, Order] = ("<", ">")
    for order in orders:
        if struct.unpack(order + "I", magic)[0] == BYTE_ORDER_MAGIC:
            return order
    raise damaged(
        offset,
        f"byte-order magic is {magic.hex()}, not 1a2b3c4d or 4d3c2b1a",
        "byte-order magic",
        BYTE_ORDER_MAGIC,
        Reason.BAD_HEADER,
    )


def _ticks_per_second(value: bytes, offset: int) -> int:
    """if_tsresol: a power of ten, or of two if the highest bit is set (pcapng section 4.2)."""
    resolution = value[0] if value else 6
    exponent = resolution & 0x7F
    limit = 63 if resolution & 0x80 else 19
    if exponent > limit:
        base = 2 if resolution & 0x80 else 10
        raise damaged(
            offset,
            f"if_tsresol of {base}**-{exponent} seconds, finer than {base}**-{limit}",
            "if_tsresol",
            limit,
            Reason.UNSUPPORTED,
        )
    return 1 << exponent if resolution & 0x80 else int(10**exponent)


def unpack_interface(block: bytes, order: Order, offset: int) -> Interface:
    """Read a whole interface description block that is at `offset` in the file."""
    if len(block) < 20:
        raise damaged(
            offset,
            f"interface description of {len(block)} bytes, at least 20 are needed",
            "block total length",
            20,
            Reason.BAD_HEADER,
        )
    link, _, snaplen = struct.unpack_from(order + "HHI", block, 8)
    listed = list(options(block[16:-4], order, offset + 16))
    found = dict(listed)
    others = [one for one in listed if one[0] not in _IN_FIELDS]
    shift = found.get(IF_TSOFFSET, b"")
    return Interface(
        link_name(link),
        text_of(found.get(IF_NAME, b"")),
        text_of(found.get(IF_DESCRIPTION, b"")),
        snaplen,
        _ticks_per_second(found.get(IF_TSRESOL, b"\x06"), offset),
        struct.unpack(order + "q", shift)[0] if len(shift) == 8 else 0,
        kept(others, order, INTERFACE_NUMBERS),
    )


def pack_block(kind: int, body: bytes) -> bytes:
    """A little-endian pcapng block around `body`, whose length is a multiple of four."""
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def pack_section() -> bytes:
    """A section header block; the section's length is not known in advance (-1)."""
    body = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)
    return pack_block(SECTION_HEADER, body + pack_options([(SHB_USERAPPL, b"pygso")]))


def pack_interface(interface: Interface) -> bytes:
    """An interface description block whose timestamps are nanoseconds since 1970."""
    texts = ((IF_NAME, interface.name), (IF_DESCRIPTION, interface.description))
    described = [(code, text.encode("utf-8", "backslashreplace")) for code, text in texts if text]
    head = struct.pack("<HHI", link_number(interface.link_type), 0, interface.snaplen)
    return pack_block(
        INTERFACE_DESCRIPTION,
        head + pack_options([*described, (IF_TSRESOL, b"\x09"), *interface.options]),
    )
