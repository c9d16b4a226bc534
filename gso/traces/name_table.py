"""The names of a log, decoded when the first of them is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy.typing as npt

__all__ = ["NameTable"]


class NameTable(Sequence[str]):
    """Names by their numbers.

    Args:
        text: the names one after the other, as they stand in the log; U+FFFD respans bytes that
            are no UTF-8.
        ends: the byte at which each name begins, then the one at which the last ends: int64 of
            shape (n + 1,).
    """

    __slots__ = ("_ends", "_names", "_text")

    def __init__(self, text: bytes, ends: npt.NDArray[Any]) -> None:
        self._text = text
        self._ends = ends
        self._names: list[str] | None = None

    def _decoded(self) -> list[str]:
        if self._names is None:
            spans = pairwise(self._ends.tolist())
            if self._text.isascii():
                text = self._text.decode("ascii")
                self._names = [text[start:end] for start, end in spans]
            else:
                self._names = [
                    self._text[start:end].decode("utf-8", "replace") for start, end in spans
                ]
        return self._names

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._decoded()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())
