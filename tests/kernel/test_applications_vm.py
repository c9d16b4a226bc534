"""Real applications through real kernels, and the report on them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from gso.kernel.paths import patches_folder
from gso.kernel.report.load import SCHEMA
from gso.kernel.scenarios import select

from ktap_parser import parse

pytestmark = pytest.mark.vm

V4_ONLY = patches_folder() / "ipvs-gue-inner-mac-header-v4-only.patch"


@pytest.mark.usefixtures("nothing_is_left_behind")
def test_half_a_fix_is_incomplete_and_helps_half_of_the_users(verify):
    """The fix's first version, for IPv4 only: HTTP/1.1 goes over IPv4 here, HTTP/2 over IPv6."""
    done = verify(V4_ONLY, "--applications", "--quick", "--timeout", "900", timeout=3600)
    assert (done.status, done.report["verdict"]) == (1, "INCOMPLETE"), done.out + done.err
    faults = select((), ["control"])
    failing = done.report["kernels"][0]["still_failing"]
    assert failing == [*(s.name for s in faults if s.outer == 6), "http2-uploads-ipv6"]
    assert all(name in done.out for name in failing)

    folder = Path(done.report["folder"])
    assert f"report: results/{folder.name}/report.html" in done.out
    results = json.loads((folder / "results.json").read_text())
    jsonschema.validate(results, json.loads(SCHEMA.read_text()))
    assert results["verdict"] == "INCOMPLETE"
    (kernel,) = results["kernels"]
    workloads = {work["name"]: work for work in kernel["applications"]["workloads"]}
    assert {name: work["verdict"] for name, work in workloads.items()} == {
        "http1-uploads-ipv4": "FIXED",
        "http2-uploads-ipv6": "NO EFFECT",
        "http2-many-ipv4": "FIXED",
        "http1-responses-ipv4": "UNAFFECTED",
        "http2-responses-ipv6": "UNAFFECTED",
    }
    http1 = {step["size"]: step for step in workloads["http1-uploads-ipv4"]["patched"]["steps"]}
    assert http1[100]["segmented"] == 0
    assert http1[2_000]["segmented"] > 0
    assert http1[2_000]["drops"] == 0
    assert len(http1[2_000]["milliseconds"]) == http1[2_000]["requests"]
    before = workloads["http1-uploads-ipv4"]["unpatched"]["steps"]
    series = kernel["applications"]["drops"]["unpatched"]
    counts = [count for _, count in series]
    assert counts == sorted(counts)
    assert counts[-1] >= sum(step["drops"] for step in before) > 0
    times = [at for at, _ in series]
    assert times == sorted(times)

    (found,) = parse((folder / "results.ktap").read_text())
    wrong = {test.name for test in found.subtests if not test.ok}
    assert wrong == set(failing)
    root = ET.parse(folder / "junit.xml").getroot()
    assert int(root.attrib["failures"]) >= 2
    page = (folder / "report.html").read_text()
    for name in ("console.log", "guest.log", "config"):
        assert any((folder / kernel["id"]).rglob(name)), name
        assert name in page
