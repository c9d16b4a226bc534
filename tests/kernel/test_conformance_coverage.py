"""Which lines of a kernel conformance reaches: the code of a small program in its place."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from unittest.mock import create_autospec

import pytest
from gso.kernel.conformance.coverage import code, counted, table
from gso.kernel.conformance.coverage.counted import ERROR, OTHER, Counted, Unreached
from gso.kernel.conformance.coverage.run import COUNTED, Coverage
from gso.kernel.errors import UsageError
from gso.kernel.guest_files import GuestFileError
from gso.kernel.machine import blocks
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.trees import debian, debug
from gso.kernel.trees.debian import DebianKernel
from gso.kernel.trees.debug import VMLINUX
from gso.kernel.trees.functions import extents

NAME = "net/core/gso.c"
SOURCE = """\
int counter;
static inline int inlined(int a)
{
	return a * 3 + counter;
}

int __attribute__((noinline)) meant(int a)
{
	if (a > 3)
		counter += 7;
	return inlined(a);
}

int __attribute__((noinline)) not_meant(int a)
{
	return a + counter;
}

int __init(int a) { return meant(a) + not_meant(a); }
int main(int argc, char **argv) { return __init(argc); }
"""
ROWS = SOURCE.split("\n")
ADDS = ROWS.index("\t\tcounter += 7;") + 1

SILENT = create_autospec(TerminalScreen)

needs_compiler = pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "addr2line"))), reason="no compiler with its tools"
)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A program in the place of a kernel with its source and its debugging symbols."""
    source, place = tmp_path / "source", tmp_path / "debug"
    (source / NAME).parent.mkdir(parents=True)
    place.mkdir()
    (source / NAME).write_text(SOURCE)
    command = ["gcc", "-g", "-O1", "-no-pie", "-o", place / VMLINUX, source / NAME]
    subprocess.run(command, check=True)
    files = (Counted(NAME, ("meant", "inlined")), Counted("net/core/none.c"))
    monkeypatch.setattr(counted, "files", lambda: files)
    monkeypatch.setattr(counted, "unreached", tuple)
    monkeypatch.setattr(debian, "whole_source", lambda _: source)
    monkeypatch.setattr(debug, "symbols", lambda *_: place)
    return DebianKernel("6.12.1", "6.12.1-1", "linux-source-6.12")


def left(folder, addresses, sections=None):
    """Leave what QEMU and a guest would."""
    (folder / blocks.FOLDER).mkdir(parents=True)
    rows = [
        "----------------",
        "IN: ",
        *(f"0x{address:016x}:  90  nop" for address in addresses),
    ]
    (folder / blocks.FOLDER / "translated.log").write_text("\n".join(rows) + "\n")
    (folder / "sections.json").write_text(json.dumps(sections or {}))


def instructions(path, function):
    """Return the addresses of a function's instructions, each with its lines, by the tools."""
    (found,) = code.of_kernel(path.parent, {function})
    return found.lines


@needs_compiler
def test_lines_are_those_of_the_instructions_that_ran(kernel, tmp_path):
    coverage = Coverage(tmp_path / "counts")
    coverage.prepare(kernel, SILENT)
    lines = instructions(tmp_path / "debug" / VMLINUX, "meant")
    assert {number for places in lines.values() for _, number in places} >= {ADDS, ADDS + 1, 4}
    assert all(any(address in one for one in coverage.watched) for address in lines)
    adding = {a for a, places in lines.items() if (NAME, ADDS) in places}
    left(tmp_path / "first", sorted(lines.keys() - adding))
    coverage.take(tmp_path / "first")
    text = coverage.write({"mode": "tunnels", "seed": 1, "sent": 2, "different": 0})
    assert "| all |" in text
    kept = json.loads((tmp_path / "counts" / COUNTED).read_text())
    assert kept["lines"][NAME][str(ADDS)] == 0
    assert kept["lines"][NAME][str(ADDS + 1)] == 1
    page = (tmp_path / "counts" / "coverage.md").read_text()
    assert f"- `meant`, line {ADDS}, `counter += 7;`: **not explained**" in page
    # A second run adds to the first.
    again = Coverage(tmp_path / "counts")
    again.prepare(kernel, SILENT)
    left(tmp_path / "second", lines)
    again.take(tmp_path / "second")
    again.write({"mode": "gro", "seed": 2, "sent": 3, "different": 0})
    kept = json.loads((tmp_path / "counts" / COUNTED).read_text())
    assert [run["mode"] for run in kept["runs"]] == ["tunnels", "gro"]
    assert kept["lines"][NAME][str(ADDS)] == 1
    assert kept["lines"][NAME][str(ADDS + 1)] == 2
    assert "not explained" not in (tmp_path / "counts" / "coverage.md").read_text()


