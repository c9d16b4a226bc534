"""The report, made from a real run (Debian's 6.12.117, emulated) cut down to four scenarios."""

from __future__ import annotations

import copy
import json
import lzma
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from gso.kernel.errors import UsageError
from gso.kernel.report import plots
from gso.kernel.report.cases import suites
from gso.kernel.report.compare import compare
from gso.kernel.report.junit import junit
from gso.kernel.report.kcidb import kcidb
from gso.kernel.report.ktap import ktap
from gso.kernel.report.load import SCHEMA, load, reading
from gso.kernel.report.page import page
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.report.write import write

from ktap_parser import KtapError, parse

STORED = Path(__file__).parent / "data" / "results-applications.json.xz"
ERROR = {"stage": "build", "message": "make ended with 2", "log": "build.log", "log_tail": "x.c:1"}


@pytest.fixture
def results():
    return json.loads(lzma.decompress(STORED.read_bytes()))


@pytest.fixture
def folder(results, tmp_path):
    return folder_of(results, tmp_path / "run")


def folder_of(results, path: Path) -> Path:
    path.mkdir()
    (path / "results.json").write_text(json.dumps(results))
    return path


def first_scenario(results):
    return results["kernels"][0]["scenarios"][0]


def broken(results):
    """The run as it would be had one exchange gone wrong with the patch."""
    scenario = first_scenario(results)
    scenario["patched"][0]["problems"] = ["24 packets dropped # in <segmentation>\nEINVAL \x1b[1m"]
    scenario["verdict"] = "NO EFFECT"
    results["kernels"][0]["verdict"] = results["verdict"] = "INCOMPLETE"
    return results


def failed_kernel(results):
    """The run as it would be had one kernel's build failed."""
    other = {**results["kernels"][0], "id": "tree-7.0", "scenarios": [], "applications": None}
    results["kernels"].append({**other, "error": ERROR, "verdict": "INCONCLUSIVE", "guests": {}})
    results["verdict"] = "INCONCLUSIVE"
    return results


def failed_run(results):
    return {**results, "kernels": [], "error": ERROR, "verdict": "INCONCLUSIVE"}


SHAPES = [lambda r: r, broken, failed_kernel, failed_run]


@pytest.fixture(params=SHAPES, ids=["fixed", "broken", "failed-kernel", "failed-run"])
def any_results(request, results):
    return request.param(results)


# results.json


def validator():
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_results_follow_the_schema(any_results):
    validator().validate(any_results)


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r.pop("verdict"),
        lambda r: r.update(schema=1),
        lambda r: r.update(verdict="GOOD"),
        lambda r: first_scenario(r)["patched"][0].pop("wire"),
        lambda r: first_scenario(r)["patched"][0].update(tx_dropped=-1),
        lambda r: r["kernels"][0]["applications"]["workloads"][0].update(family=5),
        lambda r: r["kernels"][0]["applications"]["drops"].pop("patched"),
    ],
)
def test_the_schema_rejects(results, damage):
    damage(results)
    assert not validator().is_valid(results)


# KTAP


def test_ktap_is_nested_by_kernel_scenario_and_traffic(results):
    (kernel,) = parse(ktap(results))
    assert kernel.ok
    assert kernel.name == "debian-6.12.117"
    scenario = kernel.subtests[0]
    assert scenario.name == "gue-outer4-inner4-nocsum"
    names = [test.name for test in scenario.subtests]
    assert names == ["unpatched-fails", "bulk", "incident", "small", "response"]
    assert [t.name for t in kernel.subtests[-5:]] == [
        work["name"] for work in results["kernels"][0]["applications"]["workloads"]
    ]


def test_ktap_of_what_went_wrong_is_not_ok_all_the_way_up(results):
    (kernel,) = parse(ktap(broken(results)))
    assert not kernel.ok
    wrong = [test for test in kernel.subtests if not test.ok]
    assert [test.name for test in wrong] == ["gue-outer4-inner4-nocsum"]
    assert [test.name for test in wrong[0].subtests if not test.ok] == ["bulk"]
    said = wrong[0].subtests[1].diagnostics
    assert said == ["24 packets dropped # in <segmentation>", "EINVAL  [1m"]


