"""Marks are found where Python finds them, wherever they begin and end."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gso.traces import cleaning, terminal, web
from gso.traces._marks import Marks

BYTES = st.sampled_from([b"a", b'"', b"&", b"<", b"\\", b"\n", b"\xe2", b"\x80", b"=", b"\0"])


def text(least, most):
    return st.lists(BYTES, min_size=least, max_size=most).map(b"".join)


@given(st.lists(text(1, 4), max_size=8), text(0, 60))
def test_marks_are_found_where_they_are(marks, block):
    found = Marks(*marks).are_in(block)
    assert found == any(mark in block for mark in marks)
    assert Marks(*marks).are_in(memoryview(bytearray(b"a" + block + b"a"))[1:-1]) == found


@pytest.mark.parametrize("mark", [*terminal.MARKS, *web.MARKS])
def test_a_block_with_a_mark_at_either_end_is_cleaned(mark):
    looked_for = cleaning._ESCAPES if mark in terminal.MARKS else cleaning._OF_WEB
    for block in (mark, b"." * 99 + mark, mark + b"." * 99):
        assert looked_for.are_in(block)
        assert not looked_for.are_in(block.replace(mark, mark[:-1]))


@pytest.mark.parametrize("marks", [[b""], [b"a", b""], [bytes([n]) for n in range(65)]])
def test_marks_that_cannot_be_looked_for(marks):
    with pytest.raises(ValueError, match=re.escape("at most 64 marks, none empty")):
        Marks(*marks)
