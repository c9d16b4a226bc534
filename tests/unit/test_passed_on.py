"""Logs as other tools pass them on: the answer stays the same, or it says what was not read."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples

LOGS = Path(__file__).parents[1] / "vectors" / "cases" / "logs"
TIME = "2026-11-28T05:17:01.123456789Z"
Kind = Callable[[str], "str | bytes"]


def log(name: str) -> str:
    return (LOGS / f"{name}.log").read_text()


# What is wrong in each, as the right answers of the corpus say.
BASES = {
    "arm64-call-trace": {"tunnel-header-negative"},
    "right-offsets-dropped": {"dropped-in-segmentation"},
    "frag-len-false-alarm": set(),
    "len-not-larger": {"payload-not-larger"},
    "hw-csum-failure": {"receive-checksum"},
    "html-without-drops": {"packet-too-big"},
}


def lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n")


def each(wrap: Callable[[str], str]) -> Kind:
    return lambda text: "".join(f"{wrap(line)}\n" for line in lines(text))


def before(prefix: str) -> Kind:
    return each(lambda line: prefix + line)


def numbered(form: str) -> Kind:
    return lambda text: "".join(
        form.format(n=n, line=line) + "\n" for n, line in enumerate(lines(text), 1)
    )


def member(**around: object) -> Kind:
    """An object of JSON a line, of which the member whose value is None has the line."""
    return each(lambda line: json.dumps({k: line if v is None else v for k, v in around.items()}))


def marked(start: str, end: str) -> Callable[[str], str]:
    return lambda line: re.sub("(mac|skb|len)", lambda word: start + word[0] + end, line)


def bare(line: str) -> str:
    return re.sub(r"^\[ +\d+\.\d+\] ?", "", line)


def whole(make: Callable[[list[str]], object]) -> Kind:
    """One document of JSON, in one line."""
    return lambda text: json.dumps(make(lines(text))) + "\n"


def typescript(text: str) -> str:
    shown = text.replace("\n", "\r\n")
    return (
        'Script started on 2026-11-28 05:17:01+00:00 [TERM="xterm"]\n\x1b[?2004hroot@a:~# cat x\r\n'
        f"\x1b[?2004l\r{shown}\x1b[?2004hroot@a:~# \r\nScript done on 2026-11-28 05:18:01+00:00\n"
    )


SAME: dict[str, Kind] = {
    # the journal, syslog, the kernel's tools
    "short-monotonic": before("[  812.123456] web1 kernel: "),
    "short-full": before("Sat 2026-11-28 05:17:01 UTC web1 kernel: "),
    "short-unix": before("1764307021.123456 web1 kernel: "),
    "short-iso": before("2026-11-28T05:17:01+0000 web1 kernel: "),
    "with-unit": before("Sat 2026-11-28 05:17:01 UTC web1 pwru.service[12]: "),
    "verbose": each(
        lambda line: (
            "Sat 2026-11-28 05:17:01.123456 UTC [s=01ab;i=2;b=1;m=2;t=3;x=4]\n"
            f"    PRIORITY=4\n    _TRANSPORT=kernel\n    MESSAGE={line}\n    _SOURCE_X=81"
        )
    ),
    "export": each(lambda line: f"__CURSOR=s=01\nPRIORITY=4\nMESSAGE={line}\n_HOSTNAME=a\n"),
    "journal-json": member(PRIORITY="4", MESSAGE=None, _TRANSPORT="kernel"),
    "json-sse": each(lambda line: f"data: {json.dumps({'MESSAGE': line})}\n"),
    "json-seq": each(lambda line: f"\x1e{json.dumps({'MESSAGE': line})}"),
    "dmesg-json": whole(
        lambda log: {"dmesg": [{"pri": 4, "time": 8.1, "msg": bare(one)} for one in log]}
    ),
    "dmesg-x": before("kern  :warn  : "),
    "dmesg-iso": each(lambda line: f"2026-11-28T05:17:01,123456+00:00 {bare(line)}"),
    "dmesg-raw": before("<4>"),
    "kmsg": each(lambda line: f"4,1000,812123460,-;{bare(line)}"),
    "systemd-cat": before("Nov 28 05:17:01 web1 unknown[123]: "),
    "rfc5424": before("<4>1 2026-11-28T05:17:01.1Z web1 kernel - - - "),
    "rfc5424-data": before(
        '<4>1 2026-11-28T05:17:01.1Z web1 pwru 12 ID1 [meta sequenceId="1" x="a b"] '
    ),
    "rsyslog-json": member(timestamp="2026", host="web1", tag="kernel:", message=None),
    "syslog-ng": member(PROGRAM="kernel", PRIORITY="warning", MESSAGE=None),
    "lumberjack": each(lambda line: f"@cee: {json.dumps({'msg': line})}"),
    # collectors and services
    "fluentd": each(
        lambda line: f"2026-11-28 05:17:01.0 +0000 kube.x: {json.dumps({'log': line})}"
    ),
    "fluent-bit": each(
        lambda line: f"[0] kube.x: [[1764307021.1, {{}}], {json.dumps({'log': line})}]"
    ),
    "vector": member(file="/var/log/x", message=None, source_type="file"),
    "logcli": before('2026-11-28T05:17:01Z {app="x", pod="y"} '),
    "logcli-jsonl": member(labels={"app": "x"}, line=None, timestamp="2026"),
    "loki": whole(
        lambda log: {
            "data": {"result": [{"stream": {"app": "x"}, "values": [["17", one] for one in log]}]}
        }
    ),
    "elastic": each(lambda line: json.dumps({"_source": {"log": {"offset": 1}, "message": line}})),
    "cloudwatch": lambda text: (
        json.dumps({"events": [{"timestamp": 1, "message": one} for one in lines(text)]}, indent=4)
        + "\n"
    ),
    "gcp": lambda text: (
        json.dumps([{"insertId": "x", "textPayload": one} for one in lines(text)], indent=2) + "\n"
    ),
    "gelf": member(version="1.1", short_message=None, level=4),
    "splunk": each(lambda line: json.dumps({"result": {"_raw": line, "_time": "1"}})),
    "otel": whole(
        lambda log: {
            "resourceLogs": [{"logRecords": [{"body": {"stringValue": one}} for one in log]}]
        }
    ),
    "notebook": whole(
        lambda log: {"cells": [{"outputs": [{"text": [one + "\n" for one in log]}]}]}
    ),
    "one-message": lambda text: json.dumps({"PRIORITY": "4", "MESSAGE": text}) + "\n",
    "strings": whole(list),
    "string-each": each(json.dumps),
    "cri": before(f"{TIME} stdout F "),
    "docker": each(lambda line: json.dumps({"log": line + "\n", "stream": "stdout", "time": TIME})),
    "kubectl": before(f"[pod/a/b] {TIME} "),
    "stern": before("pwru-abc12 pwru "),
    "compose": before("pwru-1  | "),
    "klog": before("I1128 05:17:01.123456       1 pwru.go:12] "),
    "python-logging": before("2026-11-28 05:17:01,123 INFO root: "),
    "logfmt": each(lambda line: f'time="2026-11-28T05:17:01Z" level=info msg={json.dumps(line)}'),
    "ts": before("Nov 28 05:17:01 "),
    "actions": before("test\tRun x\t2026-11-28T05:17:01.1234567Z "),
    "clush": before("web1: "),
    # web pages, bug trackers, word processors
    "entities": html.escape,
    "entities-twice": lambda text: html.escape(html.escape(text)),
    "entities-by-number": lambda text: (
        text.replace("<", "&#60;").replace(">", "&#x3e;").replace('"', "&#34;")
    ),
    "spans": each(
        lambda line: f'<span class="line"><span style="x">{html.escape(line)}</span></span>'
    ),
    "details": lambda text: (
        f"<details>\n<summary>log</summary>\n<pre>\n{html.escape(text)}</pre>\n</details>\n"
    ),
    "noformat": lambda text: f"{{noformat}}\n{text}{{noformat}}\n",
    "quoted-fence": lambda text: "> ```\n" + before("> ")(text) + "> ```\n",
    "indented": before("    "),
    "list": before("- "),
    "bbcode": lambda text: f"[code]\n{text}[/code]\n",
    "no-break-space": lambda text: text.replace("  ", " \u00a0"),
    "zero-width-space": before("\u200b"),
    "no-break-hyphen": lambda text: text.replace("-", "\u2011"),
    "minus": lambda text: text.replace("-", "\u2212"),
    "arrow": lambda text: text.replace("->", "\u2192"),
    # encodings and line ends
    "utf-16": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "byte-order-mark": lambda text: text.encode("utf-8-sig"),
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "cr-cr-lf": lambda text: text.replace("\n", "\r\r\n"),
    "cr": lambda text: text.replace("\n", "\r"),
    "cr-in-part": lambda text: "$ cat log\n" + text.replace("\n", "\r") + "$ exit\n",
    "lf-cr": lambda text: text.replace("\n", "\n\r"),
    "vertical-tabs": lambda text: text.replace("\n", "\v"),
    "form-feeds": lambda text: text.replace("\n", "\n\f"),
    "no-last-line-feed": lambda text: text.rstrip("\n"),
    # terminals
    "grep-color": each(marked("\x1b[01;31m\x1b[K", "\x1b[m\x1b[K")),
    "color-in-json": each(
        lambda line: json.dumps({"log": marked("\x1b[1m", "\x1b[m")(line) + "\n"})
    ),
    "color-as-carets": each(marked("^[[01;31m", "^[[m")),
    "struck-over": each(
        lambda line: re.sub("(mac|skb)", lambda word: "".join(f"{c}\b{c}" for c in word[0]), line)
    ),
    "erased": before("\x1b[2K\r"),
    "saved-cursor": each(lambda line: f"\x1b7\x1b[?25l{line}\x1b8"),
    "title": before("\x1b]0;root@web1\x07"),
    "script": typescript,
    "padded": each(lambda line: line.ljust(400)),
    "more": lambda text: "--More--(12%)\n".join(text.splitlines(keepends=True)),
    "less": lambda text: text + "(END)\n~\n~\n",
    "tail-f": lambda text: f"==> /var/log/a <==\n{text}\n==> /var/log/b <==\n",
    "less-n": numbered("{n:7d} {line}"),
    "vim-number": numbered("{n:3d} {line}"),
    "cat-n": numbered("{n:6d}\t{line}"),
    "awk": numbered("{n}: {line}"),
    "uniq-c": before("      1 "),
    "grep-n": numbered("./var/log/x.log:{n}:{line}"),
    "diff-plus": before("+"),
    "diff": lambda text: "--- a.log\n+++ b.log\n@@ -1,9 +1,9 @@\n" + before(" ")(text),
    "git-blame": numbered("1a2b3c4d (J Doe 2026-11-28 05:17:01 +0000 {n:3d}) {line}"),
    "untabbed": lambda text: text.expandtabs(8),
    "double-spaced": lambda text: text.replace("\n", "\n\n"),
}


def as_csv(text: str) -> str:
    table = io.StringIO()
    csv.writer(table).writerows(
        [["time", "message"], *(["Nov 28, 2026", one] for one in lines(text))]
    )
    return table.getvalue()


def wrapped(width: int, prefix: str = "") -> Kind:
    def wrap(line: str) -> str:
        made = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
        return "\n".join(prefix + one for one in made or [""])

    return each(wrap)


# What these changed cannot be had back for sure.
NAMED: dict[str, Kind] = {
    "wrapped": wrapped(72),
    "wrapped-and-quoted": wrapped(70, "> "),
    "folded": each(lambda line: re.sub(r"(.{80})", r"\1\n", line)),
    "csv": as_csv,
    "python-list": lambda text: repr(lines(text)) + "\n",
    "python-bytes": each(lambda line: repr(line.encode())),
    "yaml": each(lambda line: "- message: '" + line.replace("'", "''") + "'"),
    "table": lambda text: "| line |\n| --- |\n" + each(lambda line: f"| {line} |")(text),
    "xml": lambda text: (
        "<log>\n" + each(lambda line: f"  <line>{html.escape(line)}</line>")(text) + "</log>\n"
    ),
    "cat-a": lambda text: text.replace("\t", "^I").replace("\n", "$\n"),
    "side-by-side": each(lambda line: f"{line[:60]:62}|  {line[:60]}"),
    "utf-16-without-mark": lambda text: text.encode("utf-16-le"),
    "utf-32": lambda text: text.encode("utf-32"),
    "cp1252": lambda text: ("caf\u00e9\n" + text).encode("cp1252"),
    "letter": lambda text: f"Hi all,\n\nwe see drops:\n\n{text}\nAny ideas?\n\nThanks\nJ\n",
    "journal-json-pretty-later": lambda text: (
        log("frag-len-false-alarm")
        + "".join(
            json.dumps({"PRIORITY": "4", "MESSAGE": one}, indent="\t") + "\n" for one in lines(text)
        )
    ),
    "strings-later": lambda text: log("frag-len-false-alarm") + repr(lines(text)) + "\n",
}


def judged(text: str | bytes) -> tuple[set[str], int, str]:
    """The rules that are broken, the events, and why the log is not judged, "" if it is."""
    data = text.encode() if isinstance(text, str) else text
    try:
        with gso.TraceReader(io.BytesIO(data)) as reader:
            found = gso.diagnose(reader)
    except gso.GsoError as error:
        return set(), 0, str(error)
    return {rule for case in found.cases for rule in case.rules}, found.events, found.not_judged


@pytest.mark.parametrize("kind", SAME)
def test_the_answer_stays_the_same(kind):
    for name, wrong in BASES.items():
        rules, events, why = judged(SAME[kind](log(name)))
        assert rules == wrong, name
        assert events == judged(log(name))[1]
        assert not why, name


@pytest.mark.parametrize("kind", NAMED)
def test_what_cannot_be_had_back_is_named(kind):
    for name, wrong in BASES.items():
        rules, _, why = judged(NAMED[kind](log(name)))
        assert rules == wrong or why, name


@pytest.mark.parametrize("kind", ["journal-json", "one-message", "strings"])
def test_a_log_before_another_is_not_lost(kind):
    for name, wrong in BASES.items():
        text = SAME[kind](log(name)) + log("frag-len-false-alarm")
        rules, _, why = judged(text)
        assert rules == wrong or why, name


@settings(max_examples=examples(200))
@given(st.data())
def test_nothing_is_fine_that_is_not(data):
    """Of tools on tools, and of one log after another, nothing wrong is lost without a word."""
    kinds = st.sampled_from(sorted({**SAME, **NAMED}))
    names = data.draw(st.lists(st.sampled_from(sorted(BASES)), min_size=1, max_size=2))
    parts = []
    for name in names:
        text: str | bytes = log(name)
        for kind in data.draw(st.lists(kinds, min_size=1, max_size=2)):
            if isinstance(text, str):
                text = {**SAME, **NAMED}[kind](text)
        parts.append(text.encode() if isinstance(text, str) else text)
    rules, _, why = judged(b"\n".join(parts))
    wrong = set().union(*(BASES[name] for name in names))
    assert why or rules or not wrong
