"""A shell in the topology, for looking around by hand, in the VM or in namespaces of the host."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
import termios
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from . import datagrams, topology
from .datagrams import DatagramServer
from .netns import SetupError
from .traffic import Server, exchange

_EXCHANGE_SECONDS = 8.0
# Files for the host: what the command printed, and the status that an attended shell ended with.
OUTPUT, STATUS = "output", "status"
_NO_TOPOLOGY = 125
_HOME, _SCENARIOS = Path("/run/gso-shell"), "scenarios.json"


def perform(plan: dict[str, Any], left: Path | None = None, *, home: Path = _HOME) -> int:
    """Build the topology, run the user's command or shell in it, and return its exit status.

    In a VM that is to have a shell later, only build the topology. ``left``: where a command's
    output goes that cannot be printed. ``home``: has the guest's files, and gets more.
    """
    wanted = plan["shell"]
    try:
        _, refused = topology.build(plan["scenarios"], strict=False)
    except (SetupError, OSError) as error:
        print(f"gso-kernel: the topology cannot be set up: {error}", file=sys.stderr)
        return _NO_TOPOLOGY
    scenarios = [s for s in plan["scenarios"] if s["name"] not in refused]
    _tell(refused)
    if not scenarios:
        print("gso-kernel: no scenario could be set up on this kernel", file=sys.stderr)
        return _NO_TOPOLOGY
    Server([s for s in scenarios if not s["traffic"][0]["datagram"]], _EXCHANGE_SECONDS)
    DatagramServer([s for s in scenarios if s["traffic"][0]["datagram"]])
    offer(scenarios, home)
    if "console" in plan:
        return 0
    if not wanted["command"]:
        return _interact(home)
    with _output(left) as output:
        command = ["sh", "-c", wanted["command"]]
        return subprocess.call(command, env=_environment(home), stdout=output, stderr=output)


def move_in(given: Path) -> None:
    """Copy the guest to where more can be put beside it."""
    shutil.copytree(given / "guest", _HOME / "guest")


def offer(scenarios: list[dict[str, Any]], home: Path = _HOME) -> None:
    """Make the command ``send`` for these scenarios, which are set up."""
    (home / _SCENARIOS).write_text(json.dumps(scenarios))
    (home / "bin").mkdir()
    command = home / "bin" / "send"
    python = [sys.executable, "-IB", str(home / "guest"), str(home), "send"]
    command.write_text(f'#!/bin/sh\nexec {shlex.join(python)} "$@"\n')
    command.chmod(0o755)


def attend(folder: Path, plan: dict[str, Any]) -> None:
    """Give the user a shell on the console, as soon as Enter is pressed there."""
    console = plan["console"]
    _take_console(Path(console["device"]), console["rows"], console["columns"])
    os.environ["TERM"] = console["term"]
    sys.stdin.readline()
    status = _interact(_HOME)
    if "shell" in plan:
        (folder / STATUS).write_text(str(status))


def _interact(home: Path) -> int:
    print(_welcome(_offered(home)), flush=True)
    command = ["bash", "--norc", "--noprofile", "-i"]
    return subprocess.call(command, env=_environment(home))


def _offered(home: Path) -> list[dict[str, Any]]:
    scenarios: list[dict[str, Any]] = json.loads((home / _SCENARIOS).read_text())
    return scenarios


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{home}/bin:{os.environ['PATH']}", "PS1": "gso# "}


def _tell(refused: dict[str, str]) -> None:
    """Say what this kernel lacks, each reason once."""
    for why in dict.fromkeys(refused.values()):
        names = ", ".join(name for name, reason in refused.items() if reason == why)
        print(f"gso-kernel: not set up: {names}\n  {why}", file=sys.stderr)


def _take_console(device: Path, rows: int, columns: int) -> None:
    """Make the console this process's terminal, so that Ctrl-C and job control work."""
    os.setsid()
    console = os.open(device, os.O_RDWR)
    fcntl.ioctl(console, termios.TIOCSCTTY, 0)
    fcntl.ioctl(console, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    for descriptor in (0, 1, 2):
        os.dup2(console, descriptor)


def _output(left: Path | None) -> AbstractContextManager[IO[bytes] | None]:
    """Return where the command's output goes: from a VM it has to go through a file."""
    return (left / OUTPUT).open("wb") if left else nullcontext()


def _welcome(scenarios: list[dict[str, Any]]) -> str:
    example = scenarios[0]
    return (
        f"\nset up in the namespaces client, director and worker, scenarios: {len(scenarios)}\n"
        f"  send                        lists them\n"
        f"  send {example['name']} {example['traffic'][0]['name']}\n"
        f"  ip netns exec director ipvsadm -Ln --stats\n"
        f"  ip netns exec director tcpdump -ni up0 -c 10 &\n"
        f"  ip -n director -s link show up0\n"
        "exit ends it, and nothing stays.\n"
    )


def send(home: Path, arguments: list[str]) -> int:
    """Send one traffic through one scenario, and print what came of it."""
    scenarios = {scenario["name"]: scenario for scenario in _offered(home)}
    if not arguments:
        for name, scenario in scenarios.items():
            print(f"{name:46} {' '.join(t['name'] for t in scenario['traffic'])}")
        return 0
    if arguments[0] not in scenarios:
        print(f"send: no scenario {arguments[0]!r} here; send alone lists them", file=sys.stderr)
        return 2
    scenario = scenarios[arguments[0]]
    kinds = {t["name"]: t for t in scenario["traffic"]}
    wanted = arguments[1:] or list(kinds)
    if unknown := [name for name in wanted if name not in kinds]:
        print(f"send: {scenario['name']} has {', '.join(kinds)}, not {unknown[0]}", file=sys.stderr)
        return 2
    return max(_sent(scenario, kinds[name]) for name in wanted)


def _sent(scenario: dict[str, Any], traffic: dict[str, Any]) -> int:
    try:
        for change in scenario["during"]:
            topology.change(change["machine"], change["do"])
        if traffic["datagram"]:
            result = datagrams.exchange(scenario, traffic)
        else:
            result = exchange(scenario, traffic, _EXCHANGE_SECONDS)
    except SetupError as error:
        print(f"send: {error}", file=sys.stderr)
        return 1
    finally:
        for change in scenario["during"]:
            topology.change(change["machine"], change["undo"])
    good = result["upload_intact"] and result["download_intact"]
    state = "intact" if good else result["error"] or "damaged"
    retransmits = f"{result['retransmits']} retransmits"
    print(f"{traffic['name']}: {state}, {result['seconds']:.3f} s, {retransmits}", flush=True)
    return 0 if good else 1
