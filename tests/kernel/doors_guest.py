"""In a VM: super-packets through TUN and TAP devices and packet sockets, from one kernel's stack.

    python doors_guest.py

prints one JSON object for each kind of device. Two namespaces have a device each, and this program
carries packets from one to the other: this way it cuts them and merges them again, that way it
hands on super-packets with the headers that it got. TCP and UDP go both ways through it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gso
from gso.packet import PacketSocket
from gso.tun import Tun
from gso.vnet import VnetDevice

ENDS = ("here", "there")
ADDRESSES = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}
INNER = {4: ("10.8.0.1", "10.8.0.2"), 6: ("fd08::1", "fd08::2")}
PREFIX = {4: 24, 6: 64}
PORT, STREAM, DATAGRAM, DATAGRAMS = 7000, 300_000, 1000, 12
UDP_SEGMENT, UDP_GRO = 103, 104
TUNNELS = gso.VirtioNetGso.UDP_TUNNEL_IPV4 | gso.VirtioNetGso.UDP_TUNNEL_IPV6
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def ip(*lines: str) -> None:
    for line in lines:
        subprocess.run(["ip", *line.split()], check=True)


def configure(end: int, device: str, addresses: dict[int, tuple[str, str]]) -> None:
    """Set a device up in its namespace, with an address of each version."""
    ip(f"-n {ENDS[end]} link set {device} up")
    for version, both in addresses.items():
        nodad = " nodad" if version == 6 else ""
        ip(f"-n {ENDS[end]} addr add {both[end]}/{PREFIX[version]} dev {device}{nodad}")


def tun_devices(*, tap: bool) -> Iterator[VnetDevice]:
    for end, name in enumerate(ENDS):
        device = Tun(f"dev{end}", tap=tap)
        ip(f"link set dev{end} netns {name}")
        configure(end, f"dev{end}", ADDRESSES)
        yield device


def packet_sockets() -> Iterator[VnetDevice]:
    for end, name in enumerate(ENDS):
        ip(f"link add wire{end} type veth peer name dev{end} netns {name}")
        ip(f"link set wire{end} up")
        configure(end, f"dev{end}", ADDRESSES)
        yield PacketSocket(f"wire{end}")


def vxlan_devices() -> Iterator[VnetDevice]:
    yield from tun_devices(tap=True)
    for end, name in enumerate(ENDS):
        own, other = ADDRESSES[4][end], ADDRESSES[4][1 - end]
        ip(
            f"-n {name} link add vx0 mtu 1400 type vxlan id 7 local {own} remote {other} "
            f"dstport 4789 dev dev{end} udpcsum"
        )
        configure(end, "vx0", INNER)


KINDS: dict[str, Callable[[], Iterator[VnetDevice]]] = {
    "tun": lambda: tun_devices(tap=False),
    "tap": lambda: tun_devices(tap=True),
    "vxlan": vxlan_devices,
    "packet": packet_sockets,
}


class Relay:
    """Carries packets between two devices. It notes the kinds of super-packets, and errors."""

    def __init__(self, devices: list[VnetDevice]) -> None:
        self.devices = devices
        self.seen: set[str] = set()
        self.errors: set[str] = set()
        self.written = self.cut = 0
        self.over = False

    def run(self) -> None:
        poll = select.poll()
        for device in self.devices:
            poll.register(device.fileno(), select.POLLIN)
        while not self.over:
            for file, _ in poll.poll(200):
                end = int(self.devices[1].fileno() == file)
                try:
                    self.carry(end)
                except OSError as error:
                    self.errors.add(str(error))

    def carry(self, end: int) -> None:
        source, target = self.devices[end], self.devices[1 - end]
        frames, headers = source.read_batch(timeout=0)
        self.seen.update(gso_name(int(kind)) for kind in headers["gso_type"])
        if end:
            target.write_batch(frames, headers)
            return
        wire = source.segment(frames, headers)
        self.cut += len(wire)
        self.written += target.write_batch(wire)


def gso_name(kind: int) -> str:
    name = str(gso.VirtioNetGso(kind & ~(TUNNELS | gso.VirtioNetGso.ECN)).name)
    return f"{name} in UDP" if kind & TUNNELS else name


@contextmanager
def relayed(kind: str) -> Iterator[tuple[list[VnetDevice], Relay]]:
    """Two namespaces, joined by a relay."""
    with ExitStack() as stack:
        for name in ENDS:
            ip(f"netns add {name}", f"-n {name} link set lo up")
            stack.callback(ip, f"netns del {name}")
        devices = [stack.enter_context(device) for device in KINDS[kind]()]
        relay = Relay(devices)
        thread = threading.Thread(target=relay.run)
        thread.start()
        try:
            yield devices, relay
        finally:
            relay.over = True
            thread.join()


def exchange(protocol: str, where: str) -> str:
    """Send from the first namespace to the second, and back; returns what the sender says."""
    program = [sys.executable, str(Path(__file__).resolve())]
    there, here = (["ip", "netns", "exec", name, *program] for name in reversed(ENDS))
    server = subprocess.Popen([*there, "serve", protocol, where], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    server.stdout.readline()
    client = subprocess.run(
        [*here, "send", protocol, where], stdout=subprocess.PIPE, text=True, check=False
    )
    server.kill()
    server.communicate()
    return client.stdout.strip()  # nothing where something was lost


def serve(protocol: str, where: str) -> None:
    """Send back to one client what it sends."""
    with opened(protocol, where) as sock:
        sock.bind((where, PORT))
        if protocol == "udp":
            print("ready", flush=True)
            payload, client = receive_datagrams(sock)
            sock.sendto(payload, client)
            return
        sock.listen()
        print("ready", flush=True)
        with sock.accept()[0] as connection:
            connection.sendall(received(connection))


def send(protocol: str, where: str) -> None:
    """Send, and compare what comes back."""
    with opened(protocol, where) as sock:
        sock.connect((where, PORT))
        if protocol == "udp":
            payload = os.urandom(DATAGRAM * DATAGRAMS)
            sock.send(payload)
            back, _ = receive_datagrams(sock)
        else:
            payload = os.urandom(STREAM)
            sock.sendall(payload)
            sock.shutdown(socket.SHUT_WR)
            back = received(sock)
    print("intact" if back == payload else f"{len(back)} other bytes")


def opened(protocol: str, where: str) -> socket.socket:
    family = FAMILIES[6 if ":" in where else 4]
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    sock = socket.socket(family, kind)
    sock.settimeout(60)
    if protocol == "udp":
        sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, DATAGRAM)
        sock.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
    return sock


def receive_datagrams(sock: socket.socket) -> tuple[bytes, Any]:
    """All that was sent in one call, and who sent it."""
    payload, sender = b"", None
    while len(payload) < DATAGRAM * DATAGRAMS:
        more, _, _, sender = sock.recvmsg(65536, 64)
        payload += more
    return payload, sender


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def try_kind(kind: str) -> dict[str, Any]:
    addresses = INNER if kind == "vxlan" else ADDRESSES
    with relayed(kind) as (devices, relay):
        said = {
            f"{protocol}{version}": exchange(protocol, both[1])
            for protocol in ("tcp", "udp")
            for version, both in addresses.items()
        }
        device = devices[0]
        offloads = {}
        if isinstance(device, Tun):
            offloads = {"asked": int(device.asked), "offloads": int(device.offloads)}
        return {
            "kind": kind,
            **offloads,
            "header_size": device.header_size,
            "said": said,
            "seen": sorted(relay.seen),
            "errors": sorted(relay.errors),
            "cut": relay.cut,
            "written": relay.written,
        }


def main() -> None:
    for kind in KINDS:
        print(json.dumps(try_kind(kind)), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", protocol, where]:
            serve(protocol, where)
        case ["send", protocol, where]:
            send(protocol, where)
        case _:
            main()
