"""Diagnoses in types that JSON knows, as ``gso/commands/diagnose.schema.json`` describes them."""

from __future__ import annotations

from typing import Any

from gso.diagnosis import Case, Diagnosis
from gso.diagnosis.reasons import reason_of
from gso.drawing.offsets import drawing
from gso.drawing.report import drops_by_number, equal_cases

__all__ = ["SCHEMA", "as_json", "log_json", "summary_json"]

SCHEMA = "gso.diagnose/1"


def as_json(found: list[tuple[str, Diagnosis]]) -> dict[str, Any]:
    """The diagnoses of several logs in types that JSON knows, as in ``diagnose.schema.json``."""
    return {
        "schema": SCHEMA,
        "clean": all(diagnosis.clean for _, diagnosis in found),
        "findings": [
            {"log": name, **_case_json(case)}
            for name, diagnosis in found
            for case in diagnosis.cases
        ],
        "logs": [{"log": name, **_own_json(diagnosis)} for name, diagnosis in found],
        "summary": summary_json(found),
    }


def log_json(name: str, diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis of one log with its cases in it, for a line of its own."""
    return {
        "log": name,
        "clean": diagnosis.clean,
        **_own_json(diagnosis),
        "findings": [_case_json(case) for case in diagnosis.cases],
    }


def summary_json(found: list[tuple[str, Diagnosis]]) -> list[dict[str, Any]]:
    """The cases that are equal in several logs."""
    return [
        {
            "rules": list(case.rules),
            "function": case.function,
            "packets": case.packets,
            "dropped": case.dropped,
            "logs": names,
        }
        for case, names in equal_cases(found)
    ]


def _own_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "format": diagnosis.format,
        "kernel": diagnosis.kernel,
        "lines": diagnosis.lines,
        "events": diagnosis.events,
        "damaged": diagnosis.damaged,
        "damaged_lines": [{"line": n, "text": text} for n, text in diagnosis.damaged_lines],
        "lost": diagnosis.lost,
        "forgotten": diagnosis.forgotten,
        "unplaced": diagnosis.unplaced,
        "unseen_tunnels": diagnosis.unseen_tunnels,
        "why_not_judged": diagnosis.not_judged,
        "unread_lines": [{"line": n, "text": text} for n, text in diagnosis.unread],
        "judged": diagnosis.judged,
        "not_judged": diagnosis.missing,
        "other_drops": [
            {**_reason_json(reason), "place": place, "count": count}
            for (reason, place), count in drops_by_number(diagnosis.drops)
        ],
        "record": diagnosis.record,
    }


def _reason_json(reason: str) -> dict[str, str]:
    known = reason_of(reason)
    return {
        "reason": reason,
        "meaning": known.meaning if known else "",
        "look_at": known.look_at if known else "",
    }


def _case_json(case: Case) -> dict[str, Any]:
    function, reason, place = case.drop or ("", "", "")
    return {
        "rule": case.rules[0],
        "rules": list(case.rules),
        "severity": str(case.severity),
        "message": case.message,
        "fields": case.fields,
        "expected": case.expected,
        "function": case.function,
        "evidence": case.evidence,
        "missing_call": case.missing_call,
        "kernel_outcome": case.kernel_outcome,
        "likely_cause": case.likely_cause,
        "commits": list(case.commits),
        "packets": case.packets,
        "dropped": case.dropped,
        "first_time": case.first_time,
        "last_time": case.last_time,
        "flows": dict(case.flows.most_common()),
        "devices": dict(case.devices.most_common()),
        "growth": case.growth,
        "results": case.results,
        "drop": {"function": function, **_reason_json(reason), "place": place}
        if case.drop
        else None,
        "stack": list(case.stack),
        "events": [
            {
                "line": event.line,
                "time": event.time,
                "cpu": event.cpu,
                "function": event.function,
                "flow": event.flow,
                "device": event.device,
                "state": event.state.known,
            }
            for event in case.events
        ],
        "drawing": list(drawing(case)),
    }
