"""A stack that is built: sends through it without segmentation and with it, and counts.

To build it takes longer than to send through it, so all offloads are tried on one.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from . import datagrams, espinudp, pppoe, programs, relay, sizes
from .capture import Tap
from .complaints import complaints, whole, words
from .counters import Counters, grown, resent_chunks
from .datagrams import DatagramServer
from .entries import hits
from .features import Switches
from .judge import grave, outcome, suspicious
from .netns import inside, ip_batch, run
from .probes import TRACEFS, Probes
from .stacks import (
    CLIENT,
    DIRECTOR,
    OFFLOADS,
    RESTORED,
    SERVICE_PORT,
    WHOLE,
    WORKER,
    Stack,
    Way,
)
from .traffic import Server, exchange

MACHINES = (CLIENT, DIRECTOR, WORKER)
EGRESS, ARRIVAL = "up0", "dn0"
# A control has the time of a SYN that is sent again; how long it took to build the stack says how
# much more a busy machine needs. A run has ten times that of its control, within limits.
_CONTROL_SECONDS, _MOST_CONTROL_SECONDS = 2.5, 8.0
_PATIENCE, _LEAST_SECONDS, _MOST_SECONDS = 10, 1.5, 4.0
_STREAM = {"upload": 60_000, "download": 64, "datagram": 0}
TRAFFIC: dict[str, dict[str, Any]] = {
    "tcp": {"name": "tcp", **_STREAM},
    "udp": {"name": "udp", "upload": 24_000, "download": 1_200, "datagram": 1_200},
    "sctp": {"name": "sctp", **_STREAM},
    "mptcp": {"name": "mptcp", **_STREAM},
    # The window has to grow before a super-packet is that large.
    "big tcp": {"name": "big tcp", **_STREAM, "upload": 400_000},
}
MSS = 1200
# Nothing is left to be segmented: nothing is made whole, and nothing merged.
WITHOUT = "tso off gso off gro off"
# TCP makes super-packets for a route that encapsulates even where the device has gso off.
MOST_SEGMENTS = {"without": 1, "with": 65535}
"""Segments that one packet may be cut into (gso_max_segs) without segmentation, and with it."""

_SEGMENTER = "__skb_gso_segment"
"""The probe that every packet meets that has to be cut."""
_SETTING, _FEATURES = "sysctl -qw ", "ethtool -K "


OWN: dict[str, Callable[..., None]] = {
    "push": programs.pin,
    "espinudp": espinudp.start,
    "pppoe": pppoe.start,
    "relay": relay.start,
    "sizes": sizes.start,
}
"""What commands of rules may begin with that is no program of the machine's, but is here."""
_DROP = re.compile(r"kfree_skb: .*location=([^\s+=]+)(?:\+[^\s+]+)? reason: (\w+)")
# It frees with kfree_skb what it has segmented: that is no loss.
_FREES_WHAT_IS_SEGMENTED = "xfrm_output_gso"
_WARNING = re.compile(r"WARNING: |BUG: |hw csum failure|bad gso")


