"""The targets of the fuzzer for texts: what trees, guests and earlier runs give the test bed.

Of most the first byte says whether the rest are pieces of a well-formed text (`tests/c_sources.py`,
`tests/kernel_texts.py`), or the text itself. What is refused by an error of the test bed is right.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, tells_of_crash
from gso.kernel.guest_files import GuestFileError, lines
from gso.kernel.judging import kernel_log, kmemleak
from gso.kernel.judging.check import scenarios_of
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.paths import SEAL
from gso.kernel.report.check import Check
from gso.kernel.runs import reuse
from gso.kernel.runs.check import judged
from gso.kernel.scenarios import DEFAULT_FAULT, plan, select
from gso.kernel.trees import functions, kconfig

import c_sources
import kernel_texts
import result_files

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
LONGEST_ANSWER = 1 << 20
"""Signs of an error, whatever a file has in it."""
SCENARIOS = select(["gue-outer4-inner4-nocsum"])
PLAN = {"scenarios": plan(SCENARIOS)}
SETTING = re.compile(r"CONFIG_\w+=\w+")


def source(data: bytes) -> None:
    """A change of a function is found in that function; no code of a file is lost."""
    kind, rest = (data[:1] or b"\0")[0] % 4, data[1:]
    if kind == 0:
        before, after, names = c_sources.edited(rest)
        assert {one.name for one in _changed(before, after)} == names
        return
    half = len(rest) // 2
    texts = (
        [c_sources.damaged(part) for part in (rest[:half], rest[half:])]
        if kind == 1
        else [part.decode(errors="replace") for part in (rest[:half], rest[half:])]
    )
    for text in texts:
        code = functions._OPAQUE.sub(functions._without_comment, text)
        found = "".join(functions.functions(text).values())
        assert sorted(found.replace(" ", "")) == sorted("".join(code.split()))
    assert not _changed(texts[0], texts[0])
    for one in _changed(*texts):
        assert all(name != one.name or callers for name, callers in one.callers)


def _changed(before: str, after: str) -> list[functions.Function]:
    return functions.changed({"net/a.c": before.encode()}, {"net/a.c": after.encode()})


def config(data: bytes) -> None:
    """Options that did not stick are told, each with a reason, and nothing else is."""
    kind, rest = (data[:1] or b"\0")[0] % 2, data[1:]
    made = kernel_texts.configured(rest)
    if kind:
        parts = [part.decode(errors="replace") for part in (rest[::2], rest[1::2])]
        made = made._replace(wanted=made.wanted + parts[0], files=(parts[1], made.files[1]))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for name, text in zip(("Kconfig", "net/Kconfig.a"), made.files, strict=True):
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        said = _said(made.wanted, made.config, Path(folder))
    assert len(said) < LONGEST_ANSWER
    have = made.config.split("\n")
    for setting in filter(SETTING.fullmatch, made.wanted.split("\n")):
        assert (setting in have) != (f"\n{setting}: " in said)


def _said(wanted: str, config: str, tree: Path) -> str:
    try:
        kconfig.check(wanted, config, tree)
    except TestBedError as error:
        return str(error)
    return ""


def kernel(data: bytes) -> None:
    """Of two logs of kernels the warnings, the crashes and the leaks are told."""
    kind, rest = (data[:1] or b"\0")[0] % 2, data[1:]
    half = len(rest) // 2
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        logs = [Path(folder, name) for name in ("unpatched", "patched")]
        for path, part in zip(logs, (rest[:half], rest[half:]), strict=True):
            path.write_bytes(part if kind else kernel_texts.log(part).encode())
            everything = "\n".join(lines(path))
            for one in kernel_log.complaints(lines(path)):
                assert one.text.split("\n")[-1].strip() in everything
                assert one.kind
            assert not list(kernel_log.new_complaints(lines(path), lines(path)))
            objects = sum(leak.objects for leak in kmemleak.parse(lines(path)))
            assert objects == sum(one.startswith("unreferenced object ") for one in lines(path))
            # The end of a log begins with what tells of a crash.
            first = TestBedError("vm", "x", path).log_tail.split("\n")[0]
            assert tells_of_crash(lines(path)) == tells_of_crash([first])
        new = [one.kind for one in kernel_log.new_complaints(*map(lines, logs))]
        assert len(set(new)) == len(new)
        leaks = [kmemleak.parse(lines(path)) for path in logs]
        assert not set(kmemleak.new(*leaks)) - set(leaks[1])


def check(data: bytes) -> None:
    """What `check` finds in the file of measurements is judged and reported, or refused."""
    kind, rest = (data[:1] or b"\0")[0] % 2, data[1:]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder, "check.json")
        path.write_bytes(rest if kind else json.dumps(_damaged(measured(), rest)).encode())
        try:
            found = Check("k", judged([DEFAULT_FAULT], path), 1.0)
        except GuestFileError:
            return
        assert found.text().isprintable() or "\n" in found.text()
        told = json.dumps(found.summary(), allow_nan=False)
        assert json.loads(told)["exit_status"] in (0, 1, TestBedError.exit_status)


def measured() -> dict[str, Any]:
    """Return measurements of a fault's scenarios: one refused, one lost, the others fine."""
    counters = dict.fromkeys(("tx_dropped", "rx_errors"), 0)
    fine: dict[str, Any] = {
        **{"upload_intact": True, "download_intact": True, "error": None, "retransmits": 0},
        **{"super_packets": 9, "seconds": 0.1, "counters": counters},
    }
    lost = {**fine, "error": "timed out", "counters": {**counters, "tx_dropped": 3}}
    found: dict[str, Any] = {
        scenario.name: {"controls": [fine], "runs": [fine]}
        for scenario in scenarios_of(DEFAULT_FAULT)
    }
    names = sorted(found)
    found[names[0]] = {"refused": "no such device"}
    found[names[1]] = {"controls": [fine, fine], "runs": [lost, {**lost, "drops": {"f": 2}}]}
    return found


