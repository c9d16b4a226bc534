"""Record a log of real packets in a VM, in the formats that diagnosis reads.

The events are those of the guest's own probes: nothing in a log was made up. Their ftrace text is
read with `gso.read_trace` and written anew in the form of another tool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from gso.kernel import guest_files
from gso.kernel.judging.evidence import hits
from gso.kernel.machine import vm
from gso.kernel.progress import Progress
from gso.kernel.scenarios import DEFAULT_FAULT, Fault, plan, select
from gso.kernel.trees.patches import Patch
from gso.kernel.trees.single import Single, make

from gso import SkbState, Trace

__all__ = ["FORMATS", "Options", "record", "write"]

Format = Literal["pwru", "perf", "json", "ftrace"]

_TIMEOUT = 8.0  # seconds for one exchange
_NO_TIME = -(1 << 63)
_METADATA = (
    *("mac_header", "network_header", "transport_header"),
    *("inner_mac_header", "inner_network_header", "inner_transport_header", "data_len"),
)
_FLOW = re.compile(r"(?P<saddr>.+):(?P<sport>\d+)->(?P<daddr>.+):(?P<dport>\d+)\((?P<proto>\w+)\)")
_PROTOCOLS = {"tcp": 6, "udp": 17}


@dataclass(frozen=True)
class Options:
    """The traffic and the kernel to record. ``source`` is a tree in place of Debian's kernel.

    ``unpatched``: the known fix of ``fault`` is taken out of the tree before ``patches`` go in.
    """

    patches: Sequence[Path] = ()
    scenarios: Sequence[str] = ()
    kernel: str | None = None
    source: Path | None = None
    unpatched: bool = False
    fault: Fault = DEFAULT_FAULT
    timeout: float = 300.0


def record(options: Options, progress: Progress, folder: Path) -> list[Path]:
    """Boot, send the scenarios' traffic; return the ftrace text of each exchange, in their order.

    ``folder``: an empty one for them, with a name that a shell takes as it is.
    """
    scenarios = select(options.scenarios or options.fault.scenarios)
    kernel = make(_wanted(options), folder / "build.log", progress)
    progress.stage("booting and sending traffic")
    guest = folder / "guest-run"
    vm.boot(
        kernel,
        {"scenarios": plan(scenarios), "timeout": _TIMEOUT},
        guest,
        timeout=options.timeout,
        stop=folder / "stop",
    )
    return [
        guest / "cells" / f"{scenario.name}-{traffic.name}.trace"
        for scenario in scenarios
        for traffic in scenario.traffic
    ]


def _wanted(options: Options) -> Single:
    series = [Patch.read(path) for path in options.patches]
    fix = Patch.read_forms(options.fault.patch_paths) if options.unpatched else None
    return Single(options.kernel, options.source, series, fix)


# --- the formats -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Event:
    """One event, in the words that all formats share."""

    skb: int
    cpu: int
    process: str
    pid: int
    time: int
    function: str
    returns: bool
    result: int
    device: str
    flow: str
    reason: str
    location: str
    stack: list[str]
    state: SkbState


def _event(trace: Trace, index: int, line: str) -> _Event:
    pid = re.search(r"-(\d{1,10})\s+(?:\(\s*[\d-]+\)\s+)?\[\d+\]", line)
    stack = [name for name in trace.text("stack", index).split("\n") if name]
    return _Event(
        skb=int(trace.skb[index]),
        cpu=max(int(trace.cpu[index]), 0),
        process=trace.text("process", index),
        pid=int(pid[1]) if pid else 0,
        time=max(int(trace.time[index]), 0),
        function=trace.text("function", index),
        returns=bool(trace.returns[index]),
        result=int(trace.result[index]),
        device=trace.text("device", index),
        flow=trace.text("flow", index),
        reason=trace.text("reason", index),
        location=trace.text("location", index),
        # The tracer's own frames come first.
        stack=[name for name in stack if not name.startswith("trace_event_raw_event")],
        state=trace.skb_state(index),
    )


def _pwru(event: _Event) -> Iterator[str]:
    """Yield an event as pwru 1.0.8 and later print it. It sees no returns."""
    if event.returns:
        return
    known = event.state.known
    metadata = "".join(f" {name}={known[name]}" for name in _METADATA if name in known)
    yield (
        f"{event.skb:#018x} {event.cpu:<3} {f'{event.process}:{event.pid}':<16} {event.time:<16} "
        f"{0:<10} {0:<8} {event.device or '<none>':^16} {known.get('protocol', 0):#06x} {0:<5} "
        f"{known.get('len', 0):<5} {event.flow} {_with_reason(event)}{metadata}"
    )
    if event.function == "kfree_skb":
        yield "kfree_skb_reason"
    yield from event.stack


_PWRU_HEADER = (
    "SKB                CPU PROCESS          TIMESTAMP        NETNS      MARK/x        IFACE       "
    "PROTO  MTU   LEN   TUPLE FUNC"
)


def _with_reason(event: _Event) -> str:
    if event.function != "kfree_skb":
        return event.function
    return f"kfree_skb_reason(SKB_DROP_REASON_{event.reason or 'NOT_SPECIFIED'})"


def _json(event: _Event) -> Iterator[str]:
    """Yield an event as pwru --output-json --output-skb prints it: without zeros."""
    if event.returns:
        return
    known = event.state.known
    flow = _FLOW.fullmatch(event.flow)
    found: dict[str, Any] = {
        "skb": f"{event.skb:#x}",
        "cpu": event.cpu,
        "process": f"{event.process}:{event.pid}",
        "func": _with_reason(event),
        "time": event.time,
        "iface": event.device,
        "len": known.get("len", 0),
        "tuple": _tuple(flow) if flow else None,
        "stack": "".join(f"\n{name}" for name in event.stack),
        "skb_metadata": _dump(known),
    }
    yield json.dumps({key: value for key, value in found.items() if value or key == "time"})


def _dump(known: dict[str, int]) -> str:
    shown = [
        f" .{name} = ({'unsigned int' if name == 'data_len' else '__u16'}){known[name]},\n"
        for name in _METADATA
        if known.get(name)
    ]
    return "\n(struct sk_buff){\n" + "".join(shown) + "}" if shown else ""


def _tuple(flow: re.Match[str]) -> dict[str, Any]:
    ports = {name: int(flow[name]) for name in ("sport", "dport")}
    addresses = {name: flow[name] for name in ("saddr", "daddr")}
    return {**addresses, **ports, "proto": _PROTOCOLS.get(flow["proto"], 0)}


def _perf(event: _Event) -> Iterator[str]:
    """Yield an event as perf script prints it, then its call chain, with 0 for addresses."""
    time = f"{event.time // 10**9:5}.{event.time % 10**9 // 1000:06}"
    head = f"{event.process:<16} {event.pid:>5} [{event.cpu:03}] {time}: "
    known = event.state.known
    if event.returns:
        yield f"{head}probe:{event.function}__return: (0 <- {event.function}) arg1={event.result}"
    elif event.location:
        yield (
            f"{head}skb:kfree_skb: skbaddr={event.skb:#x} protocol={known.get('protocol', 0)} "
            f"location={event.location} reason: {event.reason}"
        )
    else:
        fields = "".join(f" {name}={known[name]:#x}" for name in _METADATA if name in known)
        yield (
            f'{head}probe:{event.function}: ({event.function}+0x0) dev="{event.device}" '
            f"skb={event.skb:#x}{fields} len={known.get('len', 0)}"
        )
    yield from (f"\t{0:016x} {name}+0x0 ([kernel.kallsyms])" for name in event.stack)
    if event.stack:
        yield ""


_FORMATS: dict[str, Callable[[_Event], Iterator[str]]] = {
    "pwru": _pwru,
    "perf": _perf,
    "json": _json,
}
FORMATS = (*_FORMATS, "ftrace")


def write(traces: Sequence[Path], format: str, out: BinaryIO) -> int:
    """Write recorded traces as one log; returns how many lines it has."""
    count = 0
    for line in _ftrace(traces) if format == "ftrace" else _anew(traces, format):
        out.write(f"{line}\n".encode())
        count += 1
    return count


def _ftrace(traces: Sequence[Path]) -> Iterator[str]:
    """Yield the lines of all traces under the header of the first that has any."""
    seen = False
    for path in traces:
        before = seen
        for line in guest_files.lines(path):
            seen = True
            if not before or not line.startswith("#"):
                yield line


def _anew(traces: Sequence[Path], format: str) -> Iterator[str]:
    """Yield the events of all traces as another tool prints them."""
    if format == "pwru":
        yield _PWRU_HEADER
    for path in traces:
        with guest_files.understood(path.name):
            for hit in hits(guest_files.read(path)):
                yield from _FORMATS[format](_event(*hit))
