"""Faults that a hunt has found before, by the marks that their findings have: ``known.toml``.

Each ``fault`` has a ``name``, ``why`` in a sentence, and marks that must all fit the smallest
stack. ``near`` and ``far``: globs for layers with the version below them (``vxlan6``), in their
order, the lowest first; more layers may lie between. ``offload``, ``traffic``, ``arrival``: globs.
``complaints``: globs, of which one fits something that is complained of.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gso.kernel.guest.stacks import Layer, Stack

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = Path(__file__).with_name("known.toml")


@functools.cache
def read() -> tuple[dict[str, Any], ...]:
    """Return the known faults, as the file has them."""
    return tuple(tomllib.loads(_FILE.read_text(encoding="utf-8"))["fault"])


def recognised(stack: Stack, complaints: Sequence[str]) -> dict[str, Any] | None:
    """Return the known fault whose marks a finding has, if any."""
    for fault in read():
        legs = all(_has(getattr(stack, leg), fault.get(leg, ())) for leg in ("near", "far"))
        words = all(
            fnmatchcase(getattr(stack, mark), fault.get(mark, "*"))
            for mark in ("offload", "traffic", "arrival")
        )
        said = any(_fits(one, fault.get("complaints", ["*"])) for one in complaints)
        if legs and words and said:
            return fault
    return None


def _has(layers: tuple[Layer, ...], wanted: Iterable[str]) -> bool:
    left = iter(layers)
    return all(any(fnmatchcase(_mark(layer), glob) for layer in left) for glob in wanted)


def _mark(layer: Layer) -> str:
    return " ".join((f"{layer.kind}{layer.outer}", *layer.options))


def _fits(complaint: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(complaint, glob) for glob in globs)
