"""Peers and limits in C and Go, built here into build/bench; what cannot be built is skipped."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from cases import Case
from contest import Program, save_packets, saved_segments

NATIVE = Path(__file__).parents[1] / "native"
BUILD = Path(__file__).parents[2] / "build" / "bench"
WIREGUARD = BUILD / "debian"


def _run(*command: object, **environment: str) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=NATIVE,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")


def _compiled(name: str, flags: Sequence[str] = (), suffix: str = "") -> Path:
    """The program (or library) made of one C file; built again when the source is newer."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    BUILD.mkdir(parents=True, exist_ok=True)
    source, target = NATIVE / f"{name}.c", BUILD / f"{name}{suffix}"
    newest = max(path.stat().st_mtime for path in (source, NATIVE / "rounds.h"))
    if not target.exists() or target.stat().st_mtime < newest:
        _run("cc", "-O3", "-D_GNU_SOURCE", source, "-o", target, *flags)
    return target


@cache
def limits() -> ctypes.CDLL:
    """The functions of limits.c."""
    library = ctypes.CDLL(str(_compiled("limits", ("-shared", "-fPIC"), ".so")))
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    library.copy_strided.argtypes = [pointer, pointer, size, size, size, size, size]
    library.copy_strided.restype = None
    library.read_and_add.argtypes = [pointer, size, size]
    library.read_and_add.restype = ctypes.c_uint64
    return library


@cache
def _dpdk_flags() -> tuple[str, ...]:
    done = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libdpdk"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("no DPDK (Debian: libdpdk-dev)")
    return tuple(done.stdout.split())


def dpdk_segmenter(case: Case, folder: Path) -> tuple[Program, list[bytes]]:
    """DPDK's librte_gso loaded with one super-packet, and the segments it makes of it."""
    program = _compiled("dpdk", _dpdk_flags())
    source, target = folder / "packet", folder / "segments"
    source.write_bytes(case.frame)
    running = Program([program, source, case.mss, case.ips[-1], case.headers, target])
    return running, saved_segments(target)


def dpdk_parts(
    length: int = 64, offset: int = 0, size: int = 64, frame: Path | None = None
) -> Program:
    """DPDK's checksum over `size` bytes in buffers of `length`, and its parser on a frame."""
    program = _compiled("dpdk_parts", _dpdk_flags())
    return Program([program, length, offset, size, *([frame] if frame else [])])


def dpdk_merger(case: Case, packets: Sequence[bytes], folder: Path) -> tuple[Program, list[bytes]]:
    """DPDK's librte_gro loaded with packets of one flow, and what it merges them into."""
    program = _compiled("dpdk_gro", _dpdk_flags())
    source, target = folder / "packets", folder / "merged"
    save_packets(source, packets)
    running = Program([program, source, case.ips[-1], case.headers, target])
    return running, saved_segments(target)


def wireguard_segmenter(case: Case, folder: Path) -> tuple[Program, list[bytes]]:
    """wireguard-go's gsoSplit loaded with one plain super-packet, and the segments it makes."""
    packet, segments = folder / "packet", folder / "segments"
    packet.write_bytes(case.frame)
    command = [_go("wireguard"), "split", packet, case.mss, case.headers, case.tcp, segments]
    return Program(command), saved_segments(segments)


def wireguard_merger(
    case: Case, packets: Sequence[bytes], folder: Path
) -> tuple[Program, list[bytes]]:
    """wireguard-go's handleGRO loaded with packets of one flow, and what it merges them into."""
    source, target = folder / "packets", folder / "merged"
    save_packets(source, packets)
    return Program([_go("wireguard"), "merge", source, case.headers, target]), saved_segments(
        target
    )


def wireguard_gateway() -> Path:
    """A GUE tunnel of wireguard-go's TUN device and UDP socket: its arguments are the example's."""
    return _go("gateway")


def _go(name: str) -> Path:
    """The program of one folder in Go, with wireguard-go's library."""
    go = WIREGUARD / "usr/lib/go-1.24/bin/go"
    if not go.exists():
        pytest.skip("no wireguard-go library (make bench fetches it)")
    target = BUILD / name
    newest = max(path.stat().st_mtime for path in (NATIVE / name).glob("*.go"))
    if not target.exists() or target.stat().st_mtime < newest:
        _run(
            go, "build", "-o", target, f"./{name}",
            GOROOT=str(WIREGUARD / "usr/lib/go-1.24"), GOPATH=str(WIREGUARD / "usr/share/gocode"),
            GO111MODULE="off", GOTOOLCHAIN="local", GOFLAGS="", GOCACHE=str(BUILD / "go"),
            CGO_ENABLED="0",
        )  # fmt: skip
    return target


