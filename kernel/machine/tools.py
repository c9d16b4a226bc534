"""The programs that the test bed is made of, and what a machine of this host is made of."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.machine import capacity, kvm
from gso.kernel.processes import SEARCH_PATH

MACHINE, MODULES, KERNEL = "machine", "modules", "kernel"
"""Parts of a run: a machine that boots; modules that are built, or a whole kernel."""


@dataclass(frozen=True)
class Tool:
    """A program, the Debian package that has it, and what it is needed for."""

    program: str
    package: str
    purpose: str
    only_for: str = ""  # the option of verify, or the command, that alone needs it
    part: str = ""  # of a run, which comes to nothing without it


TOOLS = (
    Tool("qemu-system-x86_64", "qemu-system-x86", "runs the virtual machines", part=MACHINE),
    Tool("busybox", "busybox-static", "the guest's first process and its mounts", part=MACHINE),
    Tool("bwrap", "bubblewrap", "keeps builds and machines away from this host's files"),
    Tool("modprobe", "kmod", "kernel modules in the guest", part=MACHINE),
    Tool("python3", "python3", "the traffic in the guest", part=MACHINE),
    Tool("ip", "iproute2", "namespaces, links and tunnels in the guest", part=MACHINE),
    Tool("ipvsadm", "ipvsadm", "IPVS services in the guest", part=MACHINE),
    Tool("ethtool", "ethtool", "offload settings in the guest", part=MACHINE),
    Tool("git", "git", "applies patches"),
    Tool("make", "make", "builds kernels", part=MODULES),
    Tool("gcc", "gcc", "builds kernels", part=MODULES),
    Tool("gcc-12", "gcc-12", "Debian 12's kernels are built with it"),
    Tool("readelf", "binutils", "build IDs of modules", part=MODULES),
    Tool("xz", "xz-utils", "unpacks kernel sources"),
    Tool("bc", "bc", "builds whole kernels", only_for="--source"),
    Tool("flex", "flex", "builds whole kernels", only_for="--source"),
    Tool("bison", "bison", "builds whole kernels", only_for="--source"),
    Tool("pahole", "dwarves", "type information (BTF) of whole kernels", only_for="--source"),
    Tool("rsync", "rsync", "copies source trees", only_for="--source"),
    Tool("nginx", "nginx-light", "the service behind IPVS", only_for="--applications"),
    Tool("h2load", "nghttp2-client", "the clients' requests", only_for="--applications"),
    Tool("nft", "nftables", "flowtables in the guest, and layers of random stacks"),
    Tool("wg", "wireguard-tools", "WireGuard in random stacks", only_for="hunt"),
    Tool("teamnl", "libteam-utils", "teams in random stacks", only_for="hunt"),
    Tool("ovs-dpctl", "openvswitch-switch", "Open vSwitch in random stacks", only_for="hunt"),
    Tool("curl", "curl", "the clients' first requests", only_for="--applications"),
)
# Libraries without a program of their own.
LIBRARIES = (
    Tool("/usr/include/libelf.h", "libelf-dev", "builds whole kernels", only_for="--source"),
    Tool("/usr/include/openssl/ssl.h", "libssl-dev", "builds whole kernels", only_for="--source"),
)


def lacking(*parts: str) -> list[Tool]:
    """Return what this host lacks for these parts of a run."""
    return [t for t in (*TOOLS, *LIBRARIES) if _needed(t, parts) and found(t) is None]


def found(tool: Tool) -> str | None:
    """Return where the tool is on this host."""
    if tool.program.startswith("/"):
        return tool.program if Path(tool.program).exists() else None
    return shutil.which(tool.program, path=SEARCH_PATH)


def _needed(tool: Tool, parts: tuple[str, ...]) -> bool:
    whole = KERNEL in parts
    if tool.only_for:
        return whole and tool.only_for == "--source"
    return bool(tool.part) and (tool.part in parts or (whole and tool.part == MODULES))


@functools.cache
def equipment() -> str:
    """Return a digest of what machines of this host are made of.

    That is the programs, how many processors, and whether with KVM. What is measured may change
    with them.
    """
    native = os.access(kvm.DEVICE, os.R_OK | os.W_OK)
    digest = hashlib.sha256(repr((native, capacity.cpus())).encode())
    for tool in TOOLS:
        if tool.part == MACHINE:
            path = found(tool)
            digest.update(tool.program.encode() + b"\0")
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest() if path else b"-")
    return digest.hexdigest()[:24]
