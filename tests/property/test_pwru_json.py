"""pwru's JSON, read by the scanner and by Python's json: the same events."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from reference import pwru_json as reference

FIELDS = ("inner_mac_header", "len", "tnl_hlen", "protocol", "encapsulation", "csum_start", "x")
EDGES = [0, 1, -1, -2, 8, 65534, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 2, 2**63, 2**64 - 2, 2**70]
NUMBERS = st.sampled_from(EDGES) | st.integers(0, 3000)
WRITTEN = st.one_of(
    NUMBERS,
    NUMBERS.map(str),
    NUMBERS.map(hex),
    NUMBERS.map("(__u16){}".format),
    st.sampled_from(
        [1.5, 1e300, True, None, "", "x", "7 ", "0x", "(", "1_0", [], {}, [1, {"a": 2}]]
    ),
)
# U+009B begins an escape sequence, which is taken out of any log before a scanner sees it.
NAMES = st.text(
    st.sampled_from('ab_1 .:()+\t\n"\\/é€😀\x00\x7f\ud800')
    | st.characters(exclude_characters="\x9b"),
    max_size=12,
)
DUMPS = st.lists(
    st.tuples(st.sampled_from(FIELDS), WRITTEN).map(lambda pair: " .{} = {},".format(*pair)),
    max_size=4,
).map("\n".join)
MEMBERS = {
    "skb": st.sampled_from(["0xffff888100", "0xffff888200", 0xFFFF888100000000, "ffff", "0x", 7]),
    "cpu": WRITTEN,
    "process": NAMES | st.sampled_from(["<empty>:0", "~r/bin/curl:12", "a b:7"]),
    "func": NAMES
    | st.sampled_from(["ip_rcv", "kfree_skb_reason(X)", "f (2)", "f(tc)", "f(xdp)", "f(a", "f()"]),
    "caller_func": NAMES | st.sampled_from(["ip_rcv+0x12", "f.isra.0 [mod]"]),
    "time": WRITTEN
    | st.sampled_from(["13:05:01.250", "2026-01-02T13:05:01.25", "0:0:0", "00:00:00"]),
    "netns": WRITTEN,
    "mark": WRITTEN,
    "iface": WRITTEN | NAMES | st.sampled_from(["eth0:2", "lo", ":3", "a:b:99999999999"]),
    "proto": WRITTEN,
    "mtu": WRITTEN,
    "len": WRITTEN,
    "ifindex": WRITTEN,
    "cb": st.lists(st.integers(0, 9), max_size=5),
    "tuple": st.dictionaries(
        st.sampled_from(["saddr", "daddr", "sport", "dport", "proto", "flags", "saddx"]),
        WRITTEN | st.sampled_from(["10.0.0.1", "[fe80::1]", "a" * 70]),
    )
    | WRITTEN,
    "stack": NAMES | st.sampled_from(["\nf+0x1\n g\t[mod]\n", "\nf", "\nf\n0x1", "\n%\nh"]),
    "skb_metadata": DUMPS | st.dictionaries(st.sampled_from(FIELDS), WRITTEN),
    "skb_shared_info": DUMPS,
    "inner_mac_header": WRITTEN,
    "unknown": WRITTEN,
}
BITS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\",
    b"\\u12",
    b"\t",
    b"\0",
    b"\xff",
    b"\xe2\x82",
]
BITS += [b"\\ud83d", b"\\ude00", b"nul", b"1e5", b"-", b"01", b"1.", b"NaN", b"\x1f", b" "]


@st.composite
def logs(draw):
    """Lines that differ from those before them in few places, and some damage."""
    lines, members = [], {}
    for _ in range(draw(st.integers(0, 8))):
        if not members or draw(st.integers(0, 4)) == 0:
            chosen = draw(st.lists(st.sampled_from(sorted(MEMBERS)), max_size=8, unique=True))
            members = {name: draw(MEMBERS[name]) for name in ["skb", *chosen]}
        for name in draw(st.lists(st.sampled_from(sorted(members)), max_size=2)):
            members[name] = draw(MEMBERS[name])
        pairs = list(members.items())
        if draw(st.integers(0, 5)) == 0:
            pairs.insert(draw(st.integers(0, len(pairs))), draw(st.sampled_from(pairs)))
        compact = draw(st.booleans())
        separators = (",", ":") if compact else (", ", " : ")
        written = [
            json.dumps(name) + separators[1] + json.dumps(value, ensure_ascii=compact)
            for name, value in pairs
        ]
        line = f"{{{separators[0].join(written)}}}".encode("utf-8", "replace")
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            at = draw(st.integers(0, len(line)))
            drop = draw(st.integers(0, 3))
            line = line[:at] + draw(st.sampled_from([*BITS, b""])) + line[at + drop :]
        # An array that is closed in its line is made lines of before the scanner sees it.
        if not (line.startswith(b"[") and line.endswith(b"]")):
            lines.append(line)
    return b"\n".join(lines)


def compare(data: bytes, rows: int = 1000, threads: int = 1) -> None:
    expected = reference.read(data)
    with gso.TraceReader(
        io.BytesIO(data or b"\n"), "pwru-json", rows=rows, threads=threads
    ) as reader:
        batches = list(reader)
    last = batches[-1]
    assert (last.damaged, last.relative) == (len(expected.damaged), expected.relative)
    assert [n for n, _ in last.damaged_lines] == expected.damaged[:10]
    assert sum(map(len, batches)) == len(expected.rows)
    for name in ("line", "skb", "cpu", "time", "netns", "mtu", "ifindex"):
        found = [value for batch in batches for value in batch.columns[name].tolist()]
        assert found == [row[name] for row in expected.rows], name
    for name in ("process", "function", "reason", "location", "device", "flow", "stack"):
        found = [value for batch in batches for value in batch.texts(name).tolist()]
        assert found == [row[name] for row in expected.rows], name
    states = np.concatenate([batch.state for batch in batches])
    assert [known(row) for row in states] == [row["state"] for row in expected.rows]


def known(row: np.void) -> dict[str, int]:
    return {
        name: int(row[name])
        for name in gso.SKB_DTYPE.names
        if name != "zero_known" and row[name] != np.iinfo(gso.SKB_DTYPE[name]).min
    }


@settings(max_examples=examples(1000), deadline=None)
@given(logs(), st.sampled_from([1, 3, 1000]), st.booleans())
def test_the_scanner_reads_what_json_reads(data, rows, templates):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSO_LINE_TEMPLATES", str(int(templates)))
        compare(data, rows)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(logs(), max_size=4), st.integers(1, 300))
def test_threads_read_the_same_json(parts, size):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("reader._PIECE", "source._BUFFER", "source._SAMPLE"):
            patch.setattr(f"gso.traces.{name}", size)
        compare(b"\n".join(parts), threads=2)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@settings(max_examples=examples(500), deadline=None)
@given(VALUE, st.integers(0, 200), st.sampled_from(BITS), st.booleans())
def test_whatever_json_takes_is_passed_over(value, at, bit, whole):
    written = json.dumps(value).encode()
    if not whole:
        at %= len(written) + 1
        written = written[:at] + bit + written[at + 1 :]
    compare(b'{"skb":"0xffff888100","other":' + written + b"}")


@pytest.mark.parametrize("depth", [63, 64, 65, 66, 5000])
def test_depth_is_bounded(depth):
    for opening, close in (("[", "]"), ('{"a":', "}")):
        inner = "[]" if opening == "[" else "{}"
        text = opening * (depth - 1) + inner + close * (depth - 1)
        compare(f'{{"skb":"0xffff888100","cb":{text},"len":7}}'.encode())


def test_lines_up_to_the_longest_are_read():
    line = b'{"skb":"0xffff888100","func":"%s","process":"%s"}'
    empty = len(line % (b"f", b""))
    for size in (reference.LONGEST_LINE - 1, reference.LONGEST_LINE, reference.LONGEST_LINE + 1):
        long = line % (b"f", b"\\n" + b"a" * (size - empty - 2))
        assert len(long) == size
        compare(b"\n".join([line % (b"f", b"p"), long, line % (b"g", b"p")]))
