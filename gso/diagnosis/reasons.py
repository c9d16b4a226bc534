"""The kernel's drop reasons: their names, their numbers by version, and what they mean.

The numbers are in ``drop_reasons.json``, which ``gso.kernel.trees.drop_reasons`` makes from the
kernel's headers; the meanings, in words of our own, in ``drop_reasons.tsv``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

__all__ = ["REASONS", "DropReason", "known_versions", "reason_lists", "reason_name", "reason_of"]

_PREFIX = "SKB_DROP_REASON_"
_SUBSYSTEM = 1 << 16
_CACHED = 1 << 12
_Version = tuple[int, ...]


class DropReason(NamedTuple):
    """A reason for which the kernel drops packets.

    Attributes:
        name: as the kernel prints it, without SKB_DROP_REASON_.
        meaning: what happened.
        look_at: where to look for the cause.
    """

    name: str
    meaning: str
    look_at: str


def _table() -> Iterator[DropReason]:
    text = files("gso.diagnosis").joinpath("drop_reasons.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        yield DropReason(*line.split("\t"))


REASONS = {reason.name: reason for reason in _table()}
"""Every reason of Linux 6.1 to 7.3, of Open vSwitch, mac80211 and queueing disciplines, by name."""


@lru_cache(maxsize=_CACHED)
def reason_name(text: str, kernel: str = "") -> str:
    """Return the name of a reason that a log shows by its name, or by its number.

    Args:
        text: as the log has it: ``SKB_DROP_REASON_NO_SOCKET``, ``NO_SOCKET``, ``3`` or ``0x30001``.
        kernel: the version of the kernel that wrote the log, such as ``6.12.117``; "" if unknown.

    A number stays a number unless it has the same name in all versions that the kernel may be.
    """
    name = text.removeprefix(_PREFIX)
    if not re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", name):
        return name
    subsystem, number = divmod(int(name, 0 if name[1:2] in "xX" else 10), _SUBSYSTEM)
    lists = [one[subsystem] for one in _may_be(kernel) if subsystem in one]
    names = {one[number] if number < len(one) else "" for one in lists}
    found = names.pop() if len(names) == 1 else ""
    return found or name


def reason_of(text: str) -> DropReason | None:
    """Return what is known of a reason's name, with SKB_DROP_REASON_ or without it."""
    return REASONS.get(text.removeprefix(_PREFIX))


@cache
def reason_lists() -> dict[_Version, dict[int, list[str]]]:
    """Return for each version that was read, by subsystem, names in the order of their numbers.

    "" stands for a number without a reason. The reasons of Open vSwitch and mac80211 are known for
    some versions only.
    """
    text = files("gso.diagnosis").joinpath("drop_reasons.json").read_text(encoding="utf-8")
    return {
        _version(version): {
            int(subsystem): [name.strip("-") for name in names.split(" ")]
            for subsystem, names in subsystems.items()
        }
        for version, subsystems in json.loads(text).items()
    }


def known_versions() -> list[str]:
    """Return the versions of the kernel whose numbers are known, the oldest first."""
    return [".".join(map(str, version)) for version in reason_lists()]


def _version(text: str) -> _Version:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@lru_cache(maxsize=_CACHED)
def _may_be(kernel: str) -> list[dict[int, list[str]]]:
    """Return the reasons of all versions that a kernel may be like.

    Those that it lies between, of the same series; or else all of its series, or of all.
    """
    wanted, every = _version(kernel), reason_lists()
    series = {v: lists for v, lists in every.items() if v[:2] == wanted[:2]}
    if not wanted:
        return list(every.values())
    if len(wanted) < 3 or not series or not min(series) <= wanted:
        return list(series.values())
    older = max(version for version in series if version <= wanted)
    newer = min((version for version in series if version >= wanted), default=older)
    return [series[older], series[newer]]