@needs_compiler
@pytest.mark.parametrize(
    "text", ["", "{}", '{"kernel": "another", "runs": [], "lines": {}}', "[1]"]
)
def test_counts_of_another_kernel_are_refused(kernel, tmp_path, text):
    (tmp_path / COUNTED).write_text(text)
    with pytest.raises(UsageError, match=COUNTED):
        Coverage(tmp_path).prepare(kernel, SILENT)


@needs_compiler
@pytest.mark.parametrize("said", ["[]", '{"m": 1}', '{"m": {".text": "here"}}', "{", "null"])
def test_a_guest_that_lies_about_its_modules_is_seen(kernel, tmp_path, said):
    module = tmp_path / "debug" / "m.ko"
    command = ["gcc", "-g", "-O1", "-c", "-o", module, tmp_path / "source" / NAME]
    subprocess.run(command, check=True)
    coverage = Coverage(tmp_path / "counts")
    coverage.prepare(kernel, SILENT)
    left(tmp_path / "vm", [])
    (tmp_path / "vm" / "sections.json").write_text(said)
    with pytest.raises(GuestFileError, match=r"sections.json"):
        coverage.take(tmp_path / "vm")


@needs_compiler
def test_a_module_is_where_the_guest_says(kernel, tmp_path):
    module = tmp_path / "debug" / "m.ko"
    command = ["gcc", "-g", "-O1", "-c", "-o", module, tmp_path / "source" / NAME]
    subprocess.run(command, check=True)
    coverage = Coverage(tmp_path / "counts")
    coverage.prepare(kernel, SILENT)
    (own,) = (one for one in code.of_kernel(tmp_path / "debug", {"meant"}) if one.module)
    start = 0xFFFFFFFFC0100000
    left(tmp_path / "vm", [start + a for a in own.lines], {"m": {".text": hex(start)}})
    coverage.take(tmp_path / "vm")
    coverage.write({"mode": "types", "seed": 1, "sent": 1, "different": 0})
    kept = json.loads((tmp_path / "counts" / COUNTED).read_text())
    assert kept["lines"][NAME][str(ADDS)] == 1


def test_lines_have_their_functions_by_their_numbers():
    found = {name: (extent[0], extent[-1]) for name, extent in extents(SOURCE)}
    assert found["inlined"] == (2, 5)
    assert found["meant"] == (7, 12)
    meant = counted.lines(Counted(NAME), SOURCE)
    assert meant[ADDS] == "meant"
    assert 1 not in meant


def test_lines_that_are_explained_are_no_others():
    why = Unreached(("skb_*",), ERROR, "memory", ("goto out;",), after="alloc")
    assert why.fits("skb_segment", "goto out;", "if (!alloc())")
    assert not why.fits("skb_segment", "goto out;", "if (!pull())")
    assert not why.fits("skb_segment", "goto err;", "if (!alloc())")
    assert not why.fits("tcp_segment", "goto out;", "if (!alloc())")


def test_failures_are_counted_apart(monkeypatch):
    text = "int f(void)\n{\n\tone();\n\ttwo();\n\tthree();\n\tfour();\n}\n"
    told = (
        Unreached(("f",), ERROR, "no memory", ("two();",)),
        Unreached(("f",), OTHER, "no driver", ("three();",)),
        Unreached(("f",), OTHER, "nothing is so", ("one();",)),
    )
    monkeypatch.setattr(counted, "files", lambda: (Counted("a.c"),))
    monkeypatch.setattr(counted, "unreached", lambda: told)
    counts = {"a.c": Counter({3: 5, 4: 0, 5: 0, 6: 0})}
    found = table.lines(counts, lambda _: text)
    tally = table.Tally.of(found)
    assert (tally.lines, tally.reached, tally.error, tally.other, tally.open) == (4, 1, 1, 1, 1)
    assert tally.share == pytest.approx(1 / 3)
    assert tally.followed == pytest.approx(1 / 2)
    assert tally.cells().endswith("| 33.3 % | 50.0 %")
    assert table.stale(found) == [told[2]]
    page = table.page("6.12", [], found)
    assert "`two();`: no memory (failure)" in page
    assert "`four();`: **not explained**" in page
    assert "`one();`: nothing is so" in page.partition("reached all the same")[2]


def test_what_is_counted_names_kinds_that_there_are():
    assert all(one.kind in (ERROR, OTHER) and one.why for one in counted.unreached())
    assert len({file.name for file in counted.files()}) == len(counted.files())


@needs_compiler
@pytest.mark.parametrize("words", [("--boot", "vng"), ("--executor", "dask://localhost:1")])
def test_only_machines_of_this_host_and_of_its_own_way_tell_lines(gso_kernel, words):
    done = gso_kernel("conformance", "--coverage", "counts", *words)
    assert done.status == 2
    assert "--coverage" in done.err
