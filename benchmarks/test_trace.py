"""A log of sk_buff events: read into columns, against what people search logs with."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import gso
from contest import Contest, Contestant, Effort, python
from scratch import scratch

AREA = "trace scanning"
LESS = "counts lines only, and starts a process"
GOOD = "inner_mac_header=0x52"
BAD = "inner_mac_header=0x44"
EVENT = (
    "swapper     0 [{cpu:03}] 79090.{time:06}:    probe:ip_vs_in_hook: (ffffffffc0feebe0) "
    'dev="vlan100" skb=0xffff9ca661e9{skb:04x} {mac} inner_network_header=0x52 '
    "inner_transport_header=0x66 mac_header=0x44 network_header=0x32 transport_header=0x46 "
    "len=1544 data_len=12\n"
)
FIELD = re.compile(
    rb'^(\S+) +\d+ \[(\d+)\] +([\d.]+): +probe:(\w+): \((\w+)\) dev="([^"]*)" skb=0x(\w+)'
    rb" inner_mac_header=0x(\w+) inner_network_header=0x(\w+) inner_transport_header=0x(\w+)"
    rb" mac_header=0x(\w+) network_header=0x(\w+) transport_header=0x(\w+) len=(\d+)"
    rb" data_len=(\d+)$",
    re.MULTILINE,
)
AWK = r"""
match($0, /inner_mac_header=0x([0-9a-f]+)/, i) && match($0, / transport_header=0x([0-9a-f]+)/, t) {
  if (strtonum("0x" i[1]) < strtonum("0x" t[1])) n++
}
END { print n }
"""


PWRU = (
    "0xffff{skb:012x}      9        [<empty>] {function:>20} netns=4026531840 mark=0x0 ifindex=4 "
    "proto=8 mtu=1600 len=1512 172.70.2.6:{port}->198.51.100.150:8000(tcp)\n"
)
FUNCTIONS = ("ip_rcv", "nf_hook_slow", "ip_forward", "ip_output", "__dev_queue_xmit", "consume_skb")


@dataclass
class Log:
    """Lines of one tool; people search them for the address of one sk_buff."""

    path: Path
    lines: int
    skb: str
    found: int

    @property
    def case(self) -> str:
        return {"perf": "perf script", "pwru": "pwru"}[self.path.stem]

    @property
    def size(self) -> int:
        """Bytes of a line."""
        return self.path.stat().st_size // self.lines


def perf_log(path: Path, lines: int) -> Log:
    """One of ten lines has the fault of the incident."""
    with path.open("w") as file:
        for i in range(lines):
            mac = GOOD if i % 10 else BAD
            file.write(EVENT.format(cpu=i % 64, time=i % 1000000, skb=i % 65536, mac=mac))
    return Log(path, lines, "0xffff9ca661e91234", -(-(lines - 0x1234) // 65536))


def pwru_log(path: Path, lines: int) -> Log:
    """One packet after the other, each with a flow of its own."""
    with path.open("w") as file:
        for i in range(lines):
            number = i // len(FUNCTIONS)
            skb, port = number * 2654435761 % (1 << 32) << 8, 1024 + number * 40503 % 60000
            function = FUNCTIONS[i % len(FUNCTIONS)]
            file.write(PWRU.format(skb=skb, function=function, port=port))
    wanted = 1234 * 2654435761 % (1 << 32) << 8
    return Log(path, lines, f"0xffff{wanted:012x}", len(FUNCTIONS))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch() as path:
        yield path


@pytest.fixture(scope="module")
def perf(effort: Effort, folder: Path) -> Log:
    return perf_log(folder / "perf.txt", effort.scaled(1_900_000, 20_000))


@pytest.fixture(scope="module")
def pwru(effort: Effort, folder: Path) -> Log:
    return pwru_log(folder / "pwru.txt", effort.scaled(2_800_000, 20_000))


@pytest.fixture(params=["perf", "pwru"])
def log(request: pytest.FixtureRequest) -> Log:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def scan(log: Log, threads: int) -> Contestant:
    """Every field of every line into columns, batch after batch."""

    def read() -> int:
        with gso.TraceReader(log.path, threads=threads) as reader:
            return sum(map(len, reader))

    assert read() == log.lines
    name = "TraceReader" + (f", {threads} threads" if threads > 1 else "")
    return python(name, read, items=log.lines)


def whole(log: Log) -> Contestant:
    """The same, and all columns kept."""

    def read() -> int:
        return len(gso.read_trace(log.path))

    assert read() == log.lines
    return python("read_trace", read, items=log.lines)


def peer(log: Log, name: str, call: Any, leaves_out: str) -> Contestant:
    return python(name, call, items=log.lines, leaves_out=leaves_out, unit="line")


def race(contest: Contest, log: Log, ours: Contestant, theirs: Contestant) -> None:
    contest(AREA, log.case, ours, theirs, bytes=log.size)


def counted(*command: object) -> int:
    done = subprocess.run([str(word) for word in command], capture_output=True, check=True)
    return int(done.stdout)


def grep(log: Log) -> Contestant:
    def call() -> int:
        return counted("grep", "-c", "-F", log.skb, log.path)

    assert call() == log.found
    return peer(log, "grep -F", call, LESS)


def test_grep(contest: Contest, log: Log) -> None:
    race(contest, log, scan(log, 1), grep(log))


def test_grep_against_threads(contest: Contest, log: Log, all_cores: int) -> None:
    if all_cores < 2:
        pytest.skip("one core only")
    race(contest, log, scan(log, 2), grep(log))


def test_grep_against_the_whole_log(contest: Contest, log: Log) -> None:
    race(contest, log, whole(log), grep(log))


def test_ripgrep(contest: Contest, log: Log) -> None:
    if not shutil.which("rg"):
        pytest.skip("ripgrep is not installed")

    def call() -> int:
        return counted("rg", "-c", "-F", log.skb, log.path)

    assert call() == log.found
    race(contest, log, scan(log, 1), peer(log, "ripgrep -F", call, LESS))


def test_mawk(contest: Contest, log: Log) -> None:
    if not shutil.which("mawk"):
        pytest.skip("mawk is not installed")

    def call() -> int:
        return counted("mawk", "{ n += NF > 0 } END { print n }", log.path)

    assert call() == log.lines
    theirs = peer(log, "mawk", call, "splits lines into fields, reads none")
    race(contest, log, scan(log, 1), theirs)


def test_gawk(contest: Contest, perf: Log) -> None:
    if not shutil.which("gawk"):
        pytest.skip("gawk is not installed")

    def call() -> int:
        return counted("gawk", AWK, perf.path)

    assert call() == -(-perf.lines // 10)
    leaves_out = "takes two fields of a line and applies one rule"
    race(contest, perf, scan(perf, 1), peer(perf, "gawk", call, leaves_out))


def test_re(contest: Contest, perf: Log) -> None:
    def call() -> tuple[int, int]:
        found = bad = 0
        with perf.path.open("rb") as file:
            for line in file:
                if match := FIELD.match(line):
                    mac, transport = int(match[8], 16), int(match[13], 16)
                    found += 1
                    bad += mac < transport
        return found, bad

    assert call() == (perf.lines, -(-perf.lines // 10))
    leaves_out = "knows this one line, reads two fields as numbers and keeps none"
    race(contest, perf, scan(perf, 1), peer(perf, "Python re", call, leaves_out))


def test_diagnose_against_grep(contest: Contest, perf: Log) -> None:
    """The whole answer, not only the columns."""

    def diagnosed() -> int:
        diagnosis = gso.diagnose(gso.read_trace(perf.path))
        return sum(case.packets for case in diagnosis.cases)

    assert diagnosed() > 0
    ours = python("read_trace and diagnose", diagnosed, items=perf.lines)
    race(contest, perf, ours, grep(perf))
