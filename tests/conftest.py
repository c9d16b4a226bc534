"""For every test: programs that judge our files as others see them, where they are installed."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from hypothesis import settings

# Threads share batches of any size in tests; programs use them where there is enough to do.
os.environ.setdefault("GSO_THREAD_WORK", "1")
# How long a test takes says something about the machine, not about the code.
settings.register_profile("untimed", deadline=None)
# In CI the same commit always meets the same examples; new ones are for people and the fuzzer.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") == "true" else "untimed")


BROADCAST = "ff:ff:ff:ff:ff:ff"


def pytest_collection_finish() -> None:
    """Keep scapy from asking the network for the address of an Ethernet header without one."""
    if config := sys.modules.get("scapy.config"):
        config.conf.neighbor.resolve = lambda _ether, _network: BROADCAST


PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "bpftrace": "bpftrace",
    "bwrap": "bubblewrap",
    "chromium": "chromium",
    "debootstrap": "debootstrap",
    "dropwatch": "dropwatch",
    "editcap": "tshark",
    "gcc": "gcc",
    "perf": "linux-perf",
    "qemu-aarch64-static": "qemu-user-static",
    "trace-cmd": "trace-cmd",
    "tshark": "tshark",
}


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def tshark() -> str:
    return program("tshark")


@pytest.fixture(scope="session")
def chromium() -> str:
    return program("chromium")


@pytest.fixture(scope="session")
def bwrap() -> str:
    return program("bwrap")


@pytest.fixture(scope="session")
def debootstrap() -> str:
    return program("debootstrap")


@pytest.fixture(scope="session")
def bpftrace() -> str:
    return program("bpftrace")


@pytest.fixture(scope="session")
def perf() -> str:
    return program("perf")


@pytest.fixture(scope="session")
def dropwatch() -> str:
    return program("dropwatch")


@pytest.fixture(scope="session")
def trace_cmd() -> str:
    return program("trace-cmd")


@pytest.fixture(scope="session")
def editcap() -> str:
    return program("editcap")


@pytest.fixture(scope="session")
def gcc() -> str:
    return program("gcc")


@pytest.fixture(scope="session")
def arm64_gcc() -> str:
    return program("aarch64-linux-gnu-gcc")


@pytest.fixture(scope="session")
def qemu_arm64() -> str:
    """Runs a program for AArch64."""
    return program("qemu-aarch64-static")
