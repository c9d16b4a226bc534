"""Run the guest in namespaces of this host: its kernel, no VM, and nothing stays behind.

Works as root and, where the kernel lets users make namespaces, as any user. Modules are loaded only
as the kernel itself does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.machine import qemu, tools
from gso.kernel.paths import GUEST
from gso.kernel.processes import SEARCH_PATH

TUN = Path("/dev/net/tun")
# Without these there is no topology. ipvsadm is missed by the scenarios of IPVS only.
PROGRAMS = ("ip", "ethtool")
# Network namespaces get their names by a mount. Where mounts and processes are this command's own,
# the kernel takes everything back when it ends, however it ends.
_SET_UP = """
if [ -d /run/netns ]; then mount -t tmpfs tmpfs /run/netns; else mount -t tmpfs tmpfs /run; fi &&
exec "$@"
"""


def call(plan: dict[str, Any], folder: Path, what: str) -> int:
    """Run ``what`` of the guest with this plan, and return its exit status.

    ``folder`` gets the plan and the guest, and whatever the guest leaves.
    """
    if shutil.which("unshare") is None:
        raise UsageError("unshare is not installed; it is in the package util-linux")
    own = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    if os.geteuid() != 0:
        # Only in a network namespace of its own may a user go back where he came from.
        own += ["--user", "--map-root-user", "--net"]
    _check_namespaces(own)
    _check_tun()
    _check_programs()
    shutil.copytree(GUEST, folder / "guest", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "plan.json").write_text(json.dumps(plan))
    guest = [qemu.guest_python(), "-IB", str(folder / "guest"), str(folder), what]
    return subprocess.call(["unshare", *own, "sh", "-c", _SET_UP, "sh", *guest])


def _check_programs() -> None:
    """Raise :class:`TestBedError` where a program is missing that makes the topology."""
    missing = [
        f"{tool.program} is not installed (Debian package {tool.package})"
        for tool in tools.TOOLS
        if tool.program in PROGRAMS and shutil.which(tool.program, path=SEARCH_PATH) is None
    ]
    if missing:
        raise TestBedError("set-up", "; ".join(missing))


def _check_namespaces(own: list[str]) -> None:
    """Raise :class:`TestBedError` where this user may make no namespaces."""
    done = subprocess.run(["unshare", *own, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestBedError(
            "set-up",
            f"{done.stderr.strip()}. This kernel gives this user no namespaces: run the command as "
            "root, or allow them to all (sysctl user.max_user_namespaces, and where it exists "
            "kernel.unprivileged_userns_clone), or have a VM: see gso-kernel shell",
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
            "or have a VM: see gso-kernel shell",
        ) from None
