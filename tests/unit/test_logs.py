"""Logs as people post them: the answer of ``gso diagnose`` to each is right, or "not judged"."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
from gso.cli import main

LOGS = Path(__file__).parents[1] / "vectors" / "cases" / "logs"


def diagnosed(capsys, name):
    """Return (exit status, the JSON report) for a log of the corpus."""
    status = main(["diagnose", "--json", str(LOGS / name)])
    return status, json.loads(capsys.readouterr().out)


def test_a_log_without_sk_buffs_is_not_judged(capsys):
    status, report = diagnosed(capsys, "zero-events-function-graph.log")
    assert status == 2
    assert not report["clean"]
    [log] = report["logs"]
    assert log["events"] == 4
    assert log["why_not_judged"]
    assert main(["diagnose", str(LOGS / "zero-events-function-graph.log")]) == 2
    text = capsys.readouterr().out
    assert "nothing wrong" not in text
    assert "bpftrace -B none" in text


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
    assert main(["diagnose", "--html", str(page), str(LOGS / "html-without-drops.log")]) == 1
    for text in (page.read_text(), capsys.readouterr().out):
        assert "packet-too-big" in text
        assert "PKT_TOO_BIG" in text
        assert "ip_forward" in text
        assert "not judged" in text


HEADER = "tunnel-header-negative"


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("ansi-dmesg", [HEADER]),
        ("ansi-grep-field", [HEADER]),
        ("arm64-call-trace", [HEADER]),
        ("bad-offload-fraglist", ["bad-offload"]),
        ("bad-offload-none", ["bad-offload"]),
        ("bad-offload-old-kernel", ["bad-offload"]),
        ("csum-word-old-kernel", ["checksum-outside"]),
        ("dump-behind-64k", [HEADER]),
        ("dump-in-one-line", [HEADER]),
        ("hw-csum-failure", ["receive-checksum"]),
        ("kubectl-timestamps", ["dropped-in-segmentation"]),
        ("len-not-larger", ["payload-not-larger"]),
        ("len-not-larger-dump", ["payload-not-larger"]),
        ("nongso-drop-in-validate", ["dropped-in-validation"]),
        ("nul-bytes", [HEADER]),
        ("plain-drawn-as-tunnel", ["uso-checksum"]),
        ("right-offsets-dropped", ["dropped-in-segmentation"]),
        ("srv6-gso-type", ["dropped-in-segmentation"]),
        ("trace-cmd-stack", ["dropped-in-segmentation"]),
        ("zero-events-retis.json", ["dropped-in-segmentation"]),
    ],
)
def test_what_is_wrong_is_found(capsys, name, rules):
    status, report = diagnosed(capsys, f"{name}.log")
    assert status == 1
    assert [finding["rule"] for finding in report["findings"]] == rules


@pytest.mark.parametrize("name", ["frag-len-false-alarm", "dump-cut-by-buffer", "cut-last-line"])
def test_there_is_no_false_alarm(capsys, name):
    status, report = diagnosed(capsys, f"{name}.log")
    assert status == 0
    assert report["clean"]
    assert not report["findings"]


@pytest.mark.parametrize("name", ["right-offsets-dropped", "srv6-gso-type"])
def test_right_offsets_are_called_right(capsys, name):
    [finding] = diagnosed(capsys, f"{name}.log")[1]["findings"]
    assert "its offsets are right; look at gso_type, len" in finding["message"]


def test_a_quoted_log_is_read(capsys):
    status, report = diagnosed(capsys, "zero-events.log")
    assert status == 2
    assert report["logs"][0]["events"] == 1


def test_an_encapsulator_behind_an_arm_trace_is_named(capsys):
    [finding] = diagnosed(capsys, "arm64-call-trace.log")[1]["findings"]
    assert finding["function"] == "ip_vs_tunnel_xmit"


DUMP = (LOGS / "arm64-call-trace.log").read_text()
PREFIXES = [
    "2026-11-28T05:17:01.123456789Z stdout F ",
    "2026-11-28T05:17:01.123456789Z ",
    "[pod/pwru-x7/pwru] ",
    "Nov 28 05:17:01 node1 kernel: ",
    "> ",
    "> > ",
    "pwru-1  | ",
    "\x1b[32m",
    "",
]


@given(
    prefix=st.sampled_from(PREFIXES),
    noise=st.sampled_from(["", "\0", "\x1b[0m", "\x1b[01;31m\x1b[K"]),
    before=st.integers(0, 1500),
)
def test_what_stands_around_a_dump_changes_nothing(prefix, noise, before):
    other = ["[    1.000000] usb 1-1: new high-speed USB device number 2 using xhci_hcd"] * before
    lines = [prefix + noise + line for line in [*other, *DUMP.splitlines()]]
    diagnosis = gso.diagnose(gso.TraceReader(io.BytesIO("\n".join(lines).encode())))
    [case] = diagnosis.cases
    assert case.rules == (HEADER,)
    assert case.function == "ip_vs_tunnel_xmit"
    assert case.example.line == before + 1 + DUMP[: DUMP.index("skb len=")].count("\n")


@given(cut=st.integers(0, len(DUMP)))
def test_a_cut_makes_no_other_finding(cut):
    try:
        diagnosis = gso.diagnose(gso.read_trace(io.BytesIO(DUMP[:cut].encode())))
    except gso.GsoError:
        return
    assert {case.rules for case in diagnosis.cases} <= {(HEADER,)}


@pytest.mark.parametrize("text", [b"\n", b"Hi all,\n\nhere is what I see\n", b"\n\n\n", b" \n\t\n"])
def test_empty_lines_before_any_event(text):
    with pytest.raises(gso.GsoError, match=r"has a format|is empty"):
        gso.read_trace(io.BytesIO(text))
