"""Logs as people post them: the answer of ``gso diagnose`` to each is right, or "not judged"."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gso.cli import main

LOGS = Path(__file__).parents[1] / "vectors" / "cases" / "logs"


def diagnosed(capsys, name):
    """Return (exit status, the JSON report) for a log of the corpus."""
    status = main(["diagnose", "--json", str(LOGS / name)])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "looks"),
    [
        ("zero-events.log", "a quoted log"),
        ("zero-events-retis.json.log", "retis' events in JSON"),
        ("zero-events-function-graph.log", "ftrace's function or function_graph tracer"),
    ],
)
def test_a_log_without_events_is_not_judged(capsys, name, looks):
    status, report = diagnosed(capsys, name)
    assert status == 2
    assert not report["clean"]
    [log] = report["logs"]
    assert log["events"] == 0
    assert log["lines"] > 0
    assert log["unread_lines"]
    assert main(["diagnose", str(LOGS / name)]) == 2
    text = capsys.readouterr().out
    assert "nothing wrong" not in text
    assert looks in " ".join(text.split())


def test_an_unreadable_log_costs_that_log_only(tmp_path, capsys):
    (tmp_path / "none").write_text("hello\n")
    logs = [str(tmp_path / "none"), str(LOGS / "arm64-call-trace.log"), str(tmp_path / "missing")]
    assert main(["diagnose", *logs]) == 2
    captured = capsys.readouterr()
    assert "tunnel-header-negative: 1 packet" in captured.out
    assert captured.err.count("gso: ") == 2


def test_a_page_never_replaces_a_log(tmp_path, capsys):
    log = tmp_path / "a.log"
    log.write_bytes((LOGS / "arm64-call-trace.log").read_bytes())
    before = log.read_bytes()
    assert main(["diagnose", "--html", str(log), str(log)]) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert log.read_bytes() == before


def test_the_page_tells_what_the_text_does(tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["diagnose", "--html", str(page), str(LOGS / "html-without-drops.log")]) == 2
    text = page.read_text()
    assert "PKT_TOO_BIG" in text
    assert "ip_forward" in text
    assert "Not judged" in text
    assert "drop for other reasons" in capsys.readouterr().out
