"""In a VM: the example's GUE endpoint and the kernel's own face each other across a veth pair.

    python gateway_guest.py EXAMPLE

prints one JSON object for each pair of outer and inner IP version. TCP goes both ways: what one end
sends, the other sends back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

USER, KERNEL, PORT, SIZE = "user", "kernel", 7000, 1_000_000
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("10.1.0.1", "10.1.0.2"), 6: ("fd01::1", "fd01::2")}
PREFIX = {4: 24, 6: 64}
ROOM = {4: 20 + 8 + 4, 6: 40 + 8 + 4}
"""Bytes of the outer headers: IP, UDP, GUE."""
DEVICES = {4: {"ipip": (4,), "sit": (6,)}, 6: {"ip6tnl mode any": (4, 6)}}
"""By outer version: the kernel's devices, and which inner versions each carries."""


def ip(*lines: str) -> None:
    for line in lines:
        subprocess.run(["ip", *line.split()], check=True)


def within(namespace: str, *command: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, *command], text=True, stdout=subprocess.PIPE, **options
    )


def set_up(outer: int) -> None:
    """Both namespaces, and the kernel's end of the tunnel for either inner version."""
    ip(f"netns add {USER}", f"netns add {KERNEL}")
    ip(f"link add out netns {USER} type veth peer name out netns {KERNEL}")
    for number, name in enumerate((USER, KERNEL)):
        nodad = " nodad" if outer == 6 else ""
        ip(f"-n {name} addr add {OUTER[outer][number]}/{PREFIX[outer]} dev out{nodad}")
        ip(f"-n {name} link set out up", f"-n {name} link set lo up")
    # A veth pair hands on checksums that a wire's device would have completed; the inner one is
    # payload for whoever reads from a UDP socket.
    offloads = within(KERNEL, "ethtool", "-K", "out", "tx", "off")
    if offloads.wait():
        raise OSError("ethtool cannot switch the checksum offload off")
    ip(f"-n {KERNEL} fou add port 6080 gue{' -6' if outer == 6 else ''}")
    own, other = OUTER[outer][::-1]
    for number, (kind, carried) in enumerate(DEVICES[outer].items()):
        ip(
            f"-n {KERNEL} link add gue{number} type {kind} local {own} remote {other} "
            "encap gue encap-sport auto encap-dport 6080",
            f"-n {KERNEL} link set gue{number} up mtu {1500 - ROOM[outer]}",
            *(address(KERNEL, 1, inner, f"gue{number}") for inner in carried),
        )


def address(namespace: str, number: int, inner: int, device: str) -> str:
    nodad = " nodad" if inner == 6 else ""
    return f"-n {namespace} addr add {INNER[inner][number]}/{PREFIX[inner]} dev {device}{nodad}"


def start_gateway(example: str, outer: int) -> subprocess.Popen[str]:
    gateway = within(USER, sys.executable, example, *OUTER[outer], stderr=subprocess.DEVNULL)
    assert gateway.stdout is not None
    print(gateway.stdout.readline(), end="", file=sys.stderr)
    ip(f"-n {USER} link set gue0 up")
    ip(*(address(USER, 0, inner, "gue0") for inner in (4, 6)))
    return gateway


def exchange(inner: int) -> dict[str, Any]:
    """What the client in the gateway's namespace says of its transfer."""
    here = str(Path(__file__).resolve())
    server = within(KERNEL, sys.executable, here, "serve", INNER[inner][1])
    assert server.stdout is not None
    server.stdout.readline()
    client = within(USER, sys.executable, here, "send", INNER[inner][1])
    said, _ = client.communicate(timeout=300)
    server.kill()
    server.wait()
    return json.loads(said)


def serve(where: str) -> None:
    """Send back to one client what it sends."""
    with socket.create_server((where, PORT), family=family(where)) as listener:
        print("ready", flush=True)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(received(connection))


def send(where: str) -> None:
    """Send, and compare what comes back."""
    data, begun = os.urandom(SIZE), time.monotonic()
    with socket.create_connection((where, PORT), timeout=250) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        back = received(connection)
    same = hashlib.sha256(back).digest() == hashlib.sha256(data).digest()
    print(json.dumps({"intact": same, "bytes": len(back), "seconds": time.monotonic() - begun}))


def received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def family(where: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in where else socket.AF_INET


def stopped(gateway: subprocess.Popen[str]) -> dict[str, int]:
    """What the gateway counted."""
    gateway.send_signal(signal.SIGINT)
    said, _ = gateway.communicate(timeout=60)
    return {name: int(n) for name, n in re.findall(r"'([^']+)': (\d+)", said)}


def main(example: str) -> None:
    for outer in (4, 6):
        set_up(outer)
        gateway = start_gateway(example, outer)
        found = {inner: exchange(inner) for inner in (4, 6)}
        counts = stopped(gateway)
        for inner, result in found.items():
            print(json.dumps({"outer": outer, "inner": inner, **result, "counts": counts}))
        ip(f"netns del {USER}", f"netns del {KERNEL}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", where]:
            serve(where)
        case ["send", where]:
            send(where)
        case [example]:
            main(example)
