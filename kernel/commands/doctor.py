"""``gso-kernel doctor``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from gso.kernel.commands.saying import say, say_json
from gso.kernel.runs import distribution, doctor


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = "Exit status: 0 all is there, 1 something is missing."
    command.add_argument("--install", action="store_true", help="get it with apt, with sudo")
    command.add_argument(
        "--applications",
        action="store_true",
        help="with --install: nginx and the clients of verify --applications, too; Debian starts "
        "nginx on port 80 of this machine",
    )
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    findings = doctor.examine()
    if options.install:
        doctor.install(findings, applications=options.applications)
        findings = doctor.examine()
    if options.json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "ok" if finding.present else "MISSING" if finding.required else "no"
            say(f"{mark:8}{finding.name:20} {finding.detail}")
        packages = sorted({f.package for f in findings if not f.present and f.package})
        if packages:
            host = distribution.of_host()
            install = " gso-kernel doctor --install, or" if host.has_apt else ""
            say(f"\nto get what is missing:{install}\n  {host.advice(packages)}")
    return int(any(f.required and not f.present for f in findings))
