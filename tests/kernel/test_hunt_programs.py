"""What programs of the hunt do to packets: BPF programs of tc, and the relay without Ethernet."""

from __future__ import annotations

import socket
import struct

import pytest
from gso.kernel.guest import espinudp, push, relay, sizes
from gso.kernel.guest.stacks import Layer, Stack, way
from gso.kernel.hunting.script import script

from hunts import RULES

STACK = 512
PREFIX = bytes.fromhex("0064ff9b0000000000000000")
IPV4 = bytes.fromhex("450000300000400040060000c0a80201c0a80202")
MASK = (1 << 64) - 1


class Program:
    """Runs a program's instructions for a frame, as far as the hunt's programs have them."""

    def __init__(self, code: bytes, frame: bytes, refused: int = 0) -> None:
        self.code, self.frame, self.refused = code, bytearray(frame), refused
        self.stack, self.registers, self.called = bytearray(STACK), [0] * 11, []
        self.ether_type = frame[12:14]
        self.registers[10] = STACK

    def run(self) -> int:
        """Return what the program says of the frame: 0, it may pass; 2, it is dropped."""
        instructions = list(struct.iter_unpack("<BBhi", self.code))
        at = 0
        while True:
            operation, which, offset, value = instructions[at]
            at += 1
            if operation == 0x95:
                return self.registers[0]
            at += self.jump(operation, which & 15, offset, value)
            self.step(operation, which & 15, which >> 4, offset, value)

    def jump(self, operation: int, to: int, offset: int, value: int) -> int:
        held = self.registers[to]
        taken = {
            0x05: True,
            0xC5: held >> 63 == 1,
            0x56: held & 0xFFFFFFFF != value & 0xFFFFFFFF,
            0xB5: held <= value,
        }.get(operation, False)
        return offset if taken else 0

    def step(self, operation: int, to: int, source: int, offset: int, value: int) -> None:
        r = self.registers
        sizes_of = {0x61: 4, 0x71: 1, 0x62: 4, 0x6A: 2, 0x63: 4, 0x6B: 2, 0x73: 1}
        if operation == 0xB7:
            r[to] = value & MASK
        elif operation == 0xBF:
            r[to] = r[source]
        elif operation == 0x07:
            r[to] = (r[to] + value) & MASK
        elif operation == 0x0F:
            r[to] = (r[to] + r[source]) & MASK
        elif operation == 0x57:
            r[to] &= value
        elif operation == 0x77:
            r[to] >>= value
        elif operation == 0xA7:
            r[to] ^= value
        elif operation == 0xDC:
            r[to] = int.from_bytes((r[to] & 0xFFFF).to_bytes(2, "little"), "big")
        elif operation in (0x61, 0x71) and source != 10:
            # struct __sk_buff: len and protocol
            r[to] = {0: len(self.frame), 16: int.from_bytes(self.ether_type, "little")}[offset]
        elif operation in (0x61, 0x71):
            at = STACK + offset
            r[to] = int.from_bytes(self.stack[at : at + sizes_of[operation]], "little")
        elif operation in (0x62, 0x6A, 0x63, 0x6B, 0x73):
            at, size = STACK + offset, sizes_of[operation]
            written = value if operation in (0x62, 0x6A) else r[source]
            self.stack[at : at + size] = (written & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        elif operation == 0x85:
            self.call(value)

    def call(self, helper: int) -> None:
        r = self.registers
        self.called.append(helper)
        r[0] = 0
        if helper == self.refused:
            r[0] = -22 & MASK
        elif helper == 26:
            at, size = r[2], r[4]
            self.stack[r[3] : r[3] + size] = self.frame[at : at + size]
        elif helper == 9:
            at, size = r[2], r[4]
            self.frame[at : at + size] = self.stack[r[3] : r[3] + size]
        elif helper == 50:
            assert r[3] == 1
            del self.frame[14 : 14 - (r[2] - (1 << 64))]
        elif helper == 31:
            self.ether_type = r[2].to_bytes(2, "little")
            self.frame[14:34] = bytes(40) if self.ether_type == b"\x86\xdd" else self.frame[14:34]
            if self.ether_type == b"\x08\x00":
                self.frame[14:54] = bytes(20)
        elif helper == 28:
            words = struct.unpack(f"<{r[4] // 2}H", self.stack[r[3] : r[3] + r[4]])
            r[0] = sum(words)


def ether(ether_type: str) -> bytes:
    return bytes(range(12)) + bytes.fromhex(ether_type)


def summed(header: bytes) -> int:
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize(
    ("outer", "said", "inner"),
    [
        ("0800", "08000414" + "0800", 4),
        ("0800", "08002914" + "86dd", 6),
        ("86dd", "86dd0428" + "0800", 4),
        ("86dd", "86dd2928" + "86dd", 6),
    ],
)
def test_a_program_takes_the_outer_header_away_and_no_other(outer, said, inner):
    length = {"0800": 20, "86dd": 40}[outer]
    protocol = bytes([4 if inner == 4 else 41])
    header = bytearray(b"\x45" * length)
    header[9 if length == 20 else 6 :][:1] = protocol
    header[9 if length == 20 else 6] = protocol[0]
    below = b"what is inside"
    program = Program(push._away(0, bytes.fromhex(said)), ether(outer) + header + below)
    assert program.run() == 0
    assert bytes(program.frame) == ether(said[-4:]) + below
    header[9 if length == 20 else 6] = 17
    other = ether(outer) + bytes(header) + below
    program = Program(push._away(0, bytes.fromhex(said)), other)
    assert (program.run(), bytes(program.frame)) == (0, other)
    assert program.called == [26]


def test_programs_drop_what_the_kernel_refuses_to_change():
    frame = ether("0800") + IPV4 + bytes(28)
    assert Program(push._to6(0, PREFIX), frame, refused=31).run() == 2
    ipip = frame[:23] + b"\x04" + frame[24:]
    away = push._away(0, bytes.fromhex("080004140800"))
    assert Program(away, ipip, refused=50).run() == 2


def test_ipv6_is_made_of_ipv4_and_back_without_a_change_of_checksums():
    frame = ether("0800") + IPV4 + bytes(range(28))
    there = Program(push._to6(0, PREFIX), frame)
    assert there.run() == 0
    header, rest = bytes(there.frame[14:54]), bytes(there.frame[54:])
    assert there.frame[12:14] == b"\x86\xdd"
    assert rest == frame[34:]
    assert header[:8] == bytes.fromhex("60000000001c0640")
    assert header[8:] == PREFIX + IPV4[12:16] + PREFIX + IPV4[16:20]
    # A pseudo-header has the same sum: zero and 0xffff are one number.
    assert summed(header[8:]) % 0xFFFF == summed(IPV4[12:]) % 0xFFFF
    back = Program(push._to4(0, PREFIX), bytes(there.frame))
    assert back.run() == 0
    found = bytes(back.frame[14:34])
    assert found[:10] + found[12:] == IPV4[:10] + IPV4[12:]
    assert summed(found) == 0xFFFF
    assert bytes(back.frame[34:]) == frame[34:]


def test_a_length_that_does_not_fit_is_zero_as_the_kernel_writes_it():
    """Of BIG TCP; who gets 16 bits of a longer one takes it for all, and cuts the packet."""
    big = ether("0800") + IPV4[:2] + bytes(2) + IPV4[4:] + bytes(70000)
    there = Program(push._to6(0, PREFIX), big)
    assert there.run() == 0
    assert there.frame[18:20] == bytes(2)
    back = Program(push._to4(0, PREFIX), bytes(there.frame))
    assert back.run() == 0
    assert back.frame[16:18] == bytes(2)
    assert summed(bytes(back.frame[14:34])) == 0xFFFF


@pytest.mark.parametrize("frame", [ether("0806") + bytes(28), ether("86dd") + bytes(60)])
def test_what_is_not_theirs_passes_both_programs(frame):
    for program in (push._to4(0, PREFIX), push._to6(0, PREFIX)):
        ran = Program(program, frame)
        assert (ran.run(), bytes(ran.frame)) == (0, frame)


def test_a_tun_device_gets_packets_without_ethernet_and_their_offsets():
    packet = relay._HEADER.pack(1, 4, 60, 1200, 40, 16) + b"\x60" + bytes(80)
    framed = relay._framed(packet)
    assert relay._HEADER.unpack_from(framed) == (1, 4, 74, 1200, 54, 16)
    assert framed[relay._HEADER.size :][12:14] == b"\x86\xdd"
    assert relay._bare(framed) == packet
    plain = relay._HEADER.pack(0, 0, 0, 0, 0, 0) + IPV4
    assert relay._HEADER.unpack_from(relay._framed(plain)) == (0, 0, 0, 0, 0, 0)
    assert relay._bare(relay._framed(plain)) == plain
    # What the machine itself sends by the device below is not for the other relay.
    assert relay._bare(plain[:10] + ether("0800") + IPV4) == b""


def test_a_window_of_big_tcp_waits_for_the_relay():
    try:
        wire = relay._wire("lo")
    except PermissionError as error:
        pytest.skip(f"only root: {error}")
    with wire:
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= relay._HELD


def test_big_tcp_is_for_both_versions():
    stack = Stack((), (Layer("gre", 4, 4),), 4, traffic="big tcp")
    assert ("director", "sizes up0 185000") in way(stack, RULES).lines
    assert "on director python3 sizes.py up0 185000" in script(stack, RULES)
    assert {"IFLA_GSO_MAX_SIZE", "IFLA_GSO_IPV4_MAX_SIZE"} <= set(sizes._SIZES)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_socket_for_esp_in_udp_is_held(address, monkeypatch):
    monkeypatch.setattr(espinudp, "_kept", [])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as free:
            free.bind((address, 0))
            port = free.getsockname()[1]
    except OSError as error:
        pytest.skip(f"this host has no {address}: {error}")
    espinudp.start(address, str(port))
    (taker,) = espinudp._kept
    assert taker.getsockname()[:2] == (address, port)
    assert taker.getsockopt(socket.IPPROTO_UDP, espinudp._UDP_ENCAP) == espinudp._ESP_IN_UDP
    taker.close()
