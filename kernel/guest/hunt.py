"""Hunt: random stacks, each without segmentation and with it, until the time is up.

Each stack is measured in a child of this process, in namespaces of its own, so that whatever it
leaves behind or waits for ends with it. What is found is made smaller at once, here: a machine
takes longer to start than a hundred stacks.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count, groupby
from pathlib import Path
from typing import Any

from . import datagrams, pppoe, push, relay
from .capture import Tap
from .complaints import RETRANSMITS, complaints, hard, whole, words
from .counters import counted, grown, resent_chunks
from .datagrams import DatagramServer
from .entries import hits
from .netns import SetupError, device_counters, inside, ip_batch, run
from .probes import TRACEFS, Probes
from .stacks import (
    CLIENT,
    DIRECTOR,
    OFFLOADS,
    RESTORED,
    SERVICE_PORT,
    WHOLE,
    WORKER,
    Rules,
    Stack,
    Way,
    as_data,
    contains,
    draw,
    needs,
    similar,
    simpler,
    way,
)
from .traffic import Server, exchange

MACHINES = (CLIENT, DIRECTOR, WORKER)
EGRESS, ARRIVAL = "up0", "dn0"
_EXCHANGE_SECONDS, _STACK_SECONDS = 4.0, 50.0
_LONGEST_REASON = 400
_SENDER_IS_TOLD = f"OSError: [Errno {errno.EIO}]"  # UDP_SEGMENT through IPsec
MANY_RETRANSMITS = 10
"""Segments sent again, of about 50, that a busy machine does not explain."""
_MOST_TRIALS = 30  # stacks that are tried to make one smaller
_STREAM = {"upload": 60_000, "download": 64, "datagram": 0}
TRAFFIC: dict[str, dict[str, Any]] = {
    "tcp": {"name": "tcp", **_STREAM},
    "udp": {"name": "udp", "upload": 24_000, "download": 1_200, "datagram": 1_200},
    "sctp": {"name": "sctp", **_STREAM},
    "mptcp": {"name": "mptcp", **_STREAM},
    # The window has to grow before a super-packet is that large.
    "big tcp": {"name": "big tcp", **_STREAM, "upload": 600_000},
}
MSS = 1200
# Nothing is left to be segmented: nothing is made whole, and nothing merged.
WITHOUT = "tso off gso off gro off"
# TCP makes super-packets for a route that encapsulates even where the device has gso off.
MOST_SEGMENTS = {"without": 1, "with": 65535}
"""Segments that one packet may be cut into (gso_max_segs) without segmentation, and with it."""

_SEGMENTER = "__skb_gso_segment"
"""The probe that every packet meets that has to be cut."""
_SETTING = "sysctl -qw "


def _push(path: str, hook: str, mode: str, header: str) -> None:
    push.load(path, hook, int(mode), bytes.fromhex(header))


OWN: dict[str, Callable[..., None]] = {
    "push": _push,
    "pppoe": pppoe.start,
    "relay": relay.start,
}
"""What commands of rules may begin with that is no program of the machine's, but is here."""
_SIOCETHTOOL = 0x8946
_RTM_SETLINK, _IFLA_GSO_MAX_SEGS = 19, 40
_ETHTOOL = {"tso": 0x1F, "gso": 0x24, "gro": 0x2C}  # ETHTOOL_STSO, _SGSO, _SGRO
# Else each namespace has a device of each tunnel's module from the beginning.
PROGRAMS = Path("/run/bpf")
"""Where BPF programs are pinned."""
_FALLBACK_DEVICES = Path("/proc/sys/net/core/fb_tunnels_only_for_init_net")
_DROP = re.compile(r"kfree_skb: .*location=(\S+?)(?:\+\S+)? reason: (\w+)")
# It frees with kfree_skb what it has segmented: that is no loss.
_FREES_WHAT_IS_SEGMENTED = "xfrm_output_gso"
_WARNING = re.compile(r"WARNING: |BUG: |hw csum failure|bad gso")


