"""Find out whether this machine runs kernels with hardware virtualisation."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gso.kernel import guest_files
from gso.kernel.paths import cache_folder
from gso.kernel.processes import started

DEVICE = Path("/dev/kvm")
_PROBE_SECONDS = 5.0
_POLL_SECONDS = 0.1
_FAILURE = b"KVM internal error"


@dataclass(frozen=True)
class Kvm:
    """The answer: whether hardware virtualisation works, and why or why not."""

    works: bool
    reason: str


def probe(image: Path | None = None, *, again: bool = False) -> Kvm:
    """Find out by booting a kernel up to its first words: one of Debian's, or ``image``.

    /dev/kvm may exist and still not work. A virtual CPU that starts says little: where KVM emulates
    what it cannot run, kernels stop at the first instruction that it does not know.

    That takes seconds, so the answer is kept until this machine starts anew or has another KVM,
    QEMU or kernel; ``again`` asks for a new one.
    """
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return Kvm(False, f"{DEVICE} is not there or not accessible")
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        return Kvm(False, "qemu-system-x86_64 is not installed")
    images = [*sorted((cache_folder() / "debian").glob("*/boot/vmlinuz-*")), image]
    found = next((one for one in images if one and one.exists()), None)
    if found is None:
        return Kvm(False, f"no kernel yet to try {DEVICE} with")
    file = cache_folder() / "kvm.json"
    parts = _parts(found, Path(qemu))
    answer = None if again else _kept(file, parts)
    if answer is None:
        answer = _try(found, qemu)
        _keep(file, parts, answer)
    return answer


def _kept(file: Path, parts: list[str]) -> Kvm | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(file.read_text())
        if kept["parts"] == parts:
            return Kvm(**kept["answer"])
    return None


def _keep(file: Path, parts: list[str], answer: Kvm) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: others may be reading it.
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix="kvm.", delete=False) as new:
        json.dump({"parts": parts, "answer": asdict(answer)}, new)
    Path(new.name).replace(file)


def _parts(image: Path, qemu: Path) -> list[str]:
    """Return all that an answer depends on."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    files = (DEVICE, image, qemu)
    return [boot, *(f"{file} {file.stat().st_ctime_ns}" for file in files)]


def _try(image: Path, qemu: str) -> Kvm:
    command = [qemu, "-machine", "q35,accel=kvm", "-cpu", "host", "-m", "512M"]
    command += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    command += ["-kernel", str(image), "-append", "console=ttyS0 panic=-1"]
    with tempfile.TemporaryDirectory(prefix="gso-kernel-kvm-") as name:
        folder = Path(name)
        console = folder / "console.log"
        with started(command, console, folder) as machine:
            deadline = time.monotonic() + _PROBE_SECONDS
            while machine.poll() is None and time.monotonic() < deadline:
                said = guest_files.read(console)
                if b"Linux version" in said:
                    return Kvm(True, "a kernel starts")
                if _FAILURE in said:
                    break
                time.sleep(_POLL_SECONDS)
            return Kvm(False, _why_not(console))


def _why_not(console: Path) -> str:
    """Return what QEMU said of KVM, or else the first that it said."""
    first = ""
    for line in guest_files.lines(console):
        if "KVM" in line or line.startswith("qemu-system"):
            return line.strip()
        first = first or line.strip()
    return first or "with it a kernel says nothing"
