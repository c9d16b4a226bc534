"""TCP through GUE tunnels: the example's gateway, the same packet by packet, wireguard-go's TUN
device and socket, and the kernel's own.

Both ends of a tunnel are in namespaces of their own on this host, joined by a veth pair. Everything
runs on the one core that all contests are pinned to: sender, receiver and both ends together.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from contest import Contest, Contestant, Program
from peers.native import wireguard_gateway

AREA = "GUE tunnel"
HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "gue_gateway.py"
ONE_BY_ONE = HERE / "peers" / "one_by_one.py"
STREAM = HERE / "peers" / "stream.py"
OUTER, INNER = ("192.0.2.1", "192.0.2.2"), ("10.1.0.1", "10.1.0.2")
MTU = 1500 - 20 - 8 - 4
numbers = itertools.count()


def ip(*lines: str) -> None:
    """Run commands of ``ip``; skip where this host cannot do one."""
    for line in lines:
        done = subprocess.run(["ip", *line.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this host cannot do `ip {line}`: {done.stderr.strip()}")


@contextmanager
def joined() -> Iterator[list[str]]:
    """Two namespaces, joined by a veth pair whose ends are called ``out``."""
    number = next(numbers)
    names = [f"gso-bench-{os.getpid()}-{number}-{end}" for end in "ab"]
    with ExitStack() as stack:
        for name in names:
            ip(f"netns add {name}")
            stack.callback(ip, f"netns del {name}")
        ip(f"link add out netns {names[0]} type veth peer name out netns {names[1]}")
        for name, address in zip(names, OUTER, strict=True):
            ip(f"-n {name} addr add {address}/24 dev out", f"-n {name} link set out up")
        yield names


def started(namespace: str, *command: object) -> subprocess.Popen[str]:
    """A program in a namespace that says a line once it is ready."""
    words = ["ip", "netns", "exec", namespace, *map(str, command)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.wait()}")
    return process


@contextmanager
def running(namespace: str, *command: object) -> Iterator[None]:
    process = started(namespace, *command)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def gateways(names: list[str], *program: object) -> Iterator[None]:
    """Both ends as processes."""
    with ExitStack() as stack:
        for name, ends in zip(names, (OUTER, OUTER[::-1]), strict=True):
            stack.enter_context(running(name, *program, *ends))
        yield


@contextmanager
def in_kernel(names: list[str]) -> Iterator[None]:
    """Both ends in the kernel, as the example's docstring has one of them."""
    for name, (own, other) in zip(names, (OUTER, OUTER[::-1]), strict=True):
        ip(
            f"-n {name} fou add port 6080 gue",
            f"-n {name} link add gue0 mtu {MTU} type ipip local {own} remote {other} "
            "encap gue encap-sport auto encap-dport 6080",
        )
    yield


TUNNELS: dict[str, Callable[[list[str]], AbstractContextManager[None]]] = {
    "GSO and GRO": lambda names: gateways(names, sys.executable, EXAMPLE),
    "packet by packet": lambda names: gateways(names, sys.executable, ONE_BY_ONE),
    "wireguard-go's TUN and UDP": lambda names: gateways(names, wireguard_gateway()),
    "the kernel's own": in_kernel,
}
REMARKS = {
    "packet by packet": "the same program without offloads: a system call for each packet",
    "wireguard-go's TUN and UDP": "its device and socket alone: no keys, no encryption",
    "the kernel's own": "fou and ipip: no packet leaves the kernel",
}


@contextmanager
def tunnel(kind: str) -> Iterator[Contestant]:
    """A tunnel that is timed for each MiB of a TCP stream through it."""
    with ExitStack() as stack:
        names = stack.enter_context(joined())
        stack.enter_context(TUNNELS[kind](names))
        for name, address in zip(names, INNER, strict=True):
            ip(f"-n {name} link set gue0 up", f"-n {name} addr add {address}/24 dev gue0")
        stack.enter_context(running(names[1], sys.executable, STREAM, "receive", INNER[1]))
        sender = Program(
            ["ip", "netns", "exec", names[0], sys.executable, STREAM, "send", INNER[1]]
        )
        stack.callback(sender.close)
        yield sender.contestant(kind, "send", unit="MiB", leaves_out=REMARKS.get(kind, ""))


@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="there is no /dev/net/tun")
@pytest.mark.parametrize("peer", REMARKS)
def test_gateway(contest: Contest, peer: str) -> None:
    with tunnel("GSO and GRO") as ours, tunnel(peer) as theirs:
        contest(AREA, f"TCP over IPv4, MTU {MTU}", ours, theirs, bytes=1 << 20)
