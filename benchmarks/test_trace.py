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
from contest import Contest, Effort, python
from scratch import scratch

import gso

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


@dataclass
class Log:
    """perf script's lines, one of ten with the fault of the incident."""

    path: Path
    lines: int
    bad: int


@pytest.fixture(scope="module")
def log(effort: Effort) -> Iterator[Log]:
    lines = effort.scaled(200_000, 20_000)
    with scratch() as folder:
        path = folder / "perf.txt"
        with path.open("w") as file:
            for i in range(lines):
                mac = GOOD if i % 10 else BAD
                file.write(EVENT.format(cpu=i % 64, time=i, skb=i % 65536, mac=mac))
        yield Log(path, lines, lines // 10)


def ours(log: Log) -> Any:
    def read() -> int:
        return len(gso.read_trace(log.path))

    assert read() == log.lines
    return python("read_trace", read, items=log.lines)


def race(contest: Contest, log: Log, name: str, call: Any, leaves_out: str) -> None:
    theirs = python(name, call, items=log.lines, leaves_out=leaves_out, unit="line")
    size = log.path.stat().st_size
    contest(AREA, "perf script", ours(log), theirs, bytes=size // log.lines)


def counted(*command: object) -> int:
    done = subprocess.run([str(word) for word in command], capture_output=True, check=True)
    return int(done.stdout)


def test_grep(contest: Contest, log: Log) -> None:
    def call() -> int:
        return counted("grep", "-c", "-F", BAD, log.path)

    assert call() == log.bad
    race(contest, log, "grep -F", call, LESS)


def test_ripgrep(contest: Contest, log: Log) -> None:
    if not shutil.which("rg"):
        pytest.skip("ripgrep is not installed")

    def call() -> int:
        return counted("rg", "-c", "-F", BAD, log.path)

    assert call() == log.bad
    race(contest, log, "ripgrep -F", call, LESS)


def test_awk(contest: Contest, log: Log) -> None:
    if not shutil.which("gawk"):
        pytest.skip("gawk is not installed")

    def call() -> int:
        return counted("gawk", AWK, log.path)

    assert call() == log.bad
    race(contest, log, "gawk", call, "takes two fields of a line and applies one rule")


def test_re(contest: Contest, log: Log) -> None:
    def call() -> tuple[int, int]:
        rows = [
            (skb, int(mac, 16), int(net, 16), int(tcp, 16), int(transport, 16), int(length))
            for _, _, _, _, _, _, skb, mac, net, tcp, _, _, transport, length, _ in FIELD.findall(
                log.path.read_bytes()
            )
        ]
        return len(rows), sum(row[1] < row[4] for row in rows)

    assert call() == (log.lines, log.bad)
    race(contest, log, "Python re", call, "knows this one line, keeps six fields as numbers")


def test_diagnose_against_grep(contest: Contest, log: Log) -> None:
    """The whole answer, not only the columns."""

    def diagnosed() -> int:
        diagnosis = gso.diagnose(gso.read_trace(log.path))
        return sum(case.packets for case in diagnosis.cases)

    def call() -> int:
        return counted("grep", "-c", "-F", BAD, log.path)

    assert diagnosed() > 0
    contest(
        AREA,
        "perf script",
        python("read_trace and diagnose", diagnosed, items=log.lines),
        python("grep -F", call, items=log.lines, leaves_out=LESS, unit="line"),
        bytes=log.path.stat().st_size // log.lines,
    )
