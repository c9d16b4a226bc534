"""The guest's BTF reader, against a hand-made blob and, where there is one, the host's kernel."""

import struct
from pathlib import Path

import pytest
from gso.kernel.guest import btf

VMLINUX = Path("/sys/kernel/btf/vmlinux")


def blob(types: list[bytes], strings: bytes) -> bytes:
    body = b"".join(types)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(strings))
    return header + body + strings


def kind(name: int, number: int, vlen: int, size: int, *rest: int) -> bytes:
    return struct.pack(f"<{3 + len(rest)}I", name, number << 24 | vlen, size, *rest)


STRINGS = b"\0int\0packet\0len\0mac\0hidden\0"
INT, PACKET, LEN, MAC, HIDDEN = 1, 5, 12, 16, 20
SAMPLE = blob(
    [
        kind(INT, 1, 0, 4, 32),  # 1: int, one extra word
        kind(0, 3, 0, 0, 1, 1, 4),  # 2: array, three extra words
        kind(0, 4, 1, 4, HIDDEN, 1, 16),  # 3: anonymous struct
        kind(0, 5, 1, 4, 0, 3, 32),  # 4: anonymous union that holds it
        # 5: the struct; the upper byte of an offset is a bit-field size
        kind(PACKET, 4, 3, 16, LEN, 1, 0, MAC, 1, 4 << 24 | 32, 0, 4, 64),
    ],
    STRINGS,
)


def test_members_also_in_anonymous_unions():
    found = btf.Btf(SAMPLE, {"packet"})
    assert found.offset("packet", "len") == 0
    assert found.offset("packet", "mac") == 4
    assert found.offset("packet", "hidden") == 8 + 4 + 2


def test_what_is_not_there_is_named():
    found = btf.Btf(SAMPLE, {"packet"})
    with pytest.raises(btf.BtfError, match="no member int"):
        found.offset("packet", "int")
    with pytest.raises(btf.BtfError, match="no struct other"):
        found.offset("other", "len")
    with pytest.raises(btf.BtfError, match="no name 'nothing'"):
        btf.Btf(SAMPLE, {"nothing"})
    with pytest.raises(btf.BtfError, match="0x0000"):
        btf.Btf(bytes(64), {"packet"})


@pytest.mark.skipif(not VMLINUX.exists(), reason="this machine's kernel has no BTF")
def test_the_running_kernel():
    found = btf.Btf(VMLINUX.read_bytes(), {"sk_buff", "net_device"})
    offsets = [
        found.offset("sk_buff", f"{inner}{layer}_header")
        for inner in ("inner_", "")
        for layer in ("transport", "network", "mac")
    ]
    # include/linux/skbuff.h declares these six u16 in this order, with the protocol between them.
    assert offsets == sorted(offsets)
    assert offsets[1] - offsets[0] == offsets[4] - offsets[3] == 2
    assert found.offset("sk_buff", "data_len") == found.offset("sk_buff", "len") + 4