class Bench:
    """A stack in the namespaces of this process. ``wire`` gets frames of what is complained of."""

    def __init__(self, stack: Stack, there: Way, wire: Path) -> None:
        begun = time.monotonic()
        build(there)
        built = time.monotonic() - begun
        self._seconds = min(max(_CONTROL_SECONDS, built), _MOST_CONTROL_SECONDS)
        self.stack, self._wire = stack, wire
        self._scenario = _scenario(stack, there)
        self._server = (
            DatagramServer([self._scenario])
            if stack.traffic == "udp"
            else Server([self._scenario], _MOST_CONTROL_SECONDS)
        )
        self._log = Log()
        self._counters = Counters(DIRECTOR, EGRESS, WORKER)
        self._switches = {machine: Switches(machine) for machine in (CLIENT, DIRECTOR)}
        self._sender = DIRECTOR if stack.local else CLIENT

    def measured(self, offloads: tuple[str, ...] = ()) -> dict[str, Any]:
        """Send without segmentation, with the stack's own offload, and then with these.

        Returned is the first measurement with something to complain of, which names its
        ``offload``; else the first in which packets were segmented.
        """
        control = self.without()
        if not whole(control):
            return {"controls": [control], "runs": []}
        first: dict[str, Any] = {}
        for offload in dict.fromkeys((self.stack.offload, *offloads)):
            self.use(offload)
            found = self.compared(control)
            if suspicious(found):
                return {**found, "offload": offload}
            if not first or (outcome(first), outcome(found)) == ("not exercised", "clean"):
                first = found
        return first

    def compared(self, control: dict[str, Any]) -> dict[str, Any]:
        """Send with segmentation; both ways once more where there is something to complain of.

        The control may be that of another offload, the second one is of this.
        """
        most = max(_MOST_SECONDS, self._seconds)
        seconds = min(max(_LEAST_SECONDS, _PATIENCE * control["seconds"]), most)
        controls, runs = [control], [self._run(seconds, segmented=True)]
        if grave(controls, runs[0]):
            controls.append(self.without())
            with self._captured():
                runs.append(self._run(seconds, segmented=True))
        return {
            "controls": controls,
            "runs": runs,
            "words": words(complaints(controls, runs[-1]), runs[-1]),
            "trace": (TRACEFS / "trace").read_text() if len(runs) > 1 else "",
        }

    def use(self, offload: str) -> None:
        """Change the director's end of the far cable, and nothing else, from what it was made."""
        if offload != self.stack.offload:
            self.stack = replace(self.stack, offload=offload)
            self._switches[DIRECTOR].set(EGRESS, RESTORED)
            self._switches[DIRECTOR].set(EGRESS, OFFLOADS[offload])

    def without(self) -> dict[str, Any]:
        """Send without segmentation."""
        with self._unsegmented():
            return self._run(self._seconds, segmented=False)

    @contextmanager
    def _unsegmented(self) -> Iterator[None]:
        """Switch segmentation off wherever packets are made or merged, for the body's time."""
        senders = [
            (switches, device)
            for switches in self._switches.values()
            for device in switches.devices
            if device in ("c0", "d0", EGRESS) or re.fullmatch(r"t\d+", device)
        ]
        for switches, device in senders:
            switches.set(device, WITHOUT)
            switches.allow_segments(device, MOST_SEGMENTS["without"])
        yield
        for switches, device in senders:
            switches.set(device, with_segmentation(device, self.stack))
            switches.allow_segments(device, MOST_SEGMENTS["with"])

    @contextmanager
    def _captured(self) -> Iterator[None]:
        """Keep what arrives at the worker while the body runs, as long as the ring has room."""
        tap = Tap(WORKER, ARRIVAL)
        yield
        with suppress(OverflowError):
            tap.drain(self._wire, MSS)
        tap.close()

    def _run(self, seconds: float, *, segmented: bool) -> dict[str, Any]:
        (traffic,) = self._scenario["traffic"]
        Probes.clear()
        self._log.new()
        chunks, before, entered = self._chunks(), self._counters.read(), hits().get(_SEGMENTER, 0)
        if isinstance(self._server, Server):
            result = exchange(self._scenario, traffic, seconds, abort=True)
            # Where nothing arrives without segmentation nothing more will be sent.
            if segmented or result["error"] is None:
                self._server.wait_idle()
        else:
            at_once = None if segmented else 1
            silence = datagrams.SILENCE * self._seconds / _CONTROL_SECONDS
            result = datagrams.exchange(self._scenario, {**traffic, "at_once": at_once}, silence)
        counters = grown(before, self._counters.read())
        result["retransmits"] += self._chunks() - chunks
        # What is dropped of TCP is lost, sent again, or counted: else there is nothing to look for.
        quiet = self.stack.traffic == "tcp" and not (result["retransmits"] or result["error"])
        untold = quiet and not any(counters.values()) and self.stack.arrival == WHOLE
        trace = "" if untold else (TRACEFS / "trace").read_text()
        drops = _drops(trace)
        drops["warnings of the kernel"] = len(
            [1 for line in self._log.new() if _WARNING.search(line)]
        )
        # The client's own cuts are no sign of anything; the trace has none but the director's.
        whole_packets = self.stack.arrival == WHOLE
        cut = hits().get(_SEGMENTER, 0) - entered if whole_packets else _cuts(trace)
        return {**result, "counters": counters, "drops": drops, "segmented": cut}

    def _chunks(self) -> int:
        return resent_chunks(self._sender) if self.stack.traffic == "sctp" else 0


def with_segmentation(device: str, stack: Stack) -> str:
    """Return the features of a sender's device where it may have super-packets."""
    if device == EGRESS:
        return "gso on tso on" if stack.offload == "tunnel features off" else "gso on"
    if stack.arrival != WHOLE and device in ("c0", "d0"):
        return "gso on tso off" if device == "c0" else "gso on tso on gro on"
    return "gso on tso on gro on" if device.startswith("t") else "gso on tso on"


def build(there: Way) -> None:
    """Run the commands in few processes: the cables, then all from the far end on."""
    for machine, lines in groupby(there.cables, itemgetter(0)):
        _build([command for _, command in lines], machine)
    for machine in reversed(MACHINES):
        _build([command for where, command in there.lines if where == machine], machine)


def _build(commands: list[str], machine: str) -> None:
    for tool, some in groupby(commands, _tool):
        batch = list(some)
        if tool == "ip":
            ip_batch(machine, [command.removeprefix("ip ") for command in batch])
        elif tool in _BATCHES:
            text = "".join(f"{command.removeprefix(f'{tool} ')}\n" for command in batch)
            with inside(machine):
                run(_BATCHES[tool], text)
        else:
            with inside(machine):
                for command in batch:
                    _single(command, machine)


_BATCHES = {"tc": ["tc", "-batch", "-"], "nft": ["nft", "-f", "-"], "ipvsadm": ["ipvsadm", "-R"]}
"""Tools beside ip that read many commands at once, each without the tool's name."""


def _tool(command: str) -> str:
    word, _, rest = command.partition(" ")
    batch = word in _BATCHES or (word == "ip" and not rest.startswith("-"))
    return word if batch else "other"


def _single(command: str, machine: str) -> None:
    word, *words = command.split()
    if word in OWN:
        OWN[word](*words)
    elif command.startswith(_SETTING):
        setting, value = command.removeprefix(_SETTING).split("=")
        Path("/proc/sys", setting.replace(".", "/")).write_text(value)
    elif command.startswith(_FEATURES):
        device, _, features = command.removeprefix(_FEATURES).partition(" ")
        Switches(machine).set(device, features)
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
