"""The command ``gso-kernel``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from gso.kernel import applications, bisect, cache, doctor, shell, trace
from gso.kernel.applications import Workload
from gso.kernel.build import SourceTree
from gso.kernel.conformance import command as conformance_command
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.keeper import Keeper
from gso.kernel.patches import Patch
from gso.kernel.paths import cache_folder, patches_folder
from gso.kernel.report import commands as report_commands
from gso.kernel.repository import Repository
from gso.kernel.results import PATCHED, UNPATCHED, VARIANTS
from gso.kernel.scenarios import FIX, SCENARIOS, TRAFFIC, select
from gso.kernel.screen import TerminalScreen
from gso.kernel.targets import DebianTarget, TreeTarget
from gso.kernel.verdict import Verdict
from gso.kernel.verify import Options, build, outlook, verify

_USAGE = 2
_INTERRUPTED = 130

_EXAMPLES = """\
examples:
  gso-kernel doctor --install
  gso-kernel verify patches/ipvs-gue-inner-mac-header.patch
  gso-kernel verify --kernel 6.1 my.patch --json result.json
  gso-kernel verify --source ~/linux my.patch
  gso-kernel verify --only vxlan --only 'gue-outer6-*' --except '*-csum' my.patch
  gso-kernel shell --unpatched --command 'send; ip netns exec director ipvsadm -Ln'
  gso-kernel shell --topology --only vxlan
  gso-kernel verify --applications my.patch
  gso-kernel compare results/20261123-142501-my results/20261124-093047-my
  gso-kernel trace --unpatched -o pwru.log && gso diagnose pwru.log
  gso-kernel conformance --seed 7 --count 5000
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    # Administrators' tools (ipvsadm, modprobe) are in sbin, which is not on every user's path.
    os.environ["PATH"] = doctor.SEARCH_PATH
    try:
        status: int = options.run(options)
    except UsageError as error:
        print(f"gso-kernel: {error}", file=sys.stderr)
        return _USAGE
    except TestBedError as error:
        print(f"gso-kernel: {error}\n{error.log_tail()}", file=sys.stderr)
        return Verdict.INCONCLUSIVE.exit_status
    except BrokenPipeError:
        # The reader of our output (head, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("gso-kernel: interrupted; nothing is left running", file=sys.stderr)
        return _INTERRUPTED
    return status


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gso-kernel",
        description="Boot kernels without and with a patch, send real traffic, judge the patch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_verify(commands)
    _add_build(commands)
    _add_bisect(commands)
    _add_cache(commands)
    _add_shell(commands)
    _add_doctor(commands)
    _add_list(commands)
    report_commands.add(commands)
    _add_trace(commands)
    conformance_command.add(commands)
    return parser


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "verify",
        help="say whether a patch fixes the fault",
        description="Exit status: 0 fixed, 1 not fixed (or worse), 2 wrong usage, "
        "125 nothing can be said, which makes git bisect run skip the commit.",
    )
    command.add_argument(
        "patches",
        nargs="*",
        type=Path,
        metavar="PATCH",
        help="unified diff, mbox series, or the name of a patch that comes with this package (see "
        "list); several are applied in order, as one series",
    )
    _add_targets(command)
    _add_selection(command)
    command.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder for the evidence of all runs (default: results)",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write everything here too")
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="longest time for one boot with its traffic (default: 300)",
    )
    command.add_argument(
        "--repeat",
        type=_count,
        default=1,
        metavar="N",
        help="boot and measure so many times, and say which scenarios are flaky",
    )
    command.add_argument(
        "--applications",
        action="store_true",
        help="send the requests of real applications, too: nginx behind IPVS, HTTP/1.1 and HTTP/2 "
        "of 100 bytes to 4 MB; one boot more for each kernel",
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="with --applications: fewer requests, none above 100 kB, a quarter of the time",
    )
    command.add_argument(
        "--keep-vm",
        choices=VARIANTS,
        help="when all is judged, open a shell in the machine of this variant, as the traffic left "
        "it; the machine ends with the shell",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be fetched, built and booted, and do nothing",
    )
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_verify)


