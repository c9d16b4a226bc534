"""Tables of comma-separated values: named, counted, and never taken for events."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples

NAMES = st.lists(
    st.sampled_from(
        (
            *("No.", "Time", "frame.len", "ip.src", "skb", "func", "inner_mac_header", "len"),
            *("transport_header", "location", "Drop reason", "skb:kfree_skb", "n of drops"),
        )
    ),
    min_size=3,
    max_size=9,
)
CELL = st.one_of(
    st.integers(0, 1 << 64).map(str),
    st.integers(0xFFFF800000000000, 0xFFFFFFFFFFFFF000).map(hex),
    st.floats(0, 1e10, allow_nan=False).map(lambda number: f"{number:.6f}"),
    st.sampled_from(["", "kfree_skb", "validate_xmit_skb", "NOT_SPECIFIED", "eth0", "curl:77"]),
    st.sampled_from(["192.0.2.1", "2001:db8::1", "40000 > 80 [SYN] Seq=0 Len=0", "len=60, gso=0"]),
)
EVENT = (
    b"0xffff888100000000 1 [a:7] __dev_queue_xmit len=60 inner_mac_header=68 transport_header=70"
)


@st.composite
def tables(draw):
    names, between = draw(NAMES), draw(st.sampled_from(",;\t"))
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]))
    # A row without a word is no more than a line that separates others, which none counts.
    row = st.lists(CELL, min_size=len(names), max_size=len(names)).filter(any)
    # A row of numbers alone is a table without a doubt, whatever stands before it.
    rows = draw(st.lists(row, min_size=1, max_size=6))
    if between == "\t":  # what tools print in columns may have tabs between them
        rows = [[cell.replace("0xffff", "ffff") for cell in row] for row in rows]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=between, quoting=quoting, lineterminator="\n")
    writer.writerows([names, *rows])
    return text.getvalue().encode(), 1 + len(rows)


@settings(max_examples=examples(200), deadline=None)
@given(tables(), st.booleans())
def test_a_table_is_named_and_none_of_its_lines_is_an_event(table, mixed):
    text, lines = table
    log = text + EVENT + b"\n" if mixed else text
    trace = gso.read_trace(io.BytesIO(log))
    assert len(trace) == mixed
    assert trace.damaged == lines
    diagnosis = gso.diagnose(trace)
    assert not diagnosis.clean
    if not mixed:
        assert "comma-separated values (CSV)" in " ".join(diagnosis.to_text().split())


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(CELL, min_size=4, max_size=9), st.sampled_from(",;"))
def test_so_is_one_without_names(cells, between):
    text = io.StringIO()
    quoting = csv.QUOTE_NONNUMERIC  # else words with blanks between commas may be a sentence
    writer = csv.writer(text, delimiter=between, quoting=quoting, lineterminator="\n")
    writer.writerow(["7", *cells])
    trace = gso.read_trace(io.BytesIO(text.getvalue().encode()))
    assert (len(trace), trace.damaged) == (0, 1)
    diagnosis = gso.diagnose(trace)
    assert "comma-separated values (CSV)" in " ".join(diagnosis.to_text().split())
