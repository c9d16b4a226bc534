"""Logs of container runtimes: lines in pieces are put together, whatever stands between them."""

from __future__ import annotations

import io
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso.traces.container_log import is_container_log, joined

LOGS = Path(__file__).parents[1] / "vectors/cases/logs"
TIME = "2026-11-28T05:17:01.123456789Z"
TEXTS = [
    (LOGS / f"{name}.log").read_text()
    for name in ("right-offsets-dropped", "arm64-call-trace", "len-not-larger", "mixed-swallowed")
]


def pieces(line: str, cuts: list[int], stream: str = "stdout") -> list[str]:
    """A line as a runtime writes it that passes on its text at these places."""
    ends = sorted({cut % (len(line) + 1) for cut in cuts} | {len(line)})
    parts = [line[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return [f"{TIME} {stream} {'P' if i else 'F'} {part}" for i, part in
            zip(range(len(parts) - 1, -1, -1), parts, strict=True)]  # fmt: skip


def rows(text: str):
    trace = gso.read_trace(io.BytesIO(text.encode()))
    columns = {n: getattr(trace, n).tolist() for n in trace.columns if n not in ("line", "reader")}
    return columns, trace.state.tolist(), trace.damaged


@settings(max_examples=examples(100))
@given(st.sampled_from(TEXTS), st.data())
def test_pieces_of_a_line_are_one_line(text, data):
    cuts = st.lists(st.integers(0, 500), max_size=4)
    whole, cut, numbers = [], [], []
    for line in text.splitlines():
        cut += pieces(line, data.draw(cuts))
        whole.append(f"{TIME} stdout F {line}")
        numbers.append(len(cut))
    assert rows("\n".join(cut) + "\n") == rows("\n".join(whole) + "\n") == rows(text)
    made = b"".join(joined(io.BytesIO("\n".join(cut).encode()))).decode()
    assert [(n, line) for n, line in enumerate(made.split("\n"), 1) if line] == list(
        zip(numbers, whole, strict=True)
    )


@given(st.lists(st.sampled_from(["stdout", "stderr"]), min_size=2, max_size=8), st.data())
def test_streams_do_not_mix(streams, data):
    left = {}
    for stream in streams:
        size = data.draw(st.integers(1, 4))
        cut = pieces(f"{stream}{size}" * 9, [9, 20, 31][:size], stream)
        left.setdefault(stream, []).extend(cut)
    mixed = []
    while any(left.values()):
        stream = data.draw(st.sampled_from([one for one in left if left[one]]))
        mixed.append(left[stream].pop(0))
    made = b"".join(joined(io.BytesIO(("\n".join(mixed) + "\n").encode()))).decode()
    assert made.count("\n") == len(mixed)
    texts = [line.split(" ", 3)[1:] for line in made.splitlines() if line]
    assert all(tag == "F" and set(text.split(stream)) <= set("1234") | {""}
               for stream, tag, text in texts)  # fmt: skip
    assert len(texts) == len(streams)


def test_a_line_whose_end_lacks_is_cut_there():
    start = pieces("0xffff947712f34400 9 [<empty>] skb_push len=1544 gso_size=1448", [55])[0]
    trace = gso.read_trace(io.BytesIO(start.encode() + b"\n"))
    assert trace.line.tolist() in ([1], [])
    assert "gso_size" not in trace.skb_state(0).known


def test_long_lines_and_other_logs_are_passed_on():
    head = f"{TIME} stdout P ".encode()
    data = b"".join(head + b"x" * 16000 + b"\n" for _ in range(300))
    made = b"".join(joined(io.BytesIO(data)))
    assert made.count(b"x") == 300 * 16000
    assert max(map(len, made.split(b"\n"))) < 1 << 21
    for other in (b"", b"x" * 3_000_000, b"a\nb", b"skb stdout P x\n"):
        assert b"".join(joined(io.BytesIO(other))) == other
        assert not is_container_log(other)


def objects(line: str, cuts: list[int], stream: str = "stdout", **more) -> list[str]:
    """A line as Docker's json-file writes it, cut at these places."""
    ends = sorted({cut % (len(line) + 1) for cut in cuts} | {len(line)})
    parts = [line[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    parts[-1] += "\n"
    around = {"stream": stream, **more, "time": TIME}
    return [json.dumps({"log": part, **around}, separators=(",", ":")) for part in parts]


@settings(max_examples=examples(100))
@given(st.sampled_from(TEXTS), st.data())
def test_dockers_pieces_of_a_line_are_one_line(text, data):
    cuts = st.lists(st.integers(0, 500), max_size=4)
    more = data.draw(st.sampled_from([{}, {"attrs": {"env": "a"}}]))
    cut, whole = [], []
    for line in text.splitlines():
        cut += objects(line, data.draw(cuts), **more)
        cut += objects(line, [], "stderr")[: data.draw(st.integers(0, 1)) and not line]
        whole += objects(line, [], **more)
    assert rows("\n".join(cut) + "\n") == rows("\n".join(whole) + "\n") == rows(text)
    made = b"".join(joined(io.BytesIO("\n".join(cut).encode()))).decode()
    assert made.count("\n") == len(cut) - 1


def test_docker_cuts_a_long_line_at_16_kib():
    start = "0xffff947712f34400 9 [<empty>] skb_push len=1544 "
    line = start + "x" * (40_000 - len(start)) + " gso_size=1448"
    cut = objects(line, [1 << 14, 2 << 14])
    assert len(cut) == 3
    for text in ("\n".join(cut), "\n".join(cut) + "\n"):
        trace = gso.read_trace(io.BytesIO(text.encode()))
        assert trace.line.tolist() == [3]
        assert trace.skb_state(0).gso_size == 1448
    trace = gso.read_trace(io.BytesIO("\n".join(cut[:2]).encode()))
    assert "gso_size" not in trace.skb_state(0).known


def test_texts_from_which_the_line_feed_was_taken_are_lines():
    text = TEXTS[0]
    lines = [json.dumps({"log": line, "stream": "stdout"}) for line in text.splitlines()]
    assert rows("\n".join(lines) + "\n") == rows(text)


@given(st.lists(st.sampled_from(["stdout", "stderr"]), min_size=2, max_size=8), st.data())
def test_dockers_streams_do_not_mix(streams, data):
    left = {"stdout": [], "stderr": []}
    for stream in streams:
        cuts = data.draw(st.lists(st.integers(1, 50), max_size=3))
        left[stream] += objects(stream * 9, cuts, stream)
    mixed = []
    while any(left.values()):
        stream = data.draw(st.sampled_from([one for one in left if left[one]]))
        mixed.append(left[stream].pop(0))
    made = b"".join(joined(io.BytesIO(("\n".join(mixed) + "\n").encode()))).decode()
    texts = [json.loads(line) for line in made.splitlines() if line]
    assert sorted(one["stream"] for one in texts) == sorted(streams)
    assert all(one["log"] == one["stream"] * 9 + "\n" for one in texts)
