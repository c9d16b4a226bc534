"""What a guest says is believed in whole lines of the right form, in order, and within limits."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from concurrent.futures import Executor, Future
from pathlib import Path
from unittest.mock import Mock

import pytest
from gso.kernel.bootable import Bootable
from gso.kernel.guest import port as guest_port
from gso.kernel.guest_files import GuestFileError
from gso.kernel.judging import coverage
from gso.kernel.judging.results import KernelReport
from gso.kernel.judging.verdict import Verdict
from gso.kernel.machine import channel, messages
from gso.kernel.machine.channel import Channel
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.runs import follow
from gso.kernel.runs.baseline import Baseline
from gso.kernel.runs.boots import BootQueue, VariantRun
from gso.kernel.runs.screen import Screen
from gso.kernel.scenarios import SCENARIOS
from gso.kernel.scenarios.model import Roles
from hypothesis import given
from hypothesis import strategies as st

COUNTS = ("mss", "retransmits", "tx_dropped", "tx_packets", "seconds")
RESULT = {
    **{"scenario": "s", "traffic": "t", "error": None},
    **{"upload_intact": True, "download_intact": True, **dict.fromkeys(COUNTS, 0)},
}
END = b'{"stage": "end", "ok": true}\n'
PLAN = {"scenarios": [{"name": "s", "traffic": [{"name": "t"}, {"name": "u"}]}]}


def cell(**changes: object) -> bytes:
    return json.dumps({"stage": "cell", "result": {**RESULT, **changes}}).encode() + b"\n"


def heard(folder: Path, *pieces: bytes) -> Channel:
    """A channel that has read these pieces, one at a time."""
    with Channel(PLAN, folder) as port:
        for piece in pieces:
            os.write(port.writer, piece)
            port.read()
    return port


def test_lines_come_in_pieces_of_any_size(tmp_path):
    said = b'{"stage": "modules"}\n' + cell(entries={"f": 3}) + cell(traffic="u") + END
    for size in (1, 7, 100, len(said)):
        folder = tmp_path / str(size)
        folder.mkdir()
        assert channel.events(folder) == []
        pieces = [said[at : at + size] for at in range(0, len(said), size)]
        assert not heard(folder, *pieces[:-1]).end or size == len(said)
        (folder / channel.PROGRESS).unlink(missing_ok=True)
        assert heard(folder, *pieces).end == {"stage": "end", "ok": True}
        stages = [event["stage"] for event in channel.events(folder)]
        assert stages == ["modules", "cell", "cell", "end"]


LINES = {
    "empty": b"\n",
    "garbage": b"\xff\0{[\n",
    "escape": b"\x1b[2J\n",
    "a list": b"[1]\n",
    "a number": b"7\n",
    "deep": b"[" * 30_000 + b"\n",
    "deep and whole": b'{"stage": ' + b"[" * 30_000 + b"]" * 30_000 + b"}\n",
    "too long": b'{"stage": "%s"}\n' % (b"x" * messages.LONGEST),
    "never ends": b"x" * (messages.LONGEST + 1),
    "no stage": b"{}\n",
    "a stage that is none": b'{"stage": 1}\n',
    "not a number": b'{"stage": "x", "seconds": NaN}\n',
    "infinite": b'{"stage": "x", "seconds": 1e999}\n',
    "endless digits": b'{"stage": "x", "seconds": %s}\n' % (b"9" * 5000),
    "no result": b'{"stage": "cell"}\n',
    "an empty result": b'{"stage": "cell", "result": {}}\n',
    "not in the plan": cell(scenario="../../etc/passwd"),
    "not in order": cell(traffic="u"),
    "twice": cell() + cell(),
    "after the last": cell() + cell(traffic="u") + cell(),
    "text for truth": cell(upload_intact="yes"),
    "truth for a count": cell(tx_dropped=True),
    "a list for an error": cell(error=["x"]),
    "text for entries": cell(entries="many"),
    "text for a count of entries": cell(entries={"f": "many"}),
    "nested": cell(frames={"a": 1}),
    "watched without symbols": b'{"stage": "x", "watched": {"f": {}}}\n',
    "a list of watched": b'{"stage": "x", "watched": ["f"]}\n',
    "numbers for symbols": b'{"stage": "x", "watched": {"f": {"why": "", "symbols": [1]}}}\n',
    "an end that says nothing": b'{"stage": "end"}\n',
    "an end that is not sure": b'{"stage": "end", "ok": "perhaps"}\n',
    "numbers for modules": b'{"stage": "end", "ok": true, "modules": {"fou": 7}}\n',
    "after the end": END + b'{"stage": "x"}\n',
    "two ends": END + END,
}


def until_refused(port: Channel) -> None:
    while True:
        port.read()


@pytest.mark.parametrize("line", LINES)
def test_what_may_not_be_said(tmp_path, line):
    with Channel(PLAN, tmp_path) as port:
        # What does not fit into the pipe waits for us.
        writer = threading.Thread(target=os.write, args=(port.writer, LINES[line]))
        writer.start()
        with pytest.raises(GuestFileError, match="guest") as error:
            until_refused(port)
        while writer.is_alive():
            port._piece()
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300
    assert "\x1b" not in "".join(map(str, channel.events(tmp_path)))


def test_a_flood_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(channel, "_MOST", 1000)
    with pytest.raises(GuestFileError, match="more than 1000 bytes"):
        heard(tmp_path, *[b'{"stage": "x"}\n'] * 100)


def test_there_are_not_too_many_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(channel, "_MOST_LINES", 3)
    line = b'{"stage": "modules"}\n'
    heard(tmp_path, line * 3)
    with pytest.raises(GuestFileError, match="more than 3 lines"):
        heard(tmp_path, line * 4)


def test_what_a_receiver_refused_is_counted(tmp_path):
    heard(tmp_path, cell(refusals={"SctpChecksumErrors": 2}))
    with pytest.raises(GuestFileError, match="no proper 'result'"):
        heard(tmp_path, cell(refusals={"SctpChecksumErrors": "two"}))


def values() -> st.SearchStrategy[object]:
    text = st.text("a\x1b\n", max_size=3)
    plain = st.none() | st.booleans() | st.integers() | st.floats() | text
    return plain | st.lists(plain, max_size=2) | st.dictionaries(text, plain, max_size=2)


NAMES = [*messages._FORMS, *messages._EXCHANGE, "stage", "seconds", "x"]


@given(
    st.dictionaries(st.sampled_from(NAMES), values()),
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from(b'{}[]":,\\\n0e\xff')), max_size=3),
)
def test_a_line_is_understood_or_refused(fields, damage):
    line = bytearray(json.dumps({"stage": "cell", "result": RESULT, **fields}).encode())
    for at, byte in damage:
        line[at % len(line)] = byte
    with contextlib.suppress(GuestFileError):
        event = messages.read(bytes(line))
        assert isinstance(event["stage"], str)
        assert event["stage"] != "end" or isinstance(event["ok"], bool)
        coverage.entries([event])


def test_a_guest_tells_no_line_that_is_too_long(tmp_path, monkeypatch):
    for folder in ("PORTS", "DEVICES"):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(guest_port, folder, tmp_path / folder)
    for number, name in enumerate(("virtme.ret", "gso.report")):
        (tmp_path / f"PORTS/vport{number}p1").mkdir()
        (tmp_path / f"PORTS/vport{number}p1/name").write_text(f"{name}\n")
        (tmp_path / f"DEVICES/vport{number}p1").touch()
    port = guest_port.Port({**channel.PORT, "longest": 30})
    port.tell(stage="modules")
    with pytest.raises(ValueError, match="35 bytes to tell, at most 30"):
        port.tell(stage="a stage of a long name")
    assert (tmp_path / "DEVICES/vport1p1").read_text() == '{"stage": "modules"}\n'


# --- what is said, against the evidence ----------------------------------------------------------


class _Machines(Executor):
    """Boots no machine: the guest of each job says what the test wants, and leaves nothing."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def submit(self, _run, job: Job) -> Future[Result]:  # type: ignore[override]
        job.folder.mkdir(parents=True)
        done: Future[Result] = Future()
        with Channel(job.plan, job.folder) as port:
            os.write(port.writer, self._said)
            port.read()
            done.set_result(Result("done", 1.0, port.end))
        return done


SCENARIO = next(scenario for scenario in SCENARIOS if len(scenario.traffic) > 1)
TOLD = [cell(scenario=SCENARIO.name, traffic=traffic.name) for traffic in SCENARIO.traffic]


def queue(folder: Path, said: bytes) -> BootQueue:
    return BootQueue(_Machines(said), folder / "kernel", folder / "stop", 1.0)


def test_a_guest_that_ends_early_is_no_verdict(tmp_path):
    run = VariantRun(queue(tmp_path, TOLD[0] + END), "a", Bootable(tmp_path / "i"), [SCENARIO])
    run.poll()
    assert run.finished
    assert SCENARIO.name in str(run.error)
    assert run.error.exit_status == 125


def test_what_is_said_without_evidence_is_no_verdict(tmp_path):
    said = b"".join(TOLD) + END
    kernel = Bootable(tmp_path / "image")
    found = Baseline(None, Roles(), (SCENARIO,), ())
    variants = {"unpatched": kernel, "patched": kernel}
    run = follow.queue_kernel(queue(tmp_path, said), variants, [(SCENARIO,)], found, repeat=1)
    report = KernelReport("id", "label")
    follow.follow(run, report, Mock(Screen))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "trace of the guest cannot be read" in str(report.error)
