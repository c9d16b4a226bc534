"""Logs of several formats in one file: what is read of each part is read of the whole."""

import io
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso.traces.formats import READERS

CASES = Path(__file__).parents[1] / "vectors/cases/logs"
LOGS = {
    name: (CASES / f"{name}.log").read_bytes().rstrip(b"\n") + b"\n"
    for name in (
        *("ansi-dmesg", "arm64-call-trace", "bad-offload-none", "kubectl-timestamps"),
        *(
            "net-tracepoint-mac-header",
            "right-offsets-dropped",
            "len-not-larger",
            "html-without-drops",
        ),
        *("frag-len-false-alarm", "mixed-swallowed", "pwru-json-jq", "hw-csum-failure"),
        *("dump-in-one-line", "zero-events-retis.json"),
    )
}
LOGS["perf"] = b"""\
swapper     0 [030] 79090.376153:    probe:f: (ffffffffc0feebe0) skb=0xffff9ca6 len=1544
\tffffffff85070e60 __dev_queue_xmit+0x1 ([kernel.kallsyms])
swapper     0/1 [030] 79090.376154:    probe:g: (ffffffffc0feebe0) skb=0xffff9ca6 len=7
"""
LOGS["learned-prefix"] = b"".join(
    b"I1128 05:17:01.%06d       1 main.go:12] %s\n" % (number, line)
    for number, line in enumerate(LOGS["frag-len-false-alarm"].splitlines())
)
LOGS["pwru-json"] = b"""\
{"skb":"0xffff888100","cpu":1,"func":"f","len":7,"stack":"\\na\\nb"}
{"skb":"0xffff888100","cpu":1,"func":"consume_skb","len":7}
"""


NAMES = [reader.name for reader in READERS]
FAMILIES = {NAMES.index("perf"): NAMES.index("ftrace")}
"""perf script and ftrace have one grammar: the reader of the first goes on with the other."""


def events(data, **choice):
    with gso.TraceReader(io.BytesIO(data), **choice) as reader:
        batches = list(reader)
    rows = []
    for batch in batches:
        columns = {
            name: getattr(batch, name).tolist()
            for name in batch.columns
            if name not in ("line", "reader")
        }
        readers = [FAMILIES.get(n, n) for n in batch.columns["reader"].tolist()]
        rows += zip(readers, *columns.values(), batch.state.tolist(), strict=True)
    last = batches[-1]
    return rows, last.lines, last.damaged, [line for batch in batches for line in batch.line]


@pytest.mark.parametrize(("one", "other"), list(product(LOGS, LOGS)))
def test_two_logs_in_one_file_are_read_as_each_alone(one, other):
    rows, lines, damaged, _ = events(LOGS[one])
    more, more_lines, more_damaged, _ = events(LOGS[other])
    assert events(LOGS[one] + LOGS[other])[:3] == (
        rows + more,
        lines + more_lines,
        damaged + more_damaged,
    )


@settings(max_examples=examples(100), deadline=None)
@given(
    parts=st.lists(st.sampled_from(sorted(LOGS)), min_size=1, max_size=6),
    rows=st.sampled_from([1, 2, 1000]),
    threads=st.sampled_from([1, 2, 3]),
    size=st.integers(300, 3000),
)
def test_mixed_logs_are_the_same_however_they_are_cut(parts, rows, threads, size):
    data = b"".join(LOGS[name] for name in parts)
    whole = events(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gso.traces.reader._PIECE", size)
        patch.setattr("gso.traces.reader._BLOCK", size)
        patch.setattr("gso.traces.source._BUFFER", 64)
        assert events(data, rows=rows, threads=threads) == whole


def test_the_column_reader_names_the_format():
    trace = gso.read_trace(io.BytesIO(LOGS["perf"] + LOGS["pwru-json"] + LOGS["ansi-dmesg"]))
    assert np.unique(trace.columns["reader"]).size == 3
    assert gso.diagnose(trace).format


@pytest.mark.parametrize("format", ["pwru", "dmesg"])
def test_a_format_that_is_given_is_the_only_one(format):
    trace = gso.read_trace(io.BytesIO(LOGS["mixed-swallowed"]), format)
    assert len(trace) == {"pwru": 2, "dmesg": 1}[format]
