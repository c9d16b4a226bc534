"""Offsets of structure members, read from the running kernel's own BTF.

Source: Documentation/bpf/btf.rst in the kernel tree describes the encoding.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path
from typing import NamedTuple

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_KIND_INT, _KIND_PTR, _KIND_ARRAY, _KIND_STRUCT, _KIND_UNION = 1, 2, 3, 4, 5
_KIND_ENUM, _KIND_FUNC_PROTO, _KIND_VAR, _KIND_DATASEC = 6, 13, 14, 15
_KIND_DECL_TAG, _KIND_ENUM64 = 17, 19

# 32-bit words that follow the three of `struct btf_type`: a fixed number, or so many per `vlen`.
_TRAILING_FIXED = {_KIND_INT: 1, _KIND_ARRAY: 3, _KIND_VAR: 1, _KIND_DECL_TAG: 1}
_TRAILING_PER_MEMBER = {
    _KIND_STRUCT: 3,
    _KIND_UNION: 3,
    _KIND_ENUM: 2,
    _KIND_FUNC_PROTO: 2,
    _KIND_DATASEC: 3,
    _KIND_ENUM64: 3,
}


class BtfError(ValueError):
    """The blob is not BTF, or lacks the structure or member asked for."""


class _Members(NamedTuple):
    """The place of the members of one struct or union among the words of the type section."""

    first: int
    number: int


class Btf:
    """The structures wanted from one BTF blob (little-endian, as x86-64 and arm64 write it)."""

    def __init__(self, blob: bytes, wanted: set[str]) -> None:
        magic, _version, _flags, header_len = struct.unpack_from("<HBBI", blob)
        if magic != _MAGIC:
            raise BtfError(f"BTF magic is {magic:#06x}, expected {_MAGIC:#06x}")
        type_off, type_len, str_off, str_len = struct.unpack_from("<4I", blob, 8)
        self._strings = blob[header_len + str_off : header_len + str_off + str_len]
        self._words = array("I", blob[header_len + type_off : header_len + type_off + type_len])
        self._structs: dict[str, _Members] = {}
        self._anonymous: dict[int, _Members] = {}
        self._scan({self._name_offset(name): name for name in wanted})

    def _name_offset(self, name: str) -> int:
        found = self._strings.find(b"\0" + name.encode() + b"\0")
        if found < 0:
            raise BtfError(f"the kernel's BTF has no name {name!r}")
        return found + 1

    def _scan(self, names: dict[int, str]) -> None:
        words = self._words
        position, type_id, end = 0, 1, len(words)
        while position < end:
            name_offset, info = words[position], words[position + 1]
            kind, vlen = (info >> 24) & 0x1F, info & 0xFFFF
            if kind in (_KIND_STRUCT, _KIND_UNION):
                members = _Members(position + 3, vlen)
                if name_offset == 0:
                    self._anonymous[type_id] = members
                elif name_offset in names:
                    self._structs[names[name_offset]] = members
            position += 3 + _TRAILING_FIXED.get(kind, 0)
            position += _TRAILING_PER_MEMBER.get(kind, 0) * vlen
            type_id += 1

    def offset(self, structure: str, member: str) -> int:
        """Return the byte offset of ``member``, looking into anonymous structs and unions."""
        if structure not in self._structs:
            raise BtfError(f"the kernel's BTF has no struct {structure}")
        bits = self._find(self._structs[structure], self._name_offset(member))
        if bits is None:
            raise BtfError(f"struct {structure} has no member {member}")
        return bits // 8

    def _find(self, members: _Members, name_offset: int) -> int | None:
        """Return the bit offset of a member; ``struct btf_member`` is name, type, offset."""
        for at in range(members.first, members.first + 3 * members.number, 3):
            # With the kind flag set the upper byte of the offset holds a bit-field size.
            name, type_id, bit_offset = self._words[at], self._words[at + 1], self._words[at + 2]
            bit_offset &= 0xFFFFFF
            if name == name_offset:
                return bit_offset
            if name == 0 and type_id in self._anonymous:
                inner = self._find(self._anonymous[type_id], name_offset)
                if inner is not None:
                    return bit_offset + inner
        return None
