"""Network namespaces of this host for one test: what it lacks is said, and the test skipped."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int, what: str) -> None:
    if status:
        pytest.skip(f"{what}: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def own_namespace() -> Iterator[int]:
    """Go into a new namespace with this thread; the block gets a descriptor of it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    here = -1
    try:
        _check(_libc.unshare(CLONE_NEWNET), "no network namespace of its own")
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        ip("link set lo up")
        yield here
    finally:
        if _libc.setns(home, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot leave the namespace")
        for file in (home, here):
            if file >= 0:
                os.close(file)


@contextlib.contextmanager
def within(namespace: int) -> Iterator[None]:
    """Go into a namespace for a while."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert _libc.setns(namespace, CLONE_NEWNET) == 0
        yield
    finally:
        assert _libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)


def ip(*commands: str) -> None:
    """Run commands of ``ip`` in this thread's namespace; a kernel that cannot do it skips."""
    try:
        done = subprocess.run(
            ["ip", "-batch", "-"],
            input="\n".join(commands),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("ip is not installed (Debian: apt-get install iproute2)")
    if done.returncode:
        pytest.skip(f"this kernel cannot do {'; '.join(commands)}: {done.stderr.strip()}")


def need_tun() -> None:
    """Skip where this host lets nobody have a TUN device."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"no TUN devices here: {error}")


def quiet_ipv6(device: str) -> None:
    """Give a device no address of the kernel's choice."""
    path = Path(f"/proc/sys/net/ipv6/conf/{device}/addr_gen_mode")
    if not path.exists():
        pytest.skip("this kernel has no IPv6")
    path.write_text("1")


def wait_until_local(address: str) -> None:
    """Wait until packets to an IPv6 address arrive: the kernel adds its route a moment later."""
    wanted = f"{ipaddress.IPv6Address(address).packed.hex()} 80 "
    until = time.monotonic() + 10
    while wanted not in Path("/proc/thread-self/net/ipv6_route").read_text():
        assert time.monotonic() < until, f"{address} has no local route"
        time.sleep(0.001)


def without_ipv6(device: str) -> None:
    """Keep the kernel from sending of its own accord through a device: multicast listeners."""
    path = Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
    if path.exists():
        path.write_text("1")
