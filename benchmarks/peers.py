"""Other ways to segment the same super-packets, and the limits of the machine."""

import ctypes
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

NATIVE = Path(__file__).parent / "native"
MSS = 1448
HEADERS = bytes.fromhex(
    # Ethernet, IPv4, UDP to 4789 with a checksum, VXLAN
    "02000000000c02000000000a0800"
    "4500000012344000401100000a0002020a000203"
    "cda512b500001234"
    "0800000000002a00"
    # Ethernet, IPv4, TCP with timestamps and PSH
    "020000007702ca28ad3441080800"
    "4500000010004000400600000a0a00050a140009"
    "9c4014511000000020000000801801f500000000"
    "0101080a1122334455667788"
)
UDP, INNER_IP, TCP = 34, 64, 84


def packet(payload_length, seed=1):
    return HEADERS + np.random.default_rng(seed).bytes(payload_length)


BIG = packet(44 * MSS)
INCIDENT = packet(MSS + 12)


# ---- compiled helpers -----------------------------------------------------------------------


@cache
def build_folder():
    return Path(tempfile.mkdtemp(prefix="gso-bench-"))


@cache
def limits():
    """The library of limits.c, or None without a compiler."""
    if not shutil.which("cc"):
        return None
    target = build_folder() / "limits.so"
    source = NATIVE / "limits.c"
    subprocess.run(["cc", "-O3", "-shared", "-fPIC", source, "-o", target], check=True)
    library = ctypes.CDLL(str(target))
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    library.copy_strided.argtypes = [pointer, pointer, size, size, size, size]
    library.copy_strided.restype = None
    library.read_and_add.argtypes = [pointer, size, size]
    library.read_and_add.restype = ctypes.c_uint64
    return library


@cache
def dpdk_program(name):
    """A program of native/ built with DPDK (Debian: libdpdk-dev), or None."""
    if not (shutil.which("cc") and shutil.which("pkg-config")):
        return None
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libdpdk"], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        return None
    target = build_folder() / name
    source = NATIVE / f"{name}.c"
    subprocess.run(["cc", "-O3", source, "-o", target, *flags.stdout.split()], check=True)
    return target


def dpdk(frame, repeats):
    """DPDK on one super-packet: ({"zero_copy": ns, "finished": ns}, segments), or None."""
    program = dpdk_program("dpdk")
    if program is None:
        return None
    source, target = build_folder() / "packet", build_folder() / "segments"
    source.write_bytes(frame)
    command = [program, source, str(MSS), str(len(HEADERS)), str(repeats), target]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = (line.split() for line in run.stdout.splitlines())
    times = {line[0]: float(line[1]) for line in lines if line[0] in ("zero_copy", "finished")}
    data, segments = target.read_bytes(), []
    while data:
        (length,) = struct.unpack("=I", data[:4])
        segments.append(data[4 : 4 + length])
        data = data[4 + length :]
    return times, segments


def dpdk_checksum(length, repeats=2000):
    """Nanoseconds of rte_raw_cksum, or None."""
    program = dpdk_program("raw_cksum")
    if program is None:
        return None
    command = [program, str(length), str(repeats)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


# ---- Python peers ---------------------------------------------------------------------------


def with_scapy(frame, mss=MSS):
    from scapy.layers import inet  # noqa: PLC0415
    from scapy.layers.l2 import Ether  # noqa: PLC0415
    from scapy.layers.vxlan import VXLAN  # noqa: PLC0415
    from scapy.packet import Raw  # noqa: PLC0415

    parsed = Ether(frame)
    payload = bytes(parsed[inet.TCP].payload)
    parsed[inet.TCP].remove_payload()
    segments = []
    for number, start in enumerate(range(0, len(payload), mss)):
        segment = parsed.copy()
        outer, inner, tcp = segment[inet.IP], segment[VXLAN][inet.IP], segment[inet.TCP]
        for header in (outer, inner):
            header.id += number
            header.len = header.chksum = None
        segment[inet.UDP].len = segment[inet.UDP].chksum = None
        tcp.seq += start
        tcp.chksum = None
        if start + mss < len(payload):
            tcp.flags.P = False
        segments.append(bytes(segment / Raw(payload[start : start + mss])))
    return segments


def with_dpkt(frame, mss=MSS):
    import dpkt  # noqa: PLC0415

    payload = frame[len(HEADERS) :]
    segments = []
    for number, start in enumerate(range(0, len(payload), mss)):
        inner = dpkt.ethernet.Ethernet(frame[50 : len(HEADERS)])
        tcp = inner.data.data
        tcp.data = payload[start : start + mss]
        tcp.seq += start
        tcp.sum = 0
        if start + mss < len(payload):
            tcp.flags &= ~dpkt.tcp.TH_PUSH
        inner.data.id += number
        inner.data.len = 40 + len(tcp.opts) + len(tcp.data)
        inner.data.sum = 0
        outer = dpkt.ethernet.Ethernet(frame[:50])
        outer.data.data.data = frame[42:50] + bytes(inner)
        outer.data.data.ulen = 8 + len(outer.data.data.data)
        outer.data.data.sum = 0
        outer.data.id += number
        outer.data.len = 20 + outer.data.data.ulen
        outer.data.sum = 0
        segments.append(bytes(outer))
    return segments


def fold(total):
    for _ in range(3):
        total = (total & 0xFFFF) + (total >> 16)
    return total


def with_numpy(frame, mss=MSS):
    """All full segments at once: a two-dimensional array, columns of 16-bit words."""
    n = len(HEADERS)
    payload = np.frombuffer(frame, np.uint8)[n:].reshape(-1, mss)
    count = len(payload)
    out = np.empty((count, n + mss), np.uint8)
    out[:, :n] = np.frombuffer(frame, np.uint8)[:n]
    out[:, n:] = payload
    words = out.view(">u2")
    number = np.arange(count)

    def checksum(start, end, extra=0):
        return 0xFFFF - fold(words[:, start // 2 : end // 2].sum(axis=1, dtype=np.uint64) + extra)

    for ip in (14, INNER_IP):
        words[:, (ip + 2) // 2] = n + mss - ip
        words[:, (ip + 4) // 2] += number.astype(np.uint16)
        words[:, (ip + 10) // 2] = 0
        words[:, (ip + 10) // 2] = checksum(ip, ip + 20)
    seq = int.from_bytes(frame[TCP + 4 : TCP + 8], "big") + number * mss
    words[:, (TCP + 4) // 2] = seq >> 16
    words[:, (TCP + 6) // 2] = seq & 0xFFFF
    out[:-1, TCP + 13] &= 0xF7
    words[:, (TCP + 16) // 2] = 0
    pseudo = words[0, (INNER_IP + 12) // 2 : (INNER_IP + 20) // 2].sum(dtype=np.uint64)
    words[:, (TCP + 16) // 2] = checksum(TCP, n + mss, pseudo + np.uint64(6 + n + mss - TCP))
    words[:, (UDP + 4) // 2] = n + mss - UDP
    words[:, (UDP + 6) // 2] = 0
    pseudo = words[0, 26 // 2 : 34 // 2].sum(dtype=np.uint64)
    check = checksum(UDP, n + mss, pseudo + np.uint64(17 + n + mss - UDP))
    words[:, (UDP + 6) // 2] = np.where(check == 0, 0xFFFF, check)
    return out
