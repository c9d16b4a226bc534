"""Find out what the test bed needs and this machine lacks, and install it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.machine import kvm, tools
from gso.kernel.machine.tools import LIBRARIES, TOOLS, Tool
from gso.kernel.runs import distribution
from gso.kernel.runs.distribution import Distribution
from gso.kernel.trees import debian

_LOCK_SECONDS = 300
"""How long apt waits for another apt, such as that of unattended upgrades."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    present: bool
    detail: str
    package: str = ""
    required: bool = True
    only_for: str = ""


def check(*parts: str) -> None:
    """Raise :class:`TestBedError` where this host lacks a program of these parts of a run."""
    if missing := tools.lacking(*parts):
        host = distribution.of_host()
        names = ", ".join(tool.program for tool in missing)
        packages = sorted({host.package(tool.package) or tool.package for tool in missing})
        raise TestBedError("set-up", f"not installed: {names}. {host.advice(packages)}")


def examine() -> list[Finding]:
    """Look at everything; nothing is changed."""
    host = distribution.of_host()
    found = [_tool(tool, tools.found(tool), host) for tool in (*TOOLS, *LIBRARIES)]
    found += [_virtme_ng(), _kernels()]
    native = kvm.probe(again=True)
    detail = native.reason if native.works else f"{native.reason}; kernels run under emulation"
    return [*found, Finding("KVM", native.works, detail, required=False)]


def _tool(tool: Tool, path: str | None, host: Distribution) -> Finding:
    use = f"{tool.purpose} ({tool.only_for} only)" if tool.only_for else tool.purpose
    package = host.package(tool.package)
    named = f"{host.name} package {package}" if package else f"no package of {host.name} is known"
    detail = path or f"{use}; {named}"
    return Finding(
        tool.program, path is not None, detail, package, not tool.only_for, tool.only_for
    )


def _virtme_ng() -> Finding:
    try:
        version = metadata.version("virtme-ng")
    except metadata.PackageNotFoundError:
        return Finding(
            "virtme-ng",
            False,
            "finds modules and writes the initramfs; pip install 'pygso[kernel]'",
        )
    return Finding("virtme-ng", True, f"version {version}")


def _kernels() -> Finding:
    try:
        kernels = debian.available()
    except TestBedError as error:
        return Finding("Debian kernels", False, f"{error.message}; --source DIR still works")
    if not kernels:
        return Finding("Debian kernels", False, "apt offers none; apt-get update fetches its lists")
    return Finding("Debian kernels", True, ", ".join(kernel.release for kernel in kernels))


def check_applications() -> None:
    """Raise :class:`UsageError` for missing programs of the applications, before the long run."""
    needed = [tool.program for tool in TOOLS if tool.only_for == "--applications"]
    missing = [program for program in needed if shutil.which(program) is None]
    if missing:
        raise UsageError(
            f"the applications need {', '.join(missing)}: gso-kernel doctor --install "
            "--applications gets them (Debian starts nginx on port 80 when it installs it)"
        )


def install(findings: list[Finding], *, applications: bool) -> None:
    """Get what is missing with apt, with sudo unless this is root already.

    What ``--applications`` needs comes only when wanted: Debian starts web servers it installs.

    Raises:
        UsageError: this host's distribution has no apt; the message has the command to give.
    """
    wanted = [f for f in findings if applications or f.only_for != "--applications"]
    missing = sorted({f.package for f in wanted if not f.present and f.package})
    lists = any(f.name == "Debian kernels" and not f.present for f in findings)
    if not missing and not lists:
        return
    host = distribution.of_host()
    if not host.has_apt:
        raise UsageError(f"--install uses apt; here: {host.advice(missing)}")
    _apt("update")
    if missing:
        _apt("install", "--yes", "--no-install-recommends", *missing)


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={_LOCK_SECONDS}", *arguments]
    if os.geteuid():
        command = ["sudo", *command]
    try:
        status = subprocess.run(
            command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False
        ).returncode
    except FileNotFoundError:
        raise TestBedError("set-up", f"{command[0]} is not there; install by hand") from None
    if status:
        raise TestBedError("set-up", f"{' '.join(command)} ended with {status}")
