"""JUnit XML, as Jenkins, GitLab and the like read it: one suite for each kernel."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from gso.kernel.report.cases import Case, Group, Suite, suites

_TAGS = {"fail": "failure", "error": "error", "skip": "skipped"}


def junit(results: dict[str, Any]) -> str:
    """Return the run as one XML document."""
    found = suites(results)
    if results["error"] or not found:
        found.append(_run_error(results["error"]))
    root = ET.Element("testsuites", name="gso-kernel verify")
    for suite in found:
        _suite(root, suite, results)
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, 0)) for suite in root)))
    root.set("time", f"{results['seconds']:.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _run_error(error: dict[str, str] | None) -> Suite:
    text = f"{error['stage']}: {error['message']}" if error else "no kernel was tested"
    return Suite("run", "run", "INCONCLUSIVE", (), (text,))


def _suite(root: ET.Element, suite: Suite, results: dict[str, Any]) -> None:
    cases = [(group, case) for group in suite.groups for case in _cases(group)]
    if suite.error or not cases:
        nothing = Group("run", suite.verdict, ())
        cases.append((nothing, Case("verdict", "error", 0.0, suite.error)))
    element = ET.SubElement(
        root,
        "testsuite",
        name=suite.name,
        tests=str(len(cases)),
        failures=str(sum(case.status == "fail" for _, case in cases)),
        errors=str(sum(case.status == "error" for _, case in cases)),
        skipped=str(sum(case.status == "skip" for _, case in cases)),
        time=f"{sum(case.seconds for _, case in cases):.3f}",
        timestamp=results["started"][:19],
    )
    properties = ET.SubElement(element, "properties")
    for name, value in (
        ("kernel", suite.label),
        ("verdict", suite.verdict),
        ("patches", " ".join(results["patches"])),
        ("acceleration", results["acceleration"]),
    ):
        ET.SubElement(properties, "property", name=name, value=_printable(value))
    for group, case in cases:
        _case(element, suite.name, group, case)


def _cases(group: Group) -> tuple[Case, ...]:
    """Return the cases and, where none of them tells of it, the verdict as one of its own."""
    if group.status == "pass" or any(case.status != "pass" for case in group.cases):
        return group.cases
    return (*group.cases, Case("verdict", group.status, 0.0, (group.verdict,)))


def _case(parent: ET.Element, suite: str, group: Group, case: Case) -> None:
    element = ET.SubElement(
        parent,
        "testcase",
        classname=f"{suite}.{group.name}",
        name=case.name,
        time=f"{case.seconds:.3f}",
    )
    if case.status != "pass":
        message = _printable(case.problems[0] if case.problems else group.verdict)
        problem = ET.SubElement(element, _TAGS[case.status], message=message)
        if case.status != "skip":
            problem.set("type", group.verdict)
        problem.text = "\n".join(_printable(line) for line in case.problems)


def _printable(text: str) -> str:
    """Return the text without the control characters that XML cannot hold."""
    return "".join(c if c.isprintable() else " " for c in text)
