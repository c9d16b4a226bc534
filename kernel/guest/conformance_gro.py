"""Hand streams of frames to devices with GRO, and record what GRO made of them.

::

    TAP device (NAPI, GRO) --redirect--> mir0 (seen whole)

All frames of a stream must be in one poll of NAPI, as GRO completes everything after it. So NAPI
polls in a thread, on the processor of this process, which has the higher priority: the thread
runs when this process sleeps. The trace tells how many frames a poll took; if something came in
between, the stream is sent again.

Drivers that keep frames otherwise are stood in for by a module of our own (``receiver/``), which
has a whole stream in one poll, and gives what GRO made of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .capture import Tap
from .netlink import add_vxlan
from .netns import SetupError, inside, run, try_ip_batch
from .probes import write
from .records import (
    LENGTH,
    LISTS,
    MERGED,
    PACKET_MADE,
    POLL,
    RECEIVED,
    STREAM,
    UDP_FORWARDING,
    read_with_length,
)
from .wire import open_tap

_NAMESPACE = "gro"
_FENCE_TYPE = 0x88B5  # IEEE 802 local experimental
_FENCE = bytes.fromhex("020000000002020000000001") + _FENCE_TYPE.to_bytes(2, "big")
_FENCE_SIZE = 60
_PATIENCE = 20.0
_ATTEMPTS = 20
_PAUSE, _LONGEST_PAUSE = 0.0002, 0.2
_BLOCK = 16  # streams between two signs of life
_DOOR = "/proc/gso_receiver"
_BATCH = Path("/proc/sys/net/core/gro_normal_batch")
_ENOUGH, _LARGEST = 1 << 30, 1 << 24
_TOLD_BITS = 0xFFFF  # of gso_type, as the tracepoint has it
_MODULES = ("tun", "dummy", "vxlan", "geneve", "ipip", "sit", "ip6_tunnel", "ip_gre", "ip6_gre")
_MORE_MODULES = ("fou", "fou6", "pppoe", "8021q", "sch_ingress", "cls_matchall", "act_mirred")

_POLLED = re.compile(r"napi_poll: .* for device (\S+) work (\d+)")
_RECEIVED = re.compile(r"_entry: dev=mir0 .*? ip_summed=(\d+) .*? gso_size=(\d+) gso_type=(\w+)")


def perform(folder: Path, plan: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """Set everything up, send all streams, and return which set-up commands were refused."""
    progress(stage="topology")
    subprocess.run(["modprobe", "--all", "--quiet", *_MODULES, *_MORE_MODULES], check=False)
    for module in plan["modules"]:
        run(["insmod", module])
    devices = _Devices(plan["devices"], progress)
    streams = Path(plan["streams"])
    before = list(devices.send_all(streams, lambda device: device["before_tunnels"]))
    refused = {}
    for name, port in plan["completing"].items():
        if why := add_vxlan(_NAMESPACE, name, port):
            refused[f"link add {name} type vxlan dstport {port}, remcsum without partial"] = why
    refused |= try_ip_batch(_NAMESPACE, plan["listeners"])
    for family in (4, 6):
        failed = try_ip_batch(_NAMESPACE, plan["fou_listeners"], family)
        refused |= {f"-{family} {line}": why for line, why in failed.items()}
    progress(stage="packets")
    with (folder / "outcome.bin").open("wb") as out:
        after = devices.send_all(streams, lambda device: not device["before_tunnels"])
        for done, pair in enumerate(zip(before, after, strict=True), 1):
            out.write(b"".join(pair))
            if done % _BLOCK == 0:
                progress(stage="packets", done=done)
    return {"refused": refused}


class _Devices:
    """The TAP devices, and where their packets are seen."""

    def __init__(self, devices: list[dict[str, Any]], progress: Callable[..., None]) -> None:
        run(["ip", "netns", "add", _NAMESPACE])
        with inside(_NAMESPACE):
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        self._driver = _Driver()
        self._given = devices
        devices = [device for device in devices if not device["driver"]]
        self._files = {
            device["name"]: open_tap(_NAMESPACE, device["name"], napi=True, pages=device["pages"])
            for device in devices
        }
        failed = try_ip_batch(
            _NAMESPACE, ["link add mir0 mtu 65535 type dummy", "link set mir0 up"]
        )
        for device in devices:
            failed |= try_ip_batch(_NAMESPACE, self._settings(device))
        if failed:
            raise SetupError(str(failed))
        for device in devices:
            # A busy host takes long enough for it to be taken for silence.
            progress(stage="topology", device=device["name"])
            self._prepare(device)
        with inside(_NAMESPACE):
            # The sockets of tunnels over IPv6 need it
            Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6").write_text("0")
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("0")
        self._seen = Tap(_NAMESPACE, "mir0", bare=True)
        _run_first()
        self._trace()

    @staticmethod
    def _settings(device: dict[str, Any]) -> list[str]:
        name = device["name"]
        words = [f"link set {name} {device['words']}"] if device["words"] else []
        return [*words, f"link set {name} mtu 65521", f"link set {name} up"]

    @staticmethod
    def _prepare(device: dict[str, Any]) -> None:
        name = device["name"]
        within = ["ip", "netns", "exec", _NAMESPACE]
        state = "on" if device["udp"] else "off"
        run([*within, "ethtool", "-K", name, "gro", "on", "rx-udp-gro-forwarding", state])
        if device["fraglist"]:
            run([*within, "ethtool", "-K", name, "rx-gro-list", "on"])
        run([*within, "sh", "-c", f"echo 1 > /sys/class/net/{name}/threaded"])
        for line in (
            f"qdisc add dev {name} clsact",
            f"filter add dev {name} ingress matchall action mirred ingress redirect dev mir0",
        ):
            run(["tc", "-n", _NAMESPACE, *line.split()])

    @staticmethod
    def _trace() -> None:
        write("buffer_size_kb", "4096")
        for name in ("netif_rx_entry", "netif_receive_skb_entry"):
            write(f"events/net/{name}/filter", f'name == "mir0" && protocol != {_FENCE_TYPE}')
            write(f"events/net/{name}/enable", "1")
        write("events/napi/napi_poll/filter", "work > 0")
        write("events/napi/napi_poll/enable", "1")
        write("tracing_on", "1")

    def send_all(self, streams: Path, wanted: Callable[[dict[str, Any]], bool]) -> Iterator[bytes]:
        """Send what is in the file for the devices that are wanted now.

        Yields the outcome of each stream, empty for others.
        """
        with streams.open("rb") as source:
            while head := source.read(STREAM.size):
                device, count = STREAM.unpack(head)
                frames = [read_with_length(source) for _ in range(count)]
                given = self._given[device]
                if not wanted(given):
                    yield b""
                elif given["driver"]:
                    yield self._driver.outcome(given, frames)
                else:
                    yield self._outcome(given["name"], frames)

    def _outcome(self, device: str, frames: list[bytes]) -> bytes:
        polled: list[int] = []
        for attempt in range(_ATTEMPTS):
            write("trace", "")
            # On a busy host the poll needs longer to begin
            pause = min(_PAUSE * 2**attempt, _LONGEST_PAUSE)
            packets = self._sent(self._files[device], frames, pause)
            polled, notes = self._told(device)
            if polled[:1] != [len(frames)]:
                continue
            if len(notes) != len(packets):
                raise ValueError(f"{len(packets)} packets, but the trace has {len(notes)}")
            return LENGTH.pack(len(packets)) + b"".join(
                MERGED.pack(len(packet), size, kind, summed) + packet
                for packet, (summed, size, kind) in zip(packets, notes, strict=True)
            )
        raise TimeoutError(f"{len(frames)} frames never came in one poll, but in {polled}")

    def _sent(self, file: int, frames: list[bytes], pause: float) -> list[bytes]:
        """Send the frames, wait for the poll, and return what came out."""
        for frame in frames:
            os.write(file, frame)
        # The first fence may be in the stream's poll, and overtakes what GRO holds. The second
        # one is in a later poll.
        time.sleep(pause if frames else 0)
        packets: list[bytes] = []
        for number in (b"\1", b"\2"):
            fence = (_FENCE + number).ljust(_FENCE_SIZE, b"\0")
            os.write(file, fence)
            packets += self._until_fence(fence)
        return packets

    def _until_fence(self, fence: bytes) -> list[bytes]:
        """Return what arrives before the fence."""
        time.sleep(_PAUSE)
        found: list[bytes] = []
        deadline = time.monotonic() + _PATIENCE
        while True:
            for _, _, frame in self._seen.arrived():
                if frame == fence:
                    return found
                if frame[12:14] != _FENCE[12:14]:
                    found.append(frame)
            if time.monotonic() > deadline:
                raise TimeoutError("the frame after a stream did not arrive")
            time.sleep(_PAUSE)

    @staticmethod
    def _told(name: str) -> tuple[list[int], list[tuple[int, ...]]]:
        """Return how much each poll of the device took, and what is noted of each packet."""
        text = Path("/sys/kernel/tracing/trace").read_text()
        polled = [int(work) for device, work in _POLLED.findall(text) if device == name]
        return polled, [tuple(int(n, 0) for n in found) for found in _RECEIVED.findall(text)]


class _Driver:
    """A driver of our own, by the module in ``receiver/``."""

    def __init__(self) -> None:
        with inside(_NAMESPACE):
            self._door = os.open(_DOOR, os.O_RDWR)

    def outcome(self, device: dict[str, Any], frames: list[bytes]) -> bytes:
        """Hand frames to GRO, and return what it made of them."""
        features = (device["fraglist"] and LISTS) | (device["udp"] and UDP_FORWARDING)
        sizes = device["gro_max_size"], device["gro_ipv4_max_size"]
        head = POLL.pack(features, *sizes, len(frames))
        before = _BATCH.read_text()
        _BATCH.write_text(str(_ENOUGH))
        try:
            os.write(self._door, head + b"".join(frames))
        finally:
            _BATCH.write_text(before)
        answer = os.pread(self._door, _LARGEST, 0)
        (count,) = RECEIVED.unpack_from(answer)
        at, found = RECEIVED.size, [LENGTH.pack(count)]
        for _ in range(count):
            length, size, kind, summed = PACKET_MADE.unpack_from(answer, at)
            at += PACKET_MADE.size
            found += [
                MERGED.pack(length, size, kind & _TOLD_BITS, summed),
                answer[at : at + length],
            ]
            at += length
        return b"".join(found)


def _run_first() -> None:
    """Put this process and the polling threads on one processor, and this process first."""
    os.sched_setaffinity(0, {0})
    for path in Path("/proc").glob("[0-9]*/comm"):
        if path.read_text().startswith("napi/"):
            os.sched_setaffinity(int(path.parent.name), {0})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