def seal(data: bytes) -> None:
    """A boot of an earlier run is taken as it was sealed, or refused and said to be."""
    kind, rest = (data[:1] or b"\0")[0], data[1:]
    # Where the package is not installed, as in the folder of OSS-Fuzz, nobody knows its version.
    edition = mock.patch.object(reuse, "edition", return_value="e")
    with edition, tempfile.TemporaryDirectory(dir=MEMORY) as top:
        earlier = Path(top, "earlier")
        shutil.copytree(sealed(), earlier)
        place = earlier / SEAL
        if kind % 4 == 3:
            place.write_bytes(rest)
        else:
            forged = _damaged(json.loads(place.read_text()), rest[1:] if kind % 4 == 1 else rest)
            if kind % 4 == 1:
                _spoil(earlier, rest[:1], forged)
            if isinstance(forged, dict) and kind % 4 < 2:
                forged.pop("digest", None)
                forged["digest"] = reuse._digest_of(forged)
            place.write_text(json.dumps(forged))
        notes: list[str] = []
        known = reuse.Known(earlier, "e", notes.append)
        wanted = _job(Path(top, "now"))
        known.groups(SCENARIOS, lambda _: [wanted])
        taken = known.take(wanted)
        assert taken is None or (taken.status, notes[-1][:10]) == ("done", "now: reuse")
        assert wanted.folder.exists() == (taken is not None)


def _spoil(folder: Path, how: bytes, forged: Any) -> None:
    """Write something else into the guest's words, and fit the seal to it."""
    said = (b"\xff\n", b"[]\n", b"", b'{"stage": "cell"}\n', b'{"stage": "x"}\n' * 9)
    words = said[(how or b"\0")[0] % len(said)]
    (folder / "progress.jsonl").write_bytes(words)
    if isinstance(forged, dict) and isinstance(forged.get("files"), dict):
        forged["files"]["progress.jsonl"] = reuse._digest(words)


@cache
def sealed() -> Path:
    """Return the folder of a boot that was sealed; it stays as long as this process."""
    job = _job(Path(_kept().name, "boot"))
    (job.folder / "cells").mkdir(parents=True)
    (job.folder / "console.log").write_text("Linux version 6.12\n")
    exchange = {
        **dict.fromkeys(("mss", "retransmits", "tx_dropped", "tx_packets"), 0),
        "seconds": 1,
    }
    exchange |= {"upload_intact": True, "download_intact": True, "error": None}
    with (job.folder / "progress.jsonl").open("w") as said:
        for scenario in job.plan["scenarios"]:
            for traffic in scenario["traffic"]:
                names = {"scenario": scenario["name"], "traffic": traffic["name"]}
                event = {"stage": "cell", "result": {**exchange, **names}}
                said.write(json.dumps(event) + "\n")
    reuse.seal(job, Result("done", 1.0, {"ok": True, "modules": {}}, equipment="e"))
    return job.folder


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    """Return a folder with a file in the place of a kernel's image: nothing boots."""
    made = tempfile.TemporaryDirectory(dir=MEMORY)
    Path(made.name, "image").touch()
    return made


def _job(folder: Path) -> Job:
    return Job(Bootable(Path(_kept().name, "image")), PLAN, folder, 1.0, folder)


def _damaged(document: Any, changes: bytes) -> Any:
    return result_files.damaged(document, changes) if changes else document


TARGETS = (source, config, kernel, check, seal)