def test_ktap_of_a_run_without_a_verdict_is_not_ok(results):
    _, other = parse(ktap(failed_kernel(copy.deepcopy(results))))
    assert not other.ok
    assert "build: make ended with 2" in other.diagnostics
    (run,) = parse(ktap(failed_run(results)))
    assert not run.ok


@pytest.mark.parametrize(
    "text",
    [
        "TAP version 13\n1..1\nok 1 x\n",
        "KTAP version 1\n1..2\nok 1 x\n",
        "KTAP version 1\n1..1\nok 2 x\n",
        "KTAP version 1\n1..1\nok 1 x\nok 2 y\n",
        "KTAP version 1\n1..1\nok 1 x",
        "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  ok 1 y\nok 1 x\n",
        "KTAP version 1\n1..1\n    KTAP version 1\n    1..1\n    not ok 1 y\nok 1 x\n",
    ],
)
def test_the_parser_of_these_tests_is_strict(text):
    with pytest.raises(KtapError):
        parse(text)


# JUnit

_ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
}
_CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped"},
}


def test_junit_has_the_form_that_ci_systems_read(any_results):
    root = ET.fromstring(junit(any_results).encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) == _ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= _CHILDREN.get(element.tag, set())
        if "time" in element.attrib:
            assert float(element.attrib["time"]) >= 0
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) > 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        for tag, total in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[total]) == len(suite.findall(f"testcase/{tag}"))
    for total in ("tests", "failures", "errors", "skipped"):
        assert int(root.attrib[total]) == sum(int(suite.attrib[total]) for suite in root)


def test_junit_passes_only_what_was_fixed(results):
    def wrong(run):
        return len(ET.fromstring(junit(run).encode()).findall(".//testcase/*"))

    assert wrong(copy.deepcopy(results)) == 0
    assert wrong(broken(copy.deepcopy(results))) == 1
    assert wrong(failed_kernel(copy.deepcopy(results))) == 1
    assert wrong(failed_run(results)) == 1


@pytest.mark.parametrize("verdict", ["NO EFFECT", "REGRESSED", "INCONCLUSIVE"])
def test_a_verdict_that_no_case_tells_of_is_a_case_of_its_own(results, verdict):
    kernel = results["kernels"][0]
    kernel["scenarios"][0]["verdict"] = kernel["verdict"] = verdict
    (problem,) = ET.fromstring(junit(results).encode()).findall(".//testcase/*")
    assert problem.tag == ("error" if verdict == "INCONCLUSIVE" else "failure")
    (found,) = parse(ktap(results))
    assert [test.ok for test in found.subtests].count(False) == 1


def test_what_was_not_reproduced_is_skipped_beside_what_was_fixed(results):
    scenario = first_scenario(results)
    scenario["verdict"] = "NOT REPRODUCED"
    for cell in scenario["unpatched"]:
        cell["problems"] = []
    (problem,) = ET.fromstring(junit(results).encode()).findall(".//testcase/*")
    assert problem.tag == "skipped"
    (found,) = parse(ktap(results))
    assert found.ok
    assert found.subtests[0].ok
    assert "ok 1 unpatched-fails # SKIP not reproduced" in ktap(results)
    results["kernels"][0]["verdict"] = "NOT REPRODUCED"
    assert not parse(ktap(results))[0].ok


# The page

_VOID = {"meta", "link"}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.links += [values[name] for name in ("href", "src") if name in values]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_well_formed_and_needs_nothing_else(any_results, tmp_path):
    found = _Page(page(any_results, tmp_path))
    assert found.open == []
    assert "script" not in found.tags
    assert not [link for link in found.links if not link.startswith(("#", "data:,"))]
    assert any_results["verdict"] in found.text
    for kernel in any_results["kernels"]:
        assert kernel["kernel"] in found.text
        for scenario in kernel["scenarios"]:
            assert scenario["name"] in found.text