class Hunt:
    """One boot of a hunt. ``plan``: rules, seed, the first stack, how far to the next one."""

    def __init__(self, plan: dict[str, Any], progress: Callable[..., None], left: Path) -> None:
        self.plan, self.progress, self.left = plan, progress, left
        self.rules: Rules = plan["rules"]
        self.wire = left / "wire.frames"
        self.end = time.monotonic() + plan["seconds"]
        self.loaded: set[str] = set()
        self.findings: list[tuple[Stack, frozenset[str]]] = [
            (Stack.of(one["stack"]), frozenset(one["complaints"])) for one in plan["known"]
        ]

    def perform(self) -> dict[str, Any]:
        """Hunt until the time is up, or all stacks are done; return how many were."""
        Probes()
        _FALLBACK_DEVICES.write_text("2")
        PROGRAMS.mkdir(exist_ok=True)
        run(["mount", "-t", "bpf", "bpf", str(PROGRAMS)])
        done = 0
        numbers = self.plan.get("stacks") or count(self.plan["first"], self.plan["step"])
        for number in numbers:
            if time.monotonic() > self.end:
                break
            stack = draw(self.rules, f"{self.plan['seed']}/{number}")
            self.progress(stage="stack", number=number, text=str(stack))
            self.progress(stage="done", number=number, **self.judged(stack, number))
            done += 1
        return {"stacks": done}

    def judged(self, stack: Stack, number: int) -> dict[str, Any]:
        """Measure a stack; make what is found smaller, unless the same was found before."""
        measured = self.measured(stack, tuple(OFFLOADS))
        stack = replace(stack, offload=measured.get("offload", stack.offload))
        found = suspicious(measured)
        if not found:
            return {"outcome": outcome(measured), "why": _why(measured)}
        if known := self.known(stack, found):
            return {"outcome": "finding", "why": "", "same_as": str(known)}
        self.keep_wire(number)
        smallest, found, evidence = self.smallest(stack, found, measured, number)
        if known := self.known(smallest, found):
            return {"outcome": "finding", "why": "", "same_as": str(known)}
        self.findings.append((smallest, found))
        (self.left / f"finding-{number}.trace").write_text(evidence.pop("trace", ""))
        told = {"stack": as_data(smallest), "complaints": sorted(found), "measured": evidence}
        (self.left / f"finding-{number}.json").write_text(json.dumps(told))
        return {"outcome": "finding", "why": evidence["words"], "text": str(smallest)}

    def known(self, stack: Stack, found: frozenset[str]) -> Stack | None:
        """Return an earlier finding that explains this one."""
        for other, complained in self.findings:
            same = contains(stack, other) or (needs(stack, other) and similar(stack, other))
            if same and complained & found:
                return other
        return None

    def smallest(
        self, stack: Stack, found: frozenset[str], measured: dict[str, Any], number: int
    ) -> tuple[Stack, frozenset[str], dict[str, Any]]:
        """Take away from a stack what can go while it is complained of the same."""
        trials = 0
        smaller = True
        while smaller:
            smaller = False
            for candidate in simpler(stack, self.rules):
                trials += 1
                if trials > _MOST_TRIALS:
                    return stack, found, measured
                self.progress(stage="smaller", text=str(candidate))
                tried = self.measured(candidate)
                if complained := suspicious(tried) & found:
                    stack, found, measured, smaller = candidate, complained, tried, True
                    self.keep_wire(number)
                    break
        return stack, found, measured

    def keep_wire(self, number: int) -> None:
        """Keep the frames of the last measurement for this finding."""
        with suppress(FileNotFoundError):
            self.wire.replace(self.left / f"finding-{number}.frames")

    def measured(self, stack: Stack, offloads: tuple[str, ...] = ()) -> dict[str, Any]:
        """Measure a stack in a child; a child that does not end says nothing.

        ``offloads``: measure with these, too, until there is something to complain of.
        """
        there = way(stack, self.rules)
        self.load(there.modules)
        try:
            run(["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in MACHINES))
            return _in_child(lambda: _measured(stack, there, self.wire, offloads))
        finally:
            run(
                ["ip", "-force", "-batch", "-"], "".join(f"netns del {name}\n" for name in MACHINES)
            )

    def load(self, modules: tuple[str, ...]) -> None:
        """Load what the kernel cannot load itself in a machine whose modules are elsewhere."""
        if missing := set(modules) - self.loaded:
            subprocess.run(["modprobe", "--all", "--quiet", *sorted(missing)], check=False)
            self.loaded |= missing


def outcome(measured: dict[str, Any]) -> str:
    """Return what became of a stack that is not complained of."""
    if "refused" in measured:
        return "refused"
    if not all(map(whole, measured["controls"])):
        return "illegal"
    # Traffic that was whole, or cut before it met the tunnel, says nothing of segmentation.
    return "clean" if any(one["segmented"] for one in measured["runs"]) else "not exercised"


def _why(measured: dict[str, Any]) -> str:
    """Return why nothing was judged, if so."""
    broken = (one["error"] for one in measured.get("controls", ()) if not whole(one))
    return str(measured.get("refused") or next(broken, ""))[:_LONGEST_REASON]


def suspicious(measured: dict[str, Any]) -> frozenset[str]:
    """Return what each run complains of and no control, by name."""
    if "refused" in measured or not all(map(whole, measured["controls"])):
        return frozenset()
    return frozenset.intersection(*(_grave(measured["controls"], one) for one in measured["runs"]))


def _grave(controls: list[dict[str, Any]], run: dict[str, Any]) -> frozenset[str]:
    """Return what a run complains of: few retransmits may come of a busy machine, many do not.

    A sender who is told that its super-packet cannot be sent loses nothing without a word.
    """
    if (run["error"] or "").startswith(_SENDER_IS_TOLD):
        return frozenset()
    found = complaints(controls, run)
    many = found.get(RETRANSMITS, 0) >= MANY_RETRANSMITS
    return hard(found) | (frozenset({RETRANSMITS}) if many else frozenset())


def _in_child(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            result = measure()
        except (SetupError, OSError) as error:
            result = {"refused": str(error).replace("\n", "; ")}
        with os.fdopen(writer, "w") as sink:
            sink.write(json.dumps(result))
        os._exit(0)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as source:
            text = _read(source.fileno())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return json.loads(text) if text else {"refused": "the measurement did not end"}


def _read(descriptor: int) -> bytes:
    data, end = b"", time.monotonic() + _STACK_SECONDS
    while select.select([descriptor], [], [], max(0, end - time.monotonic()))[0]:
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return data
        data += piece
    return b""


def _measured(
    stack: Stack, there: Way, wire: Path, offloads: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Build a stack and send through it, with its own offload and then with these.

    To build it takes longer than to send through it. Returned is the first measurement with
    something to complain of, which names its ``offload``; else the first in which packets were
    segmented. ``wire`` gets the frames that arrive in the second run with segmentation.
    """
    build(there)
    scenario = _scenario(stack, there)
    server = (
        DatagramServer([scenario])
        if stack.traffic == "udp"
        else Server([scenario], _EXCHANGE_SECONDS)
    )
    log = Log()
    first = _compared(stack, scenario, server, log, wire)
    others = () if suspicious(first) or not all(map(whole, first["controls"])) else offloads
    for offload in others:
        if offload != stack.offload:
            _set_offload(offload)
            other = _compared(replace(stack, offload=offload), scenario, server, log, wire)
            if suspicious(other):
                return {**other, "offload": offload}
            if outcome(first) == "not exercised" and outcome(other) == "clean":
                first = other
    return first


def _set_offload(offload: str) -> None:
    with inside(DIRECTOR):
        run(["ethtool", "-K", EGRESS, *RESTORED.split()])
        run(["ethtool", "-K", EGRESS, *OFFLOADS[offload].split()])


def _compared(
    stack: Stack,
    scenario: dict[str, Any],
    server: Server | DatagramServer,
    log: Log,
    wire: Path,
) -> dict[str, Any]:
    """Send without segmentation and with it; twice where there is something to complain of."""

    def sent() -> dict[str, Any]:
        return _run(stack, scenario, server, log, segmented=True)

    def control() -> dict[str, Any]:
        with unsegmented(stack):
            return _run(stack, scenario, server, log, segmented=False)

    controls = [control()]
    if not whole(controls[0]):
        return {"controls": controls, "runs": []}
    runs = [sent()]
    if _grave(controls, runs[0]):
        controls.append(control())
        with _captured(wire):
            runs.append(sent())
    return {
        "controls": controls,
        "runs": runs,
        "words": words(complaints(controls, runs[-1]), runs[-1]),
        "trace": (TRACEFS / "trace").read_text() if len(runs) > 1 else "",
    }


@contextmanager
def _captured(wire: Path) -> Iterator[None]:
    """Keep what arrives at the worker while the body runs, as long as the ring has room."""
    tap = Tap(WORKER, ARRIVAL)
    yield
    with suppress(OverflowError):
        tap.drain(wire, MSS)
    tap.close()


def build(there: Way) -> None:
    """Run the commands in few processes: the cables, then all from the far end on."""
    parts = ((there.cables, MACHINES), (there.lines, tuple(reversed(MACHINES))))
    for part, machines in parts:
        for machine in machines:
            _build([command for where, command in part if where == machine], machine)


def _build(commands: list[str], machine: str) -> None:
    for tool, some in groupby(commands, _tool):
        batch = list(some)
        if tool == "ip":
            ip_batch(machine, [command.removeprefix("ip ") for command in batch])
        elif tool == "tc":
            text = "".join(f"{command.removeprefix('tc ')}\n" for command in batch)
            run(["tc", "-n", machine, "-batch", "-"], text)
        else:
            with inside(machine):
                for command in batch:
                    _single(command)


def _tool(command: str) -> str:
    word, _, rest = command.partition(" ")
    return word if word in ("ip", "tc") and not rest.startswith("-") else "other"


def _single(command: str) -> None:
    word, *words = command.split()
    if word in OWN:
        OWN[word](*words)
    elif command.startswith(_SETTING):
        setting, value = command.removeprefix(_SETTING).split("=")
        Path("/proc/sys", setting.replace(".", "/")).write_text(value)
    else:
        run([word, *words])


def _scenario(stack: Stack, there: Way) -> dict[str, Any]:
    return {
        "name": "hunt",
        "inner": stack.inner,
        "source": there.source,
        "target": there.target,
        "listens": there.listens,
        "protocol": stack.traffic,
        "service_port": SERVICE_PORT,
        "from_director": stack.local,
        "mss": MSS,
        "traffic": [TRAFFIC[stack.traffic]],
    }


def _run(
    stack: Stack,
    scenario: dict[str, Any],
    server: Server | DatagramServer,
    log: Log,
    *,
    segmented: bool,
) -> dict[str, Any]:
    (traffic,) = scenario["traffic"]
    traffic = {**traffic, "at_once": None if segmented else 1}
    Probes.clear()
    log.new()
    sender = DIRECTOR if stack.local else CLIENT
    chunks = resent_chunks(sender)
    before, entered = counted(DIRECTOR, EGRESS, WORKER), hits().get(_SEGMENTER, 0)
    if isinstance(server, Server):
        result = exchange(scenario, traffic, _EXCHANGE_SECONDS)
        # Where nothing arrives without segmentation nothing more will be sent.
        if segmented or result["error"] is None:
            server.wait_idle()
    else:
        result = datagrams.exchange(scenario, traffic)
    after = counted(DIRECTOR, EGRESS, WORKER)
    result["retransmits"] += resent_chunks(sender) - chunks
    trace = (TRACEFS / "trace").read_text()
    drops = _drops(trace)
    drops["warnings of the kernel"] = len([1 for line in log.new() if _WARNING.search(line)])
    found = {"counters": grown(before, after), "drops": drops}
    # The client's own cuts are no sign of anything; the trace has none but the director's.
    cut = hits().get(_SEGMENTER, 0) - entered if stack.arrival == WHOLE else _cuts(trace)
    return {**result, **found, "segmented": cut}


@contextmanager
def unsegmented(stack: Stack) -> Iterator[None]:
    """Switch segmentation off wherever packets are made or merged, for the body's time."""
    for machine, device in _senders():
        _features(machine, device, WITHOUT)
        _allow_segments(machine, device, MOST_SEGMENTS["without"])
    yield
    for machine, device in _senders():
        _features(machine, device, with_segmentation(device, stack))
        _allow_segments(machine, device, MOST_SEGMENTS["with"])


def with_segmentation(device: str, stack: Stack) -> str:
    """Return the features of a sender's device where it may have super-packets."""
    if device == EGRESS:
        return "gso on tso on" if stack.offload == "tunnel features off" else "gso on"
    if stack.arrival != WHOLE and device in ("c0", "d0"):
        return "gso on tso off" if device == "c0" else "gso on tso on gro on"
    return "gso on tso on gro on" if device.startswith("t") else "gso on tso on"


def _senders() -> list[tuple[str, str]]:
    return [
        (machine, device)
        for machine in (CLIENT, DIRECTOR)
        for device in device_counters(machine)
        if device in ("c0", "d0", EGRESS) or re.fullmatch(r"t\d+", device)
    ]


def _features(machine: str, device: str, features: str) -> None:
    """Switch features as ethtool does, which is slow to start."""
    words = features.split()
    with inside(machine), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name, state in zip(words[::2], words[1::2], strict=True):
            value = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL[name], state == "on"))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
            # Not every device has every feature.
            with suppress(OSError):
                fcntl.ioctl(control, _SIOCETHTOOL, request.ljust(40, b"\0"))


def _allow_segments(machine: str, device: str, most: int) -> None:
    """Set a device's gso_max_segs as ``ip link`` does, which is slow to start."""
    with inside(machine), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as control:
        control.send(set_link(socket.if_nametoindex(device), _IFLA_GSO_MAX_SEGS, most))


def set_link(index: int, attribute: int, value: int) -> bytes:
    """Return the message of rtnetlink that sets an attribute of 32 bits of a device."""
    message = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0)  # struct ifinfomsg
    message += struct.pack("=HHI", 8, attribute, value)
    return struct.pack("=IHHII", 16 + len(message), _RTM_SETLINK, 1, 0, 0) + message


class Log:
    """The kernel's log, from now on."""

    def __init__(self) -> None:
        self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._file, 0, os.SEEK_END)

    def new(self) -> list[str]:
        """Return the lines since the last call."""
        lines = []
        with suppress(BlockingIOError):
            while True:
                lines.append(os.read(self._file, 8192).decode(errors="replace"))
        return lines


def _cuts(trace: str) -> int:
    return len(re.findall(rf" {_SEGMENTER}: ", trace))


def _drops(trace: str) -> dict[str, int]:
    """Count the drops of what could not be segmented, by place and reason."""
    found: Counter[str] = Counter()
    for place, reason in _DROP.findall(trace):
        if place.startswith(_FREES_WHAT_IS_SEGMENTED):
            continue
        if "validate_xmit_skb" in place or "gso" in place or reason == "SKB_BAD_GSO":
            found[f"drops in {place}, {reason}"] += 1
    return dict(found)


def perform(left: Path, plan: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """Hunt as the plan says."""
    return Hunt(plan, progress, left).perform()
