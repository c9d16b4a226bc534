"""Load a BPF program that puts a header before each packet, for a route or for tc, and pin it.

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
_HOOKS = {"in": (10, 0), "xmit": (12, 128), "egress": (3, 0)}
_IP = 2  # BPF_LWT_ENCAP_IP: the only mode that leaves the header's length to the program
_PUSH, _DROP = 73, 2  # bpf_lwt_push_encap, BPF_DROP, which is TC_ACT_SHOT
_ROOM, _STORE, _MAC = 50, 9, 1  # bpf_skb_adjust_room, bpf_skb_store_bytes, BPF_ADJ_ROOM_MAC
_ETHERNET, _IPV6 = 14, 40  # bytes of these headers
_FIELDS = 128  # bytes of union bpf_attr that old and new kernels know


def load(path: str, hook: str, mode: int, header: bytes) -> None:
    """Pin at ``path`` a program that pushes ``header`` (a multiple of four bytes).

    ``hook``: ``in`` or ``xmit`` of a route, with ``mode`` of enum bpf_lwt_encap_mode; or ``egress``
    of tc, with flags of bpf_skb_adjust_room and a header that begins with IPv6, for a device with
    Ethernet. Raises ``OSError``.
    """
    kind, go_on = _HOOKS[hook]
    code = _egress(mode, header) if hook == "egress" else _code(mode, header, go_on)
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
            *_pointed(header),
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
            _instruction(0xC5, 0x00, 1, 0),  # if r0 s< 0, drop
            _instruction(0x05, 0, 2, 0),  # else go on behind it
            _instruction(0xB7, 0x00, 0, _DROP),
            _instruction(0x95, 0, 0, 0),
            *_length(header, 6, -_ETHERNET - _IPV6),
            _instruction(0xBF, 0x61, 0, 0),  # r1 = r6
            _instruction(0xB7, 0x02, 0, _ETHERNET),  # r2 = where to
            *_pointed(header),
            _instruction(0xB7, 0x05, 0, 0),  # r5 = 0
            _instruction(0x85, 0, 0, _STORE),  # r0 = bpf_skb_store_bytes(r1, r2, r3, r4, r5)
            *_ended(0),
        ]
    )


def _stored(header: bytes) -> list[bytes]:
    words = struct.unpack(f"<{len(header) // 4}i", header)
    return [
        _instruction(0x62, 0x0A, 4 * at - len(header), word)  # *(u32 *)(r10 + offset) = word
        for at, word in enumerate(words)
    ]


def _pointed(header: bytes) -> list[bytes]:
    return [
        _instruction(0xBF, 0xA3, 0, 0),  # r3 = r10
        _instruction(0x07, 0x03, 0, -len(header)),  # r3 += -length
        _instruction(0xB7, 0x04, 0, len(header)),  # r4 = length
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