def test_the_page_shows_what_was_measured(results, tmp_path):
    text = _Page(page(results, tmp_path)).text
    scenario = first_scenario(results)
    assert "tnl_hlen -2" in text
    assert "tnl_hlen 12" in text
    assert scenario["unpatched"][0]["problems"][0] in text
    assert scenario["unpatched"][0]["drops"][0]["location"] in text
    assert results["command"] in text
    right = sum(cell["wire"]["matching"] for cell in scenario["patched"])
    assert f"{right} of {right}" in text


def test_the_page_tells_of_crashes_lost_machines_and_flaky_scenarios(results, tmp_path):
    kernel = results["kernels"][0]
    boot = {"variant": "patched", "folder": "x/patched", "status": "lost", "seconds": 300.0}
    kernel["boots"] = [{**boot, "message": "no results after 300 s"}]
    kernel["warnings"] = {"patched": ["WARNING: CPU: 0 PID: 1 at net/core/dev.c"]}
    scenario = first_scenario(results)
    scenario["crashes"] = {"patched": "Kernel panic - not syncing: Oops\nCall Trace"}
    scenario.update(flaky=True, runs={"FIXED": 3, "REGRESSED": 1})
    text = _Page(page(results, tmp_path)).text
    assert "patched kernel, boot in x/patched: lost after 300 s: no results after 300 s" in text
    assert "net/core/dev.c" in text
    assert "Kernel panic - not syncing: Oops\nCall Trace" in text
    assert "flaky: FIXED 3, REGRESSED 1" in text


def test_nothing_in_the_results_becomes_markup(results, tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    results["patches"] = [evil]
    results["command"] = results["started"] = evil
    kernel = results["kernels"][0]
    kernel["id"] = kernel["kernel"] = evil
    kernel["steps"] = [evil]
    first_scenario(results)["name"] = evil
    first_scenario(results)["patched"][0]["problems"] = [evil]
    kernel["applications"]["workloads"][0]["unpatched"]["problems"] = [evil]
    text = page(results, tmp_path)
    assert "<script" not in text
    assert _Page(text).text.count("<script>alert(1)") >= 6


def test_the_page_links_the_evidence_that_is_there(results, folder):
    cells = folder / results["kernels"][0]["id"] / "unpatched"
    cells.mkdir(parents=True)
    (cells / "console #1.log").write_text("Linux version")
    links = _Page(page(results, folder)).links
    assert "debian-6.12.117/unpatched/console%20%231.log" in links


# Plots

_SVG = "{http://www.w3.org/2000/svg}"


def test_every_request_is_a_dot(results):
    work = results["kernels"][0]["applications"]["workloads"]
    sweeps = plots.sweeps(work)
    root = ET.fromstring(plots.latency(sweeps))
    steps = [step for w in sweeps for side in ("unpatched", "patched") for step in w[side]["steps"]]
    legend = 2
    assert len(root.findall(f".//{_SVG}circle")) == legend + sum(
        len(step["milliseconds"]) for step in steps
    )
    titles = [title.text for title in root.iter(f"{_SVG}title")]
    unfinished = [title for title in titles if "not done after" in title]
    assert len(unfinished) == sum(bool(step["unfinished"]) for step in steps) > 0
    assert root.attrib["role"] == "img"
    assert "median" in root.find(f"{_SVG}desc").text


def test_marks_stay_on_the_drawing(results):
    root = ET.fromstring(plots.picture(results))
    _, _, width, height = (float(n) for n in root.attrib["viewBox"].split())
    for circle in root.iter(f"{_SVG}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height
    for text in root.iter(f"{_SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height


def test_plots_of_extreme_measurements(results):
    applications = results["kernels"][0]["applications"]
    for work in applications["workloads"]:
        for side in ("unpatched", "patched"):
            for step in work[side]["steps"]:
                step.update(milliseconds=[], unfinished=0, waited=None)
                step["latency"] = {**dict.fromkeys(("p50", "p90", "p99", "max")), "at_least": []}
    applications["drops"] = {"unpatched": [], "patched": []}
    for svg in (plots.latency(plots.sweeps(applications["workloads"])), plots.drops(applications)):
        ET.fromstring(svg)


def test_a_run_without_applications_has_no_picture(results):
    results["kernels"][0]["applications"] = None
    assert plots.picture(results) is None


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0.0, "0.0000 ms"), (4.2153, "4.22 ms"), (99.96, "100.0 ms"), (1234.5, "1.23 s")],
)
def test_durations_for_people(milliseconds, text):
    assert math.isclose(float(plots.duration(milliseconds).split()[0]), float(text.split()[0]))
    assert plots.duration(milliseconds).split()[1] == text.split()[1]


