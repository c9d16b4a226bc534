"""JSON that was spread over lines is the same JSON, an object a line, with as many lines."""

from __future__ import annotations

import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from effort import examples
from gso.traces.pretty import compacted, is_pretty, without_around

names = st.text('abc{}[]"\\:, ', min_size=1, max_size=6)
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, min_size=1, max_size=4)
indents = st.sampled_from([0, 1, 3, "\t"])


def lines_of(text: str) -> list[str]:
    assert is_pretty(text.encode())
    file = io.BytesIO(without_around(text.encode()))
    data = b"".join(compacted(file)).decode()
    assert data.count("\n") == text.count("\n")
    return [line for line in data.split("\n") if line]


@settings(max_examples=examples(100), deadline=None)
@given(found=st.lists(objects, min_size=1, max_size=4), indent=indents)
def test_objects_one_after_the_other(found, indent):
    text = "".join(json.dumps(one, indent=indent) + "\n" for one in found)
    assert [json.loads(line) for line in lines_of(text)] == found


@settings(max_examples=examples(100), deadline=None)
@given(found=st.lists(objects, min_size=1, max_size=4), indent=indents, close=st.booleans())
def test_objects_in_an_array_or_in_an_object_with_one(found, indent, close):
    for around in (found, {"dmesg": found}):
        text = json.dumps(around, indent=indent) + "\n"
        if close:  # as dmesg joins two objects
            text = text.replace("},\n{", "},{")
        assert [json.loads(line) for line in lines_of(text)] == found


def test_an_object_that_is_cut_off_keeps_its_lines():
    assert lines_of('{\n "a": 1,\n "b": {\n') == ["{", ' "a": 1,', ' "b": {']


def test_an_object_that_never_ends_takes_bounded_memory():
    many = b"".join([b"{\n", *[b'"a": [\n'] * 400_000])
    sizes = [len(piece) for piece in compacted(io.BytesIO(many))]
    assert max(sizes) < 3 << 20
    assert sum(sizes) > 0


def test_a_line_that_never_ends_is_passed_on_in_pieces():
    lines = [b"[\n", b'{ "a": "' + b"x" * (5 << 20) + b'" },\n', b'{ "b": [\n', b"1 ] }\n", b"]\n"]
    pieces = list(compacted(io.BytesIO(b"".join(lines))))
    assert max(map(len, pieces)) <= 1 << 20
    text = b"".join(pieces)
    assert lines[1] in text
    assert text.count(b"\n") == len(lines)
    assert b'{ "b": [1 ] }\n' in text
