"""One header of a frame, and its fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from gso.headers.protocols import Protocol, Values


@dataclass(frozen=True)
class Field:
    """One field of one header.

    Attributes:
        header: the protocol, as ``"tcp"`` or, in a tunnel, ``"outer ipv4"`` and ``"inner ipv4"``.
        name: the field's name in its specification; ``"payload"`` for bytes of no header.
        offset: byte of the frame where it starts.
        bits: its width.
        value: its number, host order; the bytes themselves for payload and opaque data.
        text: the value for people: an address, a name, a decoded flag.
        bit: how far into the byte at `offset` it starts, from the most significant bit.
    """

    header: str
    name: str
    offset: int
    bits: int
    value: int | bytes
    text: str
    bit: int = 0

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.offset + (self.bit + self.bits + 7) // 8


@dataclass
class Header:
    """One header of a frame: bytes `offset` to `end`, its numeric fields by name in `values`."""

    protocol: Protocol
    level: int
    """How many tunnels or IP headers are around it."""
    offset: int
    values: Values = field(default_factory=dict)
    fields: list[Field] = field(default_factory=list)
    end: int = 0
    name: str = ""

    @property
    def need(self) -> int:
        """Bytes that the header says it has; those of its fixed fields if these are not there."""
        fixed = self.protocol.fixed
        return (
            fixed if self.end - self.offset < fixed else max(fixed, self.protocol.size(self.values))
        )

    @property
    def is_its_version(self) -> bool:
        """Whether an IP header has the version that was announced."""
        version = {"ipv4": 4, "ipv6": 6}.get(self.protocol.name)
        return version is None or self.values.get("version", version) == version