@pytest.mark.parametrize(
    ("count", "text"), [(100, "100 B"), (1400, "1.4 kB"), (4_000_000, "4 MB"), (0, "0 B")]
)
def test_sizes_for_people(count, text):
    assert plots.size(count) == text


# Commands


def test_report_makes_everything_from_the_folder(gso_kernel, folder, tmp_path):
    picture = tmp_path / "latency.svg"
    done = gso_kernel("report", folder, "--latency", picture)
    assert done.status == 0, done.err
    assert str(folder / "report.html") in done.out
    made = {path.name for path in folder.iterdir()}
    assert made == {"results.json", "report.html", "junit.xml", "results.ktap", "kcidb.json"}
    ET.fromstring(picture.read_text())
    again = (folder / "report.html").read_text()
    write(folder)
    assert (folder / "report.html").read_text() == again


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        ("{", "is not JSON"),
        ("[]", "has no results"),
        ('{"schema": 1}', "has schema 1; this program reads 2"),
        ('{"schema": 2}', "does not follow results.schema.json"),
        ('{"schema": 2, "kernels": 3, "patches": [], "verdict": "FIXED"}', "does not follow"),
    ],
)
def test_what_is_no_results_folder_is_wrong_usage(gso_kernel, tmp_path, content, message):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    done = gso_kernel("report", tmp_path)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_compare_finds_nothing_between_equal_runs(gso_kernel, folder):
    done = gso_kernel("compare", folder, folder)
    assert done.status == 0
    assert "the same verdicts and outcomes" in done.out
    assert json.loads(gso_kernel("compare", folder, folder, "--json").out)["same"] is True


def test_compare_names_what_differs(gso_kernel, results, folder, tmp_path):
    other = folder_of(broken(results), tmp_path / "other")
    done = gso_kernel("compare", folder, other)
    assert done.status == 1
    path = "debian-6.12.117/gue-outer4-inner4-nocsum"
    assert f"{path}: FIXED -> NO EFFECT" in done.out
    assert f"{path}/bulk: pass -> fail\n  24 packets dropped" in done.out
    assert "verdict: FIXED -> INCOMPLETE" in done.out
    found = json.loads(gso_kernel("compare", folder, other, "--json").out)
    assert [d["what"] for d in found["differences"]] == [
        "verdict",
        "debian-6.12.117",
        path,
        f"{path}/bulk",
    ]


def test_compare_ignores_times_and_counts_and_sees_what_is_absent(results):
    other = copy.deepcopy(results)
    cell = first_scenario(other)["patched"][0]
    cell["seconds"] += 1
    cell["retransmits"] += 1
    assert compare(results, other).differences == []
    gone = other["kernels"][0]["scenarios"].pop()
    found = compare(results, other).differences
    assert all(d.second is None and gone["name"] in d.what for d in found)
    assert len(found) == 1 + len(suites(results)[0].groups[3].cases)


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path)


def test_load_waits_for_nothing_and_follows_no_link_out_of_the_folder(tmp_path):
    results = tmp_path / "results.json"
    os.mkfifo(results)
    with pytest.raises(UsageError, match="no such file"):
        load(tmp_path)
    results.unlink()
    (tmp_path / "other.json").write_text("[]")
    results.symlink_to("other.json")
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path)


# Hostile fields

_MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\x1b]0;title\x07"


def trimmed(value):
    """Return results with at most two of whatever there are many of."""
    if isinstance(value, dict):
        return {key: trimmed(inner) for key, inner in value.items()}
    return [trimmed(inner) for inner in value[:2]] if isinstance(value, list) else value


