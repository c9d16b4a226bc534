"""The judge of a stack: what was measured without segmentation, and with it."""

from __future__ import annotations

import errno
from typing import Any

from .complaints import DAMAGED, LOST, RETRANSMITS, complaints, hard, whole

_LONGEST_REASON = 400
_SENDER_IS_TOLD = f"OSError: [Errno {errno.EIO}]"  # UDP_SEGMENT through IPsec
MANY_RETRANSMITS = 10
"""Segments sent again, of about 50, that a busy machine does not explain."""
_ENDS = frozenset({LOST, DAMAGED, RETRANSMITS})


def outcome(measured: dict[str, Any]) -> str:
    """Return what became of a stack that is not complained of."""
    if "refused" in measured:
        return "refused"
    if not all(map(whole, measured["controls"])):
        return "illegal"
    # Traffic that was whole, or cut before it met the tunnel, says nothing of segmentation.
    return "clean" if any(one["segmented"] for one in measured["runs"]) else "not exercised"


def why(measured: dict[str, Any]) -> str:
    """Return why nothing was judged, if so."""
    broken = (one["error"] for one in measured.get("controls", ()) if not whole(one))
    return str(measured.get("refused") or next(broken, ""))[:_LONGEST_REASON]


def suspicious(measured: dict[str, Any]) -> frozenset[str]:
    """Return what each run complains of and no control, by name."""
    if "refused" in measured or not all(map(whole, measured["controls"])):
        return frozenset()
    return frozenset.intersection(*(grave(measured["controls"], one) for one in measured["runs"]))


def grave(controls: list[dict[str, Any]], run: dict[str, Any]) -> frozenset[str]:
    """Return what a run complains of: few retransmits may come of a busy machine, many do not.

    A sender who is told that its super-packet cannot be sent loses nothing without a word.
    """
    if (run["error"] or "").startswith(_SENDER_IS_TOLD):
        return frozenset()
    found = complaints(controls, run)
    many = found.get(RETRANSMITS, 0) >= MANY_RETRANSMITS
    return hard(found) | (frozenset({RETRANSMITS}) if many else frozenset())


def same(found: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Return what two have in common, if it may be of one fault.

    Each fault may end in what is lost or sent again: where something else is ``found``, that alone
    says nothing.
    """
    common = found & other
    return common if common - _ENDS or found <= _ENDS else frozenset()
