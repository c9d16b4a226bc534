"""Results as KernelCI's database takes them: kcidb-io, version 5.3 of its schema."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gso.kernel.report.cases import Status, Suite, suites

ORIGIN = "gso_kernel"
"""Who reports; whoever submits it under another name replaces it."""

_MAJOR, _MINOR = 5, 3
_LONGEST_EXCERPT = 16_384  # characters, by the schema
_STATUS = {"pass": "PASS", "fail": "FAIL", "error": "ERROR", "skip": "SKIP"}


def kcidb(results: dict[str, Any]) -> str:
    """Return a checkout, a build and tests for each kernel: the kernel, its scenarios, their cases.

    A test of the kernel as a whole is always there, so that a run without scenarios is no pass.
    """
    found: dict[str, list[dict[str, Any]]] = {"checkouts": [], "builds": [], "tests": []}
    for kernel, suite in zip(results["kernels"], suites(results), strict=True):
        own = _id(results, kernel["id"])
        begun = _time(results["started"])
        stage = kernel["error"]["stage"] if kernel["error"] else ""
        common = {"id": own, "origin": ORIGIN, "start_time": begun}
        found["checkouts"].append(
            {
                **common,
                "git_commit_name": kernel["kernel"],
                "comment": f"{', '.join(results['patches']) or 'compared as it is'}",
                "valid": stage != "patch",
            }
        )
        if stage != "patch":
            found["builds"].append(
                {
                    **common,
                    "checkout_id": own,
                    "architecture": "x86_64",
                    "command": results["command"],
                    "status": _build_status(kernel, stage),
                }
            )
            found["tests"] += _tests(own, begun, suite)
    version = {"major": _MAJOR, "minor": _MINOR}
    return json.dumps({"version": version, **found}, indent=1) + "\n"


def _build_status(kernel: dict[str, Any], stage: str) -> str:
    if stage == "build":
        return "FAIL"
    return "PASS" if kernel["scenarios"] or kernel.get("boots") else "ERROR"


def _tests(build: str, begun: str, suite: Suite) -> Iterator[dict[str, Any]]:
    yield _test(build, begun, "gso", suite.status, (suite.verdict, *suite.error))
    for group in suite.groups:
        path = f"gso.{_word(group.name)}"
        yield _test(build, begun, path, group.status, (group.verdict,))
        for case in group.cases:
            test = _test(build, begun, f"{path}.{_word(case.name)}", case.status, case.problems)
            yield {**test, "duration": case.seconds}


def _test(
    build: str, begun: str, path: str, status: Status, said: tuple[str, ...]
) -> dict[str, Any]:
    excerpt = "\n".join(said).replace("\0", " ")[:_LONGEST_EXCERPT]
    return {
        "id": f"{build}/{path}",
        "build_id": build,
        "origin": ORIGIN,
        "path": path,
        "status": _STATUS[status],
        "start_time": begun,
        **({"log_excerpt": excerpt} if excerpt else {}),
    }


def _id(results: dict[str, Any], kernel: str) -> str:
    """Return an id that this run has and no other."""
    words = [results["started"], results["command"], results["environment"], results["folder"]]
    digest = hashlib.sha256(json.dumps([*words, kernel], sort_keys=True).encode()).hexdigest()
    return f"{ORIGIN}:{digest[:24]}"


def _time(text: str) -> str:
    """Return a time as RFC 3339 has it: with a colon in the offset."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").isoformat()


def _word(text: str) -> str:
    """Return a name as one component of a path, which dots divide."""
    return re.sub(r"[^\w-]+", "_", text, flags=re.ASCII)