def leaves(value, path=()):
    """Yield the path of each value that is no dictionary or list; a list's first stands for it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for first in value[:1]:
            yield from leaves(first, (*path, 0))
    else:
        yield path


def with_leaf(results, path, new):
    changed = copy.deepcopy(results)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return changed


@pytest.mark.parametrize("shape", [broken, failed_run])
def test_no_field_becomes_markup(results, tmp_path, shape):
    results = trimmed(shape(results))
    paths = list(leaves(results))
    rendered = 0
    for path in paths:
        changed = with_leaf(results, path, _MARKUP)
        try:
            with reading(tmp_path):
                shown = page(changed, tmp_path)
        except UsageError:  # refused: no string belongs there
            continue
        rendered += 1
        assert "<script" not in shown, path
        assert "<img" not in shown, path
        assert not Attributes.of(shown) & {"onerror", "src"}, path
    assert rendered > 10


class Attributes(HTMLParser):
    """Collects the names of all attributes of a page."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def handle_starttag(self, _tag, attrs):
        self.names.update(name for name, _ in attrs)

    @classmethod
    def of(cls, text):
        parser = cls()
        parser.feed(text)
        return parser.names


@pytest.mark.parametrize("name", ["../other", "/etc", "", "..", "a/b", "a\n", '"x', ".a", 7])
def test_the_id_of_a_kernel_is_no_path(results, tmp_path, name):
    results["kernels"][0]["id"] = name
    with pytest.raises(UsageError, match="does not follow"):
        write(folder_of(results, tmp_path / "run"))


def test_what_is_printed_commands_no_terminal(capsys):
    screen = TerminalScreen()
    screen.note("a\x1b[2Jb\x07\nsecond\x9b31m")
    screen.stage("a\x1b]0;title\x07")
    screen._print("c\x1b[2Jd\r\x08")
    shown = "".join(capsys.readouterr())
    assert not set(shown) & set("\x1b\x07\x9b\r\x08")
    assert "\nsecond" in shown
    assert "a\\x1b[2Jb" in shown


# --- KernelCI -------------------------------------------------------------------------------------


def valid_kcidb(results) -> dict:
    schema = pytest.importorskip("kcidb_io").schema.V5_3
    found = json.loads(kcidb(results))
    schema.validate(found)
    return found


def test_kernelci_takes_every_run(any_results):
    found = valid_kcidb(any_results)
    kernels = any_results["kernels"]
    assert len(found["checkouts"]) == len(found["builds"]) == len(kernels)
    tests = {(one["build_id"], one["path"]): one["status"] for one in found["tests"]}
    assert len(tests) == len(found["tests"]) == len({one["id"] for one in found["tests"]})
    statuses = {"pass": "PASS", "fail": "FAIL", "error": "ERROR", "skip": "SKIP"}
    for suite, build in zip(suites(any_results), found["builds"], strict=True):
        assert tests[build["id"], "gso"] == statuses[suite.status]
        for group in suite.groups:
            assert tests[build["id"], f"gso.{group.name}"] == statuses[group.status]
            for case in group.cases:
                assert tests[build["id"], f"gso.{group.name}.{case.name}"] == statuses[case.status]


@pytest.mark.parametrize(
    ("stage", "builds"), [("build", ["FAIL"]), ("vm", ["ERROR"]), ("patch", [])]
)
def test_kernelci_is_told_what_kept_a_kernel_from_being_tested(results, stage, builds):
    (kernel,) = results["kernels"]
    error = {**ERROR, "stage": stage, "message": "nul \0 and \x1b", "log_tail": "x" * 99_999}
    kernel |= {"scenarios": [], "applications": None, "boots": [], "error": error}
    kernel["verdict"] = "INCONCLUSIVE"
    found = valid_kcidb(results)
    assert [one["status"] for one in found["builds"]] == builds
    assert [one["valid"] for one in found["checkouts"]] == [stage != "patch"]
    assert [one["status"] for one in found["tests"]] == ["ERROR"] * len(builds)
    for one in found["tests"]:
        assert f"{stage}: nul" in one["log_excerpt"]


def test_kernelci_knows_runs_apart(results):
    first = valid_kcidb(results)["builds"][0]["id"]
    again = valid_kcidb(results)["builds"][0]["id"]
    other = valid_kcidb({**results, "started": "2026-11-29T08:00:00+0100"})["builds"][0]["id"]
    assert first == again != other