# Devices of a namespace: packets come in at `in` (10.1.0.1/24, fd01::1/64) and leave at `out`, some
# through a tunnel device `wrap` that wraps them.
_DEVICES = """
set -e
ip link set lo up
ip tuntap add dev in mode tun $IN_FLAGS
ip tuntap add dev out mode tun vnet_hdr
for name in in out; do ip link set $name mtu 65000 addrgenmode none up; done
for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
ip address add 10.20.0.5/24 dev out
ip -6 address add fd00:1400::5/64 dev out nodad
"""
_TUNNELS = {
    ("plain", 4): "ip route add 10.10.0.0/24 dev out",
    ("plain", 6): "ip -6 route add fd00:a00::/64 dev out",
    ("VXLAN", 4): "type vxlan id 42 dstport 4789 local 10.20.0.5 remote 10.20.0.9 udpcsum",
    ("VXLAN", 6): "type vxlan id 42 dstport 4789 local fd00:1400::5 remote fd00:1400::9",
    ("GRE", 4): "type gre local 10.20.0.5 remote 10.20.0.9",
    ("GRE", 6): "type ip6gre local fd00:1400::5 remote fd00:1400::9",
    ("IPIP", 4): "type ipip local 10.20.0.5 remote 10.20.0.9",
    ("IPIP", 6): "type ip6tnl mode ip6ip6 local fd00:1400::5 remote fd00:1400::9",
    ("GUE", 4): "type ipip local 10.20.0.5 remote 10.20.0.9 encap gue encap-dport 6080"
    " encap-sport auto encap-csum",
    ("GUE", 6): "type ip6tnl mode ip6ip6 local fd00:1400::5 remote fd00:1400::9 encap gue"
    " encap-dport 6080 encap-sport auto encap-csum",
}


def _setup(case: Case) -> str:
    tunnel = _TUNNELS[case.kind, case.version]
    if case.kind == "plain":
        return _DEVICES + tunnel
    lines = [f"ip link add name wrap {tunnel}", "ip link set wrap mtu 64000 up"]
    host, network, option = (
        ("10.10.0.9", "10.10.0.0/24", "")
        if case.version == 4
        else ("fd00:a00::9", "fd00:a00::/64", "-6")
    )
    lines.append(f"ip {option} route add {network} dev wrap")
    if case.kind == "VXLAN":
        lines.append(f"ip {option} neighbour add {host} lladdr 02:00:00:00:00:0c dev wrap")
    return _DEVICES + "\n".join(lines)


def kernel_segmenter(case: Case, folder: Path) -> tuple[Program, list[bytes]]:
    """The running kernel with a route from TUN to TUN, and what came out for one super-packet.

    `case` is without Ethernet and tunnel headers, which the kernel's own devices add.
    """
    inner = case.frame[case.ips[-1] :]
    source, target = folder / "packet", folder / "segments"
    source.write_bytes(_with_pseudo_sum(inner, case))
    headers, tcp = case.headers - case.ips[-1], case.tcp - case.ips[-1]
    gso_type = 1 if case.version == 4 else 4
    told = [source, gso_type, case.mss, headers, tcp, target]
    return _routed("tun", "IN_FLAGS=vnet_hdr\n" + _setup(case), told), saved_segments(target)


# What is merged waits for more as long as this (nanoseconds): longer than a round.
_HOLD = """
mount -t sysfs none /sys
echo 100000000 > /sys/class/net/in/gro_flush_timeout
"""


def kernel_merger(
    case: Case, packets: Sequence[bytes], folder: Path
) -> tuple[Program, list[bytes]]:
    """The running kernel's GRO before a route from TUN to TUN, and what it merges packets into."""
    source, target = folder / "packets", folder / "merged"
    save_packets(source, packets)
    return _routed("tun_gro", _setup(case) + _HOLD, [source, target]), saved_segments(target)


def _routed(name: str, setup: str, told: Sequence[object]) -> Program:
    """The program between the devices `in` and `out` of a namespace of its own."""
    program = _compiled(name)
    if os.geteuid() or not Path("/dev/net/tun").exists():
        pytest.skip("the kernel as a peer needs root and /dev/net/tun")
    shell = ["unshare", "-n", "-m", "sh", "-c", f'{setup}\nexec "$0" in out "$@"']
    try:
        return Program([*shell, program, *map(str, told)])
    except RuntimeError as error:
        if "Unknown device type" in str(error) or "not supported" in str(error):
            pytest.skip("the running kernel has not all devices that this needs")
        raise


def _with_pseudo_sum(packet: bytes, case: Case) -> bytes:
    """A packet from a sender that leaves the checksum to others."""
    from gso import checksum, pseudo_header  # noqa: PLC0415

    tcp = case.tcp - case.ips[-1]
    size = 4 if case.version == 4 else 16
    start = 12 if case.version == 4 else 8
    source, destination = packet[start : start + size], packet[start + size : start + 2 * size]
    total = pseudo_header(source, destination, 6, len(packet) - tcp)
    field = (0xFFFF - checksum(b"", total)).to_bytes(2, "big")
    if case.version == 4:
        header = packet[:10] + checksum(packet[:20]).to_bytes(2, "big") + packet[12:20]
        packet = header + packet[20:]
    return packet[: tcp + 16] + field + packet[tcp + 18 :]
