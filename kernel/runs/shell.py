"""A shell in the topology: in namespaces of this host, or in a VM with the kernel under test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from gso.kernel import guest_files
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.guest.shell import OUTPUT, STATUS
from gso.kernel.machine import vm
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.paths import GUEST
from gso.kernel.runs import baseline
from gso.kernel.runs.baseline import Asked
from gso.kernel.scenarios import Fault, Scenario, plan
from gso.kernel.trees.patches import Patch
from gso.kernel.trees.targets import Target

from gso.printable import printable_lines

TUN = Path("/dev/net/tun")
# Network namespaces get their names by a mount. Where mounts and processes are this shell's own,
# the kernel takes everything back when it ends, however it ends.
_SET_UP = """
if [ -d /run/netns ]; then mount -t tmpfs tmpfs /run/netns; else mount -t tmpfs tmpfs /run; fi &&
exec "$@"
"""


def in_namespaces(scenarios: Sequence[Scenario], command: str | None) -> int:
    """Build the topology in namespaces of this host; return the exit status of the shell.

    Works as root and, where the kernel lets users make namespaces, as any user. What the host's
    kernel lacks is said for each scenario; modules are loaded only as the kernel itself does.
    """
    if shutil.which("unshare") is None:
        raise UsageError("unshare is not installed; it is in the package util-linux")
    own = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    if os.geteuid() != 0:
        # Only in a network namespace of its own may a user go back where he came from.
        own += ["--user", "--map-root-user", "--net"]
    _check_namespaces(own)
    _check_tun()
    with tempfile.TemporaryDirectory(prefix="gso-kernel-") as name:
        folder = Path(name)
        shutil.copytree(GUEST, folder / "guest", ignore=shutil.ignore_patterns("__pycache__"))
        planned = {"scenarios": plan(scenarios), "shell": {"command": command}}
        (folder / "plan.json").write_text(json.dumps(planned))
        guest = [vm.guest_python(), "-IB", str(folder / "guest"), str(folder), "shell"]
        return subprocess.call(["unshare", *own, "sh", "-c", _SET_UP, "sh", *guest])


def _check_namespaces(own: list[str]) -> None:
    """Raise :class:`TestBedError` where this user may make no namespaces."""
    done = subprocess.run(["unshare", *own, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestBedError(
            "set-up",
            f"{done.stderr.strip()}. This kernel gives this user no namespaces: run the command as "
            "root, or allow them to all (sysctl user.max_user_namespaces, and where it exists "
            "kernel.unprivileged_userns_clone), or leave --topology out for a VM",
        )


def _check_tun() -> None:
    """Raise :class:`TestBedError` where this user may not make the wire's TAP devices."""
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as error:
        raise TestBedError(
            "set-up",
            f"{TUN}: {error.strerror}. The topology needs it for its wire: run the command as "
            f"root, or allow it to all users (chmod 666 {TUN}; where it is missing, modprobe tun), "
            "or leave --topology out for a VM",
        ) from None


def in_machine(
    target: Target,
    *,
    series: list[Patch],
    fault: Fault,
    variant: str,
    scenarios: Sequence[Scenario],
    command: str | None,
    timeout: float,
    shown: Sequence[Path] = (),
) -> int:
    """Boot one variant of a kernel with the topology; return the exit status of the shell.

    ``shown``: folders of this host that the machine sees, too.
    """
    if command is None and not sys.stdin.isatty():
        raise UsageError("the shell needs a terminal; --command runs a command without one")
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="gso-kernel-")))
        kept = None if command else ends.enter_context(KeptMachine(variant))
        target.prepare(baseline.chooser(series, Asked(fault.name)))
        kernel = target.build(variant, folder / "build.log")
        print(f"booting {target.label}, {variant}", file=sys.stderr)
        try:
            guest = vm.boot(
                kernel,
                {"scenarios": plan(scenarios), "shell": {"command": command}},
                folder / "vm",
                timeout=timeout,
                stop=folder / "stop",
                kept=kept,
                shown=shown,
            )
        finally:
            _pass_on(folder / "vm")
        if kept and not guest["status"]:
            kept.attach()
            return _left(kept.left) if kept.left else 0
        return int(guest["status"])


def _pass_on(machine: Path) -> None:
    """Print what the command and the set-up before it said in the VM."""
    for name, sink in (("guest.log", sys.stderr), (OUTPUT, sys.stdout)):
        if os.path.lexists(machine / name):
            sink.write(_shown(guest_files.read_text(machine / name), sink))


def _shown(text: str, sink: TextIO) -> str:
    """Return what a guest said, safe for a terminal; into a file or pipe goes all of it."""
    return f"{printable_lines(text)}\n" if text and sink.isatty() else text


def _left(folder: Path) -> int:
    """Return the status that the user left the shell with; none when the machine was ended."""
    status = folder / STATUS
    return int(guest_files.read(status, 20)) if os.path.lexists(status) else 0