def _add_targets(command: argparse.ArgumentParser) -> None:
    """Add the options that say which kernels."""
    kernels = command.add_argument_group("kernels", "several make one run with one report")
    kernels.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="VERSION",
        help="Debian kernel, such as 6.1 (default: newest); may be given several times",
    )
    kernels.add_argument(
        "--source",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="kernel tree, dirty or clean, built small; may be given several times",
    )
    kernels.add_argument(
        "--commit",
        metavar="REV",
        help="that commit of the --source repository; without PATCH it is itself the patch",
    )
    kernels.add_argument(
        "--range",
        metavar="A..B",
        help="each commit of the --source repository in this range as the patch, in order",
    )
    kernels.add_argument(
        "--image",
        nargs=2,
        default=[],
        type=Path,
        metavar=("UNPATCHED", "PATCHED"),
        help="two bzImages built elsewhere, compared as they are, without PATCH",
    )
    kernels.add_argument(
        "--modules",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="lib/modules/RELEASE of the images: once for both, or twice",
    )
    kernels.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FRAGMENT",
        help="configuration of --source kernels beside the standard one: a file, leaks (kmemleak) "
        "or locks (lockdep)",
    )
    kernels.add_argument(
        "--as-is",
        action="store_true",
        help="compare with the tree as it is, even where it has the fix of the fault",
    )


def _add_selection(command: argparse.ArgumentParser) -> None:
    for option, destination, help_text in (
        ("--only", "only", "run these scenarios, of all that there are (default: group default)"),
        ("--except", "without", "leave these scenarios out"),
    ):
        command.add_argument(
            option,
            dest=destination,
            action="append",
            default=[],
            metavar="NAME|GLOB|GROUP",
            help=f"{help_text}; may be repeated; see list",
        )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _verify(options: argparse.Namespace) -> int:
    if options.json:
        _check_writable(options.json)
    wanted = _options(options)
    if options.dry_run:
        print(*outlook(wanted), sep="\n")
        return 0
    with ExitStack() as ends:
        keeper = ends.enter_context(Keeper(options.keep_vm)) if options.keep_vm else None
        screen = TerminalScreen(quiet=options.quiet)
        try:
            report = verify(wanted, screen, keeper=keeper)
        finally:
            screen.close()
        screen.finish(report)
        if options.json:
            options.json.write_text(json.dumps(report.summary(), indent=1) + "\n")
        if keeper:
            keeper.attach()
    return report.verdict.exit_status


def _targets(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "kernels": options.kernel,
        "sources": options.source,
        "fault": not options.as_is,
        "commit": options.commit,
        "range": options.range,
        "images": options.image,
        "modules": options.modules,
        "config": options.config,
    }


def _options(options: argparse.Namespace) -> Options:
    return Options(
        patches=[_find_patch(path) for path in options.patches],
        results=options.results,
        **_targets(options),
        timeout=options.timeout,
        repeat=options.repeat,
        scenarios=select(options.only, options.without),
        applications=_workloads(options),
    )


def _workloads(options: argparse.Namespace) -> Sequence[Workload]:
    if not options.applications:
        if options.quick:
            raise UsageError("--quick says how long --applications take; it is nothing alone")
        return ()
    applications.check_programs()
    return applications.QUICK if options.quick else applications.FULL


def _add_shell(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "shell",
        help="look around in the topology by hand",
        description="Set up client, director and worker with their tunnels, in a VM or in "
        "namespaces of this host, and run commands there; the command send sends traffic. "
        "Exit status: that of the shell; 125 when the topology cannot be had.",
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--topology",
        action="store_true",
        help="no VM: in namespaces of this host, as far as its kernel has what is needed",
    )
    where.add_argument("--kernel", metavar="VERSION", help="Debian kernel (default: newest)")
    where.add_argument("--source", type=Path, metavar="DIR", help="kernel tree, built small")
    variant = command.add_mutually_exclusive_group()
    variant.add_argument(
        "--unpatched", action="store_true", help="the kernel with the fault (the default)"
    )
    variant.add_argument(
        "--patched", action="append", default=[], type=Path, metavar="PATCH", help="with this patch"
    )
    _add_selection(command)
    command.add_argument(
        "--command", metavar="COMMAND", help="run this and end; no terminal needed"
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="longest time for --command in a VM, boot included (default: 300)",
    )
    command.set_defaults(run=_shell)


