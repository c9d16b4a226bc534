"""``gso diagnose`` on many logs, and its page: nothing that the text tells is left out."""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

import gso
from gso.cli import main
from gso.drawing.diagnosis_page import page
from gso.drawing.diagnosis_text import report
from gso.drawing.offsets import drawing

DATA = Path(__file__).parents[1] / "kernel/data"
UNPATCHED, PATCHED = DATA / "incident-unpatched.trace", DATA / "incident-patched.trace"
SCHEMA = json.loads(files("gso.commands").joinpath("diagnose.schema.json").read_text())
DROPS = "".join(
    f"          <idle>-0     [001] ..s.    {n}.213051: kfree_skb: skbaddr=0xffff9ca661e9020{n} "
    f"protocol=2048 location=place_{n}+0x1/0x2 reason: {reason}\n"
    for n, reason in enumerate(["NO_SOCKET", "0x30001", "<b>bold</b>", "TCP_FLAGS"] * 2)
)


@pytest.fixture
def drops(tmp_path) -> Path:
    log = tmp_path / "drops <i>.log"
    log.write_text("# tracer: nop\n" + DROPS + "          <idle>-0     [001] ..s.  \n")
    return log


def read(*logs: Path) -> list[tuple[str, gso.Diagnosis]]:
    return [(str(log), gso.diagnose(gso.read_trace(log))) for log in logs]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("many", [False, True])
def test_the_page_tells_all_that_the_text_does(drops, many):
    found = read(UNPATCHED, PATCHED, drops) if many else read(UNPATCHED)
    document = page(found)
    assert "<b>bold" not in document
    shown = squeezed(html.unescape(re.sub(r"<[^>]*>", "", document)))
    for name, diagnosis in found:
        for line in report(name, diagnosis):
            # Events are a table there, and offsets a picture.
            if not re.match(r"\s*(line \d+: \d|\^|\||offsets from)", line):
                assert squeezed(line) in shown, line


def test_equal_cases_of_logs_are_joined(drops):
    found = [diagnosis for _, diagnosis in read(UNPATCHED, PATCHED, UNPATCHED, drops)]
    merged = found[0].merge(found[1:])
    (case,) = found[0].cases
    (joined,) = merged.cases
    assert joined.kind == case.kind
    assert joined.packets == 2 * case.packets
    assert joined.dropped == 2 * case.dropped
    assert joined.flows == case.flows + case.flows
    assert joined.events == case.events
    assert joined.first_time is None
    assert merged.events == sum(one.events for one in found)
    assert merged.lines == sum(one.lines for one in found)
    assert merged.damaged == sum(one.damaged for one in found)
    assert merged.drops == sum((one.drops for one in found[1:]), found[0].drops)
    for rule, count in merged.judged.items():
        assert count == sum(one.judged.get(rule, 0) for one in found)
    assert case.packets == found[0].cases[0].packets, "the parts stay as they are"


def test_a_log_that_was_not_judged_keeps_the_whole_from_being_clean():
    (_, clean), = read(PATCHED)  # fmt: skip
    refused = gso.Diagnosis.refused("it cannot be read")
    assert clean.clean
    assert clean.merge([clean]).clean
    for merged in (clean.merge([refused]), refused.merge([clean])):
        assert not merged.clean
        assert "1 of 2 logs: it cannot be read" in merged.not_judged
        assert any("1 of 2 logs" in line for line in report("all", merged))


def test_text_and_json_sum_up(tmp_path, capsys):
    (tmp_path / "empty").write_text("")
    logs = [str(log) for log in (UNPATCHED, UNPATCHED, PATCHED, tmp_path / "empty")]
    assert main(["diagnose", *logs]) == 2
    text = " ".join(capsys.readouterr().out.split())
    assert "4 logs: 2 with findings, 1 with none, 1 not judged" in text
    assert f"in 2 logs: {UNPATCHED}, {UNPATCHED}" in text
    assert main(["diagnose", "--json", *logs]) == 2
    whole = json.loads(capsys.readouterr().out)
    (equal,) = whole["summary"]
    assert equal["logs"] == logs[:2]
    assert equal["packets"] == sum(case["packets"] for case in whole["findings"])
    assert main(["diagnose", "--ndjson", *logs]) == 2
    *lines, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [line["log"] for line in lines] == logs
    assert last["summary"] == whole["summary"]
    for line, log in zip(lines, whole["logs"], strict=True):
        assert line.items() >= log.items()


def test_json_is_as_its_schema_says(drops, capsys):
    jsonschema = pytest.importorskip("jsonschema")
    checker = jsonschema.Draft202012Validator(SCHEMA)
    checker.check_schema(SCHEMA)
    logs = [str(UNPATCHED), str(PATCHED), str(drops), "/nonexistent"]
    for option in ("--json", "--ndjson"):
        main(["diagnose", option, *logs])
        out = capsys.readouterr().out
        for document in [out] if option == "--json" else out.splitlines():
            checker.validate(json.loads(document))
    assert not checker.is_valid({"schema": "gso.diagnose/1", "summary": [], "other": 1})


def test_a_log_is_never_overwritten_by_the_page(drops, tmp_path, capsys):
    before = drops.read_bytes()
    for arguments in (
        ["--html", str(drops), str(PATCHED)],
        [str(drops), "--html", str(drops)],
    ):
        assert main(["diagnose", *arguments]) == 2
        assert "would overwrite it" in capsys.readouterr().err
        assert drops.read_bytes() == before
    target = tmp_path / "page.html"
    for _ in range(2):  # a page may be written anew
        assert main(["diagnose", str(PATCHED), "--html", str(target)]) == 0
    assert target.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("encapsulation", [0, None])
def test_a_plain_packet_is_drawn_as_one(tmp_path, encapsulation):
    log = tmp_path / "plain.log"
    known = "" if encapsulation is None else f"encapsulation={encapsulation} "
    log.write_text(
        "# tracer: nop\n          <idle>-0     [001] ..s.     1.578474: __dev_queue_xmit: "
        '(__dev_queue_xmit+0x0/0x510) skb=0xffff9ca661e90200 dev="eth0" len=2962 data_len=1448 '
        f"gso_size=1448 gso_type=1 protocol=0x800 ip_summed=0 {known}mac_header=68 "
        "network_header=82 transport_header=102 inner_mac_header=0 inner_network_header=0 "
        "inner_transport_header=0\n"
    )
    found = read(log)
    (case,) = found[0][1].cases
    text = "\n".join(drawing(case))
    document = page(found)
    picture = document[document.index("<svg") : document.index("</svg>")]
    for shown in (text, re.sub(r'class="\w+"', "", picture)):
        assert "tunnel" not in shown
        assert "inner" not in shown
        assert "outer" not in shown
    assert "|IP 20" in text
    assert ">IP<" in picture
    assert ">TCP, UDP ...<" in picture


def test_a_diagnosis_can_be_shown(capsys):
    found = gso.diagnose(gso.read_trace(UNPATCHED))
    assert isinstance(found, gso.Diagnosis)
    assert main(["diagnose", str(UNPATCHED)]) == 1
    assert found.to_text(str(UNPATCHED)) == capsys.readouterr().out
    main(["diagnose", "--ndjson", str(UNPATCHED)])
    assert found.to_dict(str(UNPATCHED)) == json.loads(capsys.readouterr().out.splitlines()[0])
    assert found.to_html().startswith("<!DOCTYPE html>")
    both = found.merge([found])
    assert both.to_dict()["findings"][0]["packets"] == 2 * found.cases[0].packets
