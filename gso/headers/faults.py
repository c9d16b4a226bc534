"""What is wrong with the headers of a frame themselves: versions, header lengths, room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gso.headers.ends import in_fragment, packet_ends

if TYPE_CHECKING:
    from gso.headers.header import Header

_LENGTHS = {"ipv4": "header length", "tcp": "data offset"}
"""Fields that count words of 4 bytes, of which these headers have five or more."""
_LEAST_WORDS = 5


def header_faults(
    headers: list[Header], data: bytes, *, complete: bool
) -> Iterator[tuple[Header, str]]:
    """Yield each header of a frame with a fault, and the fault in words.

    `complete` is False for a frame that the capture cut: its headers may lack bytes.
    """
    for place, (header, end) in enumerate(zip(headers, packet_ends(headers, data), strict=True)):
        values = header.values
        name = header.name or header.protocol.name
        if not header.is_its_version:
            yield (
                header,
                f"{name} version at {header.offset} is {values['version']}, announced was "
                f"{header.protocol.name[-1]}",
            )
            continue
        words = _LENGTHS.get(header.protocol.name, "")
        if values.get(words, _LEAST_WORDS) < _LEAST_WORDS:
            yield header, f"{name} {words} is {values[words]}, less than {_LEAST_WORDS}"
        need = header.need
        if complete and header.offset + need > end and not in_fragment(headers[:place]):
            yield (
                header,
                f"{name} at {header.offset} needs {need} bytes, the packet has "
                f"{max(end - header.offset, 0)} there",
            )
