"""Load a BPF program for a route that puts a header before each packet, and pin it.

It needs nothing but Python, so that a script can carry it: ``push.py PATH HOOK MODE HEADER``.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable

_BPF, _LOAD, _PIN = 321, 5, 6  # the system call on x86-64; its commands
# enum bpf_prog_type, and what tells the kernel to go on: after a new IPv4 header it asks for the
# route again; BPF_LWT_ENCAP_SEG6 has set it already.
_HOOKS = {"in": (10, 0), "xmit": (12, 128)}
_IP = 2  # BPF_LWT_ENCAP_IP: the only mode that leaves the header's length to the program
_PUSH, _DROP = 73, 2  # bpf_lwt_push_encap, BPF_DROP
_FIELDS = 128  # bytes of union bpf_attr that old and new kernels know


def load(path: str, hook: str, mode: int, header: bytes) -> None:
    """Pin at ``path`` a program that pushes ``header`` (a multiple of four bytes).

    ``hook``: ``in`` or ``xmit``; ``mode``: of enum bpf_lwt_encap_mode. Raises ``OSError``.
    """
    kind, go_on = _HOOKS[hook]
    code = _code(mode, header, go_on)
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


def _code(mode: int, header: bytes, go_on: int) -> bytes:
    """Return instructions: the header onto the stack, and the helper called with it."""

    def instruction(operation: int, registers: int, offset: int, value: int) -> bytes:
        return struct.pack("<BBhi", operation, registers, offset, value)

    length = len(header)
    words = struct.unpack(f"<{length // 4}i", header)
    stored = [
        instruction(0x62, 0x0A, 4 * at - length, word)  # *(u32 *)(r10 + offset) = word
        for at, word in enumerate(words)
    ]
    return b"".join(
        [
            *stored,
            *_length(header, instruction) * (mode == _IP),
            instruction(0xB7, 0x02, 0, mode),  # r2 = mode
            instruction(0xBF, 0xA3, 0, 0),  # r3 = r10
            instruction(0x07, 0x03, 0, -length),  # r3 += -length
            instruction(0xB7, 0x04, 0, length),  # r4 = length
            instruction(0x85, 0, 0, _PUSH),  # r0 = bpf_lwt_push_encap(r1, r2, r3, r4)
            instruction(0xC5, 0x00, 2, 0),  # if r0 s< 0, drop
            instruction(0xB7, 0x00, 0, go_on),
            instruction(0x95, 0, 0, 0),
            instruction(0xB7, 0x00, 0, _DROP),
            instruction(0x95, 0, 0, 0),
        ]
    )


def _length(header: bytes, instruction: Callable[[int, int, int, int], bytes]) -> list[bytes]:
    """Return instructions that write the packet's length into the IP header on the stack."""
    at, less = (2, 0) if header[0] >> 4 == 4 else (4, 40)  # tot_len, payload_len
    return [
        instruction(0x61, 0x12, 0, 0),  # r2 = skb->len
        instruction(0x07, 0x02, 0, len(header) - less),  # r2 += what the header adds
        instruction(0xDC, 0x02, 0, 16),  # r2 = htobe16(r2)
        instruction(0x6B, 0x2A, at - len(header), 0),  # *(u16 *)(r10 + offset) = r2
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
