"""The messages that a guest may send of its run: lines of JSON of these forms, and none long."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gso.kernel.guest_files import GuestFileError, finite

LONGEST = 1 << 16
"""The most bytes of a line."""

_MOST_DIGITS = 19
_Form = Callable[[Any], bool]


def read(line: bytes) -> dict[str, Any]:
    """Return the event that a line tells; raise :class:`GuestFileError` for anything else."""
    if len(line) > LONGEST:
        raise GuestFileError(f"a line of the guest has more than {LONGEST} bytes")
    try:
        event = json.loads(
            line.decode(), parse_int=_whole, parse_float=finite, parse_constant=finite
        )
    except (ValueError, RecursionError):
        raise GuestFileError("a line of the guest is not JSON") from None
    if not isinstance(event, dict) or not isinstance(stage := event.get("stage"), str):
        raise GuestFileError("a line of the guest names no stage")
    if wrong := [key for key, value in event.items() if not _FORMS.get(key, _plain)(value)]:
        raise GuestFileError(f"a line of the guest has no proper {wrong[0][:80]!r}")
    if lacking := [key for key in _NEEDED.get(stage, ()) if key not in event]:
        raise GuestFileError(f"a line of the guest lacks {lacking[0]!r}")
    return event


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError
    return int(digits)


def _any(*kinds: type) -> _Form:
    return lambda value: type(value) in kinds


def _each(form: _Form) -> _Form:
    return lambda value: isinstance(value, dict) and all(map(form, value.values()))


def _fields(needed: dict[str, _Form], optional: dict[str, _Form]) -> _Form:
    """Return the form of what has the needed fields; any that is not named here is plain."""
    forms = {**needed, **optional}
    return lambda value: (
        isinstance(value, dict)
        and needed.keys() <= value.keys()
        and all(forms.get(key, _plain)(one) for key, one in value.items())
    )


_plain = _any(str, int, float, bool, type(None))
_text, _truth, _count = _any(str), _any(bool), _any(int)
_counts, _texts = _each(_count), _each(_text)


def _texts_in_order(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


_EXCHANGE: dict[str, _Form] = {
    **dict.fromkeys(("scenario", "traffic"), _text),
    **dict.fromkeys(("upload_intact", "download_intact"), _truth),
    **dict.fromkeys(("mss", "retransmits", "tx_dropped", "tx_packets"), _count),
    "error": _any(str, type(None)),
    "seconds": _any(int, float),
}
_FORMS: dict[str, _Form] = {
    "result": _fields(_EXCHANGE, {"entries": _counts, "refusals": _counts, "refused": _truth}),
    "watched": _each(_fields({"symbols": _texts_in_order, "why": _text}, {})),
    "entries": _counts,
    "ok": _truth,
    "kernel": _text,
    "version": _text,
    "modules": _texts,
    "probes": _each(_each(_any(int, str))),
    "refused": _texts,
    "packets_before": _counts,
    "packets_after": _counts,
    "cpus": _count,
    "status": _count,
}
_NEEDED = {"cell": ("result",), "end": ("ok",)}