def _shell(options: argparse.Namespace) -> int:
    scenarios = select(options.only, options.without)
    if options.topology:
        return shell.in_namespaces(scenarios, options.command)
    return shell.in_machine(
        TreeTarget(SourceTree(options.source)) if options.source else DebianTarget(options.kernel),
        series=[Patch.read(_find_patch(path)) for path in options.patched or [Path(FIX)]],
        variant=PATCHED if options.patched else UNPATCHED,
        scenarios=scenarios,
        command=options.command,
        timeout=options.timeout,
    )


def _check_writable(path: Path) -> None:
    """Find out before the long run, not after it."""
    target = path if path.exists() else path.parent
    if path.is_dir() or not path.parent.is_dir() or not os.access(target, os.W_OK):
        raise UsageError(f"cannot write {path}")


def _find_patch(path: Path) -> Path:
    """Return the path itself, or that of the package's patch of this name."""
    named = patches_folder() / f"{path.name.removesuffix('.patch')}.patch"
    return named if not path.exists() and path.name == str(path) and named.exists() else path


def _add_build(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("build", help="build what verify would boot, and say where it is")
    command.add_argument("patches", nargs="*", type=Path, metavar="PATCH", help="as in verify")
    _add_targets(command)
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> int:
    wanted = Options(
        patches=[_find_patch(path) for path in options.patches],
        results=Path(),
        **_targets(options),
    )
    screen = TerminalScreen(quiet=options.quiet)
    folder = cache_folder() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, variant, kernel in build(wanted, folder, screen):
        print(f"{name} {variant}: {kernel.image}", *kernel.modules)
    return 0


def _add_bisect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "bisect",
        help="find the commit that broke a scenario, or that fixed it",
        description="Runs git bisect in a clone of its own. What was tested once is remembered: "
        "the same command goes on where it was interrupted. Exit status: 0 found, 125 nothing can "
        "be said.",
    )
    command.add_argument("good", metavar="GOOD", help="commit where the scenarios pass")
    command.add_argument("bad", metavar="BAD", help="commit where one of them fails")
    command.add_argument(
        "--source", type=Path, required=True, metavar="DIR", help="git repository of the kernel"
    )
    command.add_argument(
        "--scenario",
        action="append",
        required=True,
        choices=[scenario.name for scenario in SCENARIOS],
        metavar="NAME",
        help="what must pass (see list); may be given several times",
    )
    command.add_argument(
        "--find-fix", action="store_true", help="GOOD is the newer: find the first good commit"
    )
    command.add_argument(
        "--kernel",
        metavar="VERSION",
        help="build only the module whose folder the repository holds, for this Debian kernel",
    )
    command.add_argument(
        "--path", action="append", default=[], help="look only at commits that touch this"
    )
    command.add_argument("--config", action="append", default=[], metavar="FRAGMENT")
    command.add_argument("--timeout", type=_seconds, default=300.0, metavar="SECONDS")
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_bisect)
    # What git bisect run calls; not for people.
    step = commands.add_parser("bisect-step")
    step.add_argument("home", type=Path)
    step.set_defaults(run=_bisect_step)


def _bisect(options: argparse.Namespace) -> int:
    subject = bisect.Subject(
        options.source,
        [scenario for scenario in SCENARIOS if scenario.name in options.scenario],
        options.kernel,
        options.path,
        options.config,
        options.timeout,
    )
    screen = TerminalScreen(quiet=options.quiet)
    found = bisect.bisect(subject, options.good, options.bad, screen, find_fix=options.find_fix)
    repository = Repository(options.source)
    kind = "good" if options.find_fix else "bad"
    if len(found.commits) > 1:
        print(f"the first {kind} commit is one of these; the others could not be tested:")
    else:
        print(f"the first {kind} commit is")
    for commit in found.commits:
        print(repository.git("show", "--stat", "--format=%H%n  %an, %ad%n  %s%n", commit).rstrip())
    return 0 if len(found.commits) == 1 else Verdict.INCONCLUSIVE.exit_status


def _bisect_step(options: argparse.Namespace) -> int:
    return bisect.step(options.home, SCENARIOS, TerminalScreen())


