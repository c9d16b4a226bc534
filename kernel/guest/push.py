"""Load a BPF program that changes the headers of packets, for a route or for tc, and pin it.

It needs nothing but Python, so that a script can carry it: ``push.py PATH HOOK MODE HEADER``.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_BPF, _LOAD, _PIN = 321, 5, 6  # the system call on x86-64; its commands
# enum bpf_prog_type, and what tells the kernel to go on: after a new IPv4 header it asks for the
# route again; BPF_LWT_ENCAP_SEG6 has set it already.
_HOOKS = {
    "in": (10, 0),
    "xmit": (12, 128),
    **dict.fromkeys(("egress", "away", "to6", "to4"), (3, 0)),
}
_IP = 2  # BPF_LWT_ENCAP_IP: the only mode that leaves the header's length to the program
_PUSH, _DROP = 73, 2  # bpf_lwt_push_encap, BPF_DROP, which is TC_ACT_SHOT
_ROOM, _STORE, _MAC = 50, 9, 1  # bpf_skb_adjust_room, bpf_skb_store_bytes, BPF_ADJ_ROOM_MAC
_LOAD_BYTES, _SUM, _PROTO = 26, 28, 31  # bpf_skb_load_bytes, bpf_csum_diff, bpf_skb_change_proto
_ETHERNET, _IPV4, _IPV6 = 14, 20, 40  # bytes of these headers
_TYPE = 12  # where a frame has its EtherType
_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_DECAPSULATED = {_TYPES[4]: 1 << 7, _TYPES[6]: 1 << 8}  # BPF_F_ADJ_ROOM_DECAP_L3_IPV4, _IPV6
_FIELDS = 128  # bytes of union bpf_attr that old and new kernels know


def load(path: str, hook: str, mode: int, header: bytes) -> None:
    """Pin at ``path`` a program that changes the headers of packets. Raises ``OSError``.

    ``in`` and ``xmit`` of a route push ``header`` (a multiple of four bytes), with ``mode`` of enum
    bpf_lwt_encap_mode. The others are for tc and a device with Ethernet:

    - ``egress`` pushes a header that begins with IPv6; ``mode``: flags of bpf_skb_adjust_room
    - ``away`` takes the outer IP header away; ``header``: EtherType, protocol and length of what is
      taken (2, 1 and 1 bytes), and the EtherType of what is inside; ``mode``: such flags
    - ``to6`` makes IPv6 of IPv4; ``header``: the first twelve bytes of its addresses
    - ``to4`` makes IPv4 of such IPv6
    """
    kind, go_on = _HOOKS[hook]
    made = {"egress": _egress, "away": _away, "to6": _to6, "to4": _to4}.get(hook)
    code = made(mode, header) if made else _code(mode, header, go_on)
    code_buffer, license_buffer = (
        ctypes.create_string_buffer(code),
        ctypes.create_string_buffer(b"GPL"),
    )
    asked = struct.pack(
        "=IIQQ",
        *(kind, len(code) // 8),
        *(ctypes.addressof(code_buffer), ctypes.addressof(license_buffer)),
    )
    program = _call(_LOAD, asked)
    if os.path.exists(path):  # noqa: PTH110  as short as the script that carries it
        os.unlink(path)  # noqa: PTH108
    name = ctypes.create_string_buffer(path.encode())
    _call(_PIN, struct.pack("=QI", ctypes.addressof(name), program))
    os.close(program)


def _instruction(operation: int, registers: int, offset: int, value: int) -> bytes:
    return struct.pack("<BBhi", operation, registers, offset, value)


def _code(mode: int, header: bytes, go_on: int) -> bytes:
    """Return instructions: the header onto the stack, and the helper called with it."""
    less = 0 if header[0] >> 4 == 4 else _IPV6
    return b"".join(
        [
            *_stored(header),
            *_length(header, 1, len(header) - less) * (mode == _IP),
            _instruction(0xB7, 0x02, 0, mode),  # r2 = mode
            *_pointed(len(header), len(header)),
            _instruction(0x85, 0, 0, _PUSH),  # r0 = bpf_lwt_push_encap(r1, r2, r3, r4)
            *_ended(go_on),
        ]
    )


def _egress(flags: int, header: bytes) -> bytes:
    """Return instructions that make room behind the Ethernet header, and store the header there."""
    return b"".join(
        [
            *_stored(header),
            _instruction(0xBF, 0x16, 0, 0),  # r6 = r1
            _instruction(0xB7, 0x02, 0, len(header)),  # r2 = length
            _instruction(0xB7, 0x03, 0, _MAC),  # r3 = BPF_ADJ_ROOM_MAC
            _instruction(0xB7, 0x04, 0, flags),  # r4 = flags
            _instruction(0x85, 0, 0, _ROOM),  # r0 = bpf_skb_adjust_room(r1, r2, r3, r4)
            *_or_drop(),
            *_length(header, 6, -_ETHERNET - _IPV6),
            *_written(_ETHERNET, len(header)),
            *_ended(0),
        ]
    )


def _away(flags: int, header: bytes) -> bytes:
    """Return instructions that take away the header behind Ethernet, if it is the one."""
    outer, protocol, length, inner = header[:2], header[2], header[3], header[4:6]
    at = _ETHERNET + {_TYPES[4]: 9, _TYPES[6]: 6}[outer]  # where the protocol is
    body = [
        _instruction(0xBF, 0x61, 0, 0),  # r1 = r6
        _instruction(0xB7, 0x02, 0, -length),  # r2 = -length
        _instruction(0xB7, 0x03, 0, _MAC),  # r3 = BPF_ADJ_ROOM_MAC
        _instruction(0xB7, 0x04, 0, flags | _DECAPSULATED[inner]),  # r4 = flags
        _instruction(0x85, 0, 0, _ROOM),  # r0 = bpf_skb_adjust_room(r1, r2, r3, r4)
        *_or_drop(),
        *_typed(inner, 8),
    ]
    protocol_read = [*_read(at, 8, 1), _instruction(0x71, 0xA2, -8, 0)]  # r2 = *(u8 *)(r10 - 8)
    return _where([(_ether_type(), _word(outer)), (protocol_read, protocol)], body)


def _to6(_: int, prefix: bytes) -> bytes:
    """Return instructions that make IPv6 of IPv4 without options, below the same Ethernet."""
    header = b"\x60" + bytes(7) + 2 * (prefix + bytes(4))
    old, new = -_IPV4 - _IPV6, -_IPV6
    body = [
        *_read(_ETHERNET, -old, _IPV4),
        *_stored(header),
        *_length(header, 6, -_ETHERNET - _IPV4),
        *_moved(old + 9, new + 6, 1),  # protocol
        *_moved(old + 8, new + 7, 1),  # time to live
        *_moved(old + 12, new + 20, 4),
        *_moved(old + 16, new + 36, 4),
        *_exchanged(_TYPES[6]),
        *_written(_ETHERNET, _IPV6),
        *_typed(_TYPES[6], -old),
    ]
    return _where([(_ether_type(), _word(_TYPES[4]))], body)


def _to4(_: int, prefix: bytes) -> bytes:
    """Return instructions that make IPv4 of IPv6 whose source begins with ``prefix``."""
    header = bytes.fromhex("4500000000004000") + bytes(12)
    old, new = -_IPV6 - _IPV4, -_IPV4
    source = [
        *_read(_ETHERNET, -old, _IPV6),
        _instruction(0x61, 0xA2, old + 8, 0),  # r2 = *(u32 *)(r10 + old + 8)
    ]
    body = [
        *_stored(header),
        *_length(header, 6, _IPV4 - _IPV6 - _ETHERNET),
        *_moved(old + 6, new + 9, 1),  # protocol
        *_moved(old + 7, new + 8, 1),  # time to live
        *_moved(old + 20, new + 12, 4),
        *_moved(old + 36, new + 16, 4),
        *_summed(_IPV4, new + 10),
        *_exchanged(_TYPES[4]),
        *_written(_ETHERNET, _IPV4),
        *_typed(_TYPES[4], -old),
    ]
    return _where([(_ether_type(), _word(_TYPES[6])), (source, _word(prefix[:4]))], body)


def _where(checks: list[tuple[list[bytes], int]], body: list[bytes]) -> bytes:
    """Return instructions that do ``body`` where each check leaves its value in r2."""
    code = [*body, _instruction(0xB7, 0x00, 0, 0), _instruction(0x95, 0, 0, 0)]
    for read, value in reversed(checks):
        # if (u32) r2 != value, go on with the last two, which let the packet pass
        code = [*read, _instruction(0x56, 0x02, len(code) - 2, value), *code]
    return b"".join([_instruction(0xBF, 0x16, 0, 0), *code])  # r6 = r1


def _ether_type() -> list[bytes]:
    return [_instruction(0x61, 0x62, 16, 0)]  # r2 = skb->protocol


def _word(data: bytes) -> int:
    """Return what a load of these bytes leaves in a register, as an instruction has it."""
    return int.from_bytes(data, "little", signed=len(data) == 4)


def _read(at: int, below: int, size: int) -> list[bytes]:
    """Return instructions that read bytes of the packet onto the stack, ``below`` its end."""
    return [
        _instruction(0xBF, 0x61, 0, 0),  # r1 = r6
        _instruction(0xB7, 0x02, 0, at),  # r2 = where from
        *_pointed(below, size),
        _instruction(0x85, 0, 0, _LOAD_BYTES),  # r0 = bpf_skb_load_bytes(r1, r2, r3, r4)
        *_or_drop(),
    ]


def _moved(source: int, to: int, size: int) -> list[bytes]:
    """Return instructions that copy one or four bytes of the stack."""
    load, store = {1: (0x71, 0x73), 4: (0x61, 0x63)}[size]
    return [_instruction(load, 0xA2, source, 0), _instruction(store, 0x2A, to, 0)]


def _exchanged(ether_type: bytes) -> list[bytes]:
    """Return instructions that give a packet room for the header of another IP version."""
    return [
        _instruction(0xBF, 0x61, 0, 0),  # r1 = r6
        _instruction(0xB7, 0x02, 0, _word(ether_type)),  # r2 = protocol
        _instruction(0xB7, 0x03, 0, 0),  # r3 = flags
        _instruction(0x85, 0, 0, _PROTO),  # r0 = bpf_skb_change_proto(r1, r2, r3)
        *_or_drop(),
    ]


def _summed(size: int, at: int) -> list[bytes]:
    """Return instructions that write the checksum of the last bytes of the stack."""
    folded = [
        _instruction(0xBF, 0x02, 0, 0),  # r2 = r0
        _instruction(0x77, 0x02, 0, 16),  # r2 >>= 16
        _instruction(0x57, 0x00, 0, 0xFFFF),  # r0 &= 0xffff
        _instruction(0x0F, 0x20, 0, 0),  # r0 += r2
    ]
    return [
        _instruction(0xB7, 0x01, 0, 0),  # r1 = nothing
        _instruction(0xB7, 0x02, 0, 0),  # r2 = its length
        *_pointed(size, size),
        _instruction(0xB7, 0x05, 0, 0),  # r5 = seed
        _instruction(0x85, 0, 0, _SUM),  # r0 = bpf_csum_diff(r1, r2, r3, r4, r5)
        *folded,
        *folded,
        _instruction(0xA7, 0x00, 0, 0xFFFF),  # r0 ^= 0xffff
        _instruction(0x6B, 0x0A, at, 0),  # *(u16 *)(r10 + at) = r0
    ]


def _typed(ether_type: bytes, below: int) -> list[bytes]:
    """Return instructions that change the EtherType of the frame."""
    return [
        _instruction(0x6A, 0x0A, -below, _word(ether_type)),  # *(u16 *)(r10 - below) = EtherType
        *_written(_TYPE, len(ether_type), below),
        *_or_drop(),
    ]


def _written(at: int, size: int, below: int = 0) -> list[bytes]:
    """Return instructions that write bytes of the stack into the packet: its last, or others."""
    return [
        _instruction(0xBF, 0x61, 0, 0),  # r1 = r6
        _instruction(0xB7, 0x02, 0, at),  # r2 = where to
        *_pointed(below or size, size),
        _instruction(0xB7, 0x05, 0, 0),  # r5 = 0
        _instruction(0x85, 0, 0, _STORE),  # r0 = bpf_skb_store_bytes(r1, r2, r3, r4, r5)
    ]


def _or_drop() -> list[bytes]:
    return [
        _instruction(0xC5, 0x00, 1, 0),  # if r0 s< 0, drop
        _instruction(0x05, 0, 2, 0),  # else go on behind it
        _instruction(0xB7, 0x00, 0, _DROP),
        _instruction(0x95, 0, 0, 0),
    ]


def _stored(header: bytes) -> list[bytes]:
    words = struct.unpack(f"<{len(header) // 4}i", header)
    return [
        _instruction(0x62, 0x0A, 4 * at - len(header), word)  # *(u32 *)(r10 + offset) = word
        for at, word in enumerate(words)
    ]


def _pointed(below: int, size: int) -> list[bytes]:
    """Return instructions for an argument: bytes of the stack that begin ``below`` its end."""
    return [
        _instruction(0xBF, 0xA3, 0, 0),  # r3 = r10
        _instruction(0x07, 0x03, 0, -below),  # r3 += -below
        _instruction(0xB7, 0x04, 0, size),  # r4 = size
    ]


def _ended(go_on: int) -> list[bytes]:
    return [
        _instruction(0xC5, 0x00, 2, 0),  # if r0 s< 0, drop
        _instruction(0xB7, 0x00, 0, go_on),
        _instruction(0x95, 0, 0, 0),
        _instruction(0xB7, 0x00, 0, _DROP),
        _instruction(0x95, 0, 0, 0),
    ]


def _length(header: bytes, packet: int, more: int) -> list[bytes]:
    """Return instructions that write a length into the IP header on the stack.

    It is that of the packet, whose register is given, and ``more``.
    """
    at = 2 if header[0] >> 4 == 4 else 4  # tot_len, payload_len
    return [
        _instruction(0x61, packet << 4 | 2, 0, 0),  # r2 = skb->len
        _instruction(0x07, 0x02, 0, more),  # r2 += more
        _instruction(0xB5, 0x02, 1, 0xFFFF),  # of BIG TCP it does not fit:
        _instruction(0xB7, 0x02, 0, 0),  # r2 = 0, as the kernel writes it
        _instruction(0xDC, 0x02, 0, 16),  # r2 = htobe16(r2)
        _instruction(0x6B, 0x2A, at - len(header), 0),  # *(u16 *)(r10 + offset) = r2
    ]


def _call(command: int, fields: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(fields.ljust(_FIELDS, b"\0"), _FIELDS)
    found = int(libc.syscall(_BPF, command, ctypes.byref(attributes), _FIELDS))
    if found < 0:
        raise OSError(ctypes.get_errno(), f"bpf: {os.strerror(ctypes.get_errno())}")
    return found


if __name__ == "__main__":
    load(sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4]))
