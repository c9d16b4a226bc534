"""QEMU's command line for a machine, as the test bed makes it itself, with its limits.

What the guest sees of this host are folders by name: programs and libraries, the modules of its
kernel, what it is given; it can write into one of them.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gso.kernel import sandbox
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.machine import blocks, capacity, channel, kvm
from gso.kernel.machine.share import Share

MEMORY = "1G"
_LARGEST_FILE = 256 << 20
_ONLY_NEEDED_CALLS = (
    *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
)
_KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "oops=panic",  # a damaged kernel must not go on and give a result
    "panic=-1",
    "softlockup_panic=1",
    "mitigations=off",
    "no_hash_pointers",  # otherwise tracepoints and probes print different pointers
    "audit=0",
    # Where a busy host lets an emulated machine wait while it measures its clocks, the kernel
    # panics since no timer seems to tick, or takes a clock for as much faster than it is.
    "no_timer_check",
    "tsc=unstable",
)


@dataclass(frozen=True)
class Machine:
    """What is to be booted.

    ``folder``: the place of the evidence, for people who look at the processes of this host.
    ``port``: the file descriptor, which QEMU inherits, that gets what the guest says of its run.
    ``terminal``: a socket for a second serial port. ``shown``: more folders of this host that the
    guest sees at their places, and cannot change. ``watched``: addresses of which is noted in
    ``folder`` what ran (:mod:`gso.kernel.machine.blocks`).
    """

    kernel: Bootable
    share: Share
    folder: Path
    port: int
    terminal: Path | None = None
    shown: Sequence[Path] = ()
    watched: Sequence[range] = ()

    @functools.cached_property
    def programs(self) -> list[Path]:
        """The folders of this host's programs that the guest sees, and those shown to it."""
        folders = sandbox.program_folders()
        for folder in self.shown:
            if not _is_in(folder, folders):
                folders.append(folder)
        python = Path(guest_python())
        if not _is_in(python, folders):
            folders.append(Path(sys.base_prefix))
        for folder in folders:
            if re.search(r"[^\w/.+@%=-]", str(folder)):
                raise UsageError(f"a guest cannot use programs in a folder of this name: {folder}")
        return folders

    def devices(self) -> list[str]:
        """Return QEMU's options for the folders, the port and the terminal."""
        line = channel.options(self.port)
        if self.terminal:
            line += ["-serial", f"unix:{escaped(self.terminal)},server=on,wait=off"]
        for number, folder in enumerate(self.programs):
            line += _read_only(f"gso.programs{number}", folder)
        if self.kernel.modules_folder:
            line += _read_only("gso.modules", self.kernel.modules_folder)
        line += _read_only("gso.given", self.share.given)
        # Its links, devices and modes are notes of QEMU's, and plain files on this host.
        return line + _share("gso.left", self.share.left, "security_model=mapped-file")

    def kernel_arguments(self) -> list[str]:
        """Return what the kernel and the guest's first programs are told."""
        serial_ports = f"8250.nr_uarts={2 if self.terminal else 1}"
        programs = f"gso.programs={':'.join(map(str, self.programs))}"
        places = ["nokaslr"] if self.watched else []  # where its symbols say
        return [*_KERNEL_ARGUMENTS, *places, serial_ports, f"gso.python={guest_python()}", programs]

    def limited(self, line: list[str], *readable: Path) -> list[str]:
        """Return a command line that sees these files, has QEMU's limits, and ends with us."""
        limits = ["prlimit", f"--fsize={_LARGEST_FILE}", "--core=0", "--"]
        if _filters_calls():
            line = [*line, *_ONLY_NEEDED_CALLS]
        if not sandbox.works():
            return [*limits, "setpriv", "--pdeathsig", "KILL", "--", *line]
        seen = [self.kernel.image, *readable, self.share.given, *self.programs]
        seen += [self.kernel.modules_folder] if self.kernel.modules_folder else []
        writable = [self.share.left] + ([self.terminal.parent] if self.terminal else [])
        writable += [self.folder / blocks.FOLDER] if self.watched else []
        devices = [kvm.DEVICE]
        return [
            *limits,
            *sandbox.confined(line, readable=seen, writable=writable, devices=devices),
        ]


def command(machine: Machine, archive: Path) -> list[str]:
    """Return the command line for a machine that begins with this initramfs."""
    kernel = machine.kernel
    native = not machine.watched and kvm.probe(kernel.image).works
    line = ["qemu-system-x86_64", "-name", f"guest={escaped(machine.folder)}"]
    line += ["-machine", f"q35,accel={'kvm' if native else 'tcg'}"]
    line += ["-cpu", "host" if native else "max", "-smp", str(capacity.cpus()), "-m", MEMORY]
    line += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    line += machine.devices()
    line += ["-kernel", str(kernel.image), "-initrd", str(archive)]
    line += ["-append", " ".join(machine.kernel_arguments())]
    if machine.watched:
        line += blocks.options(machine.watched, machine.folder / blocks.FOLDER)
    return machine.limited(line, archive)


@functools.cache
def _filters_calls() -> bool:
    """Say whether this QEMU was built with a filter for system calls."""
    asked = ["qemu-system-x86_64", *_ONLY_NEEDED_CALLS, "-version"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _is_in(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _read_only(tag: str, folder: Path) -> list[str]:
    return _share(tag, folder, "security_model=none,readonly=on")


def _share(tag: str, folder: Path, how: str) -> list[str]:
    name = tag.replace(".", "-")
    return [
        *("-fsdev", f"local,id={name},path={escaped(folder)},multidevs=remap,{how}"),
        *("-device", f"virtio-9p-pci,fsdev={name},mount_tag={tag}"),
    ]


def escaped(path: Path) -> str:
    """Return a path as QEMU's options have it."""
    return str(path).replace(",", ",,")


def guest_python() -> str:
    """Return a Python that the guest can start."""
    for candidate in ("/usr/bin/python3", os.path.realpath(sys.executable)):
        if os.access(candidate, os.X_OK):
            return candidate
    raise TestBedError("set-up", "no Python for the guest: neither /usr/bin/python3 nor this one")