def _add_cache(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("cache", help="show or clear what was downloaded and built")
    command.add_argument("action", nargs="?", choices=["show", "clear"], default="show")
    command.add_argument(
        "--older-than",
        type=_seconds,
        default=0.0,
        metavar="DAYS",
        help="only what was not made or changed for so many days",
    )
    command.set_defaults(run=_cache)


def _cache(options: argparse.Namespace) -> int:
    if options.action == "clear":
        shown, busy = cache.clear(options.older_than)
        for entry in busy:
            print(f"in use, kept: {entry.path}", file=sys.stderr)
    else:
        shown = [entry for entry in cache.entries() if entry.days >= options.older_than]
    for entry in shown:
        print(f"{entry.size / 1e6:10,.1f} MB  {entry.days:5.1f} days  {entry.path}")
    total = sum(entry.size for entry in shown) / 1e6
    print(f"{total:10,.1f} MB  {'deleted' if options.action == 'clear' else 'in all'}")
    return 0


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "doctor",
        help="say what is missing on this machine and how to get it",
        description="Exit status: 0 all is there, 1 something is missing.",
    )
    command.add_argument("--install", action="store_true", help="get it from Debian, with sudo")
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
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            mark = "ok" if finding.present else "MISSING" if finding.required else "no"
            print(f"{mark:8}{finding.name:20} {finding.detail}")
        packages = sorted({f.package for f in findings if not f.present and f.package})
        if packages:
            print(
                f"\nto get what is missing: gso-kernel doctor --install, or\n"
                f"  apt-get install {' '.join(packages)}"
            )
    return int(any(f.required and not f.present for f in findings))


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("list", help="show the patches, scenarios and traffic")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_list)


def _list(options: argparse.Namespace) -> int:
    names = sorted(path.name for path in patches_folder().glob("*.patch"))
    if options.json:
        found = {
            "patches": names,
            "scenarios": [asdict(scenario) for scenario in SCENARIOS],
            "traffic": [asdict(traffic) for traffic in TRAFFIC],
        }
        print(json.dumps(found, indent=1))
        return 0
    print("patches:", *names, sep="\n  ")
    print(
        "scenarios (* in the group default):",
        *(f"{'*' if s.default else ' '} {s.name:42} {s.kind:20} {s.role}" for s in SCENARIOS),
        sep="\n  ",
    )
    print(
        "traffic:",
        *(f"{t.name:28} {t.upload} bytes up, {t.download} down" for t in TRAFFIC),
        sep="\n  ",
    )
    return 0


def _add_trace(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "trace",
        help="record a log of packets in a VM, for gso diagnose",
        description="Boot a kernel, send the scenarios' traffic through it, and write what the "
        "probes saw as a log that gso diagnose reads.",
    )
    command.add_argument(
        "-p",
        "--patch",
        dest="patches",
        action="append",
        default=[],
        type=Path,
        metavar="PATCH",
        help="apply this patch, or the one of this name that comes with the package, first",
    )
    command.add_argument(
        "--unpatched",
        action="store_true",
        help="take the known fix of the fault out of the kernel (before patches are applied)",
    )
    kernel = command.add_mutually_exclusive_group()
    kernel.add_argument("--kernel", metavar="VERSION", help="Debian kernel to take, such as 6.1")
    kernel.add_argument("--source", type=Path, metavar="DIR", help="take this kernel tree instead")
    command.add_argument(
        "--scenario",
        dest="scenarios",
        action="append",
        default=[],
        metavar="NAME",
        help="send the traffic of this scenario, glob or group of gso-kernel list; may be repeated "
        "(default: the group default)",
    )
    command.add_argument("--format", default="pwru", choices=trace.FORMATS)
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    command.add_argument("--timeout", type=_seconds, default=300.0, metavar="SECONDS")
    command.add_argument("--quiet", action="store_true", help="no progress")
    command.set_defaults(run=_trace)


def _trace(options: argparse.Namespace) -> int:
    _check_writable(options.output)
    screen = TerminalScreen(quiet=options.quiet)
    recorded = trace.record(
        trace.Options(
            patches=[_find_patch(path) for path in options.patches],
            scenarios=options.scenarios,
            kernel=options.kernel,
            source=options.source,
            unpatched=options.unpatched,
            timeout=options.timeout,
        ),
        screen,
    )
    screen.stage(f"{trace.write(recorded, options.format, options.output)} lines written")
    return 0
