"""Whether the changed code ran: what is counted for a function, and what the counts say."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from gso.kernel.bootable import Bootable
from gso.kernel.judging import coverage
from gso.kernel.judging.coverage import Code, Entries
from gso.kernel.trees import symbols
from gso.kernel.trees.functions import OUTSIDE, Function

FILE = "net/ipv6/x.c"
LISTED = """\
0000000000000010 0000000000000200 T large
0000000000000210 0000000000000200 t copied.isra.0
0000000000000410 0000000000000020 t small
0000000000000430 0000000000000200 t caller
0000000000000430 0000000000000200 t caller.cold
0000000000000630 0000000000000200 t twice
0000000000000830 0000000000000200 t twice
0000000000000a30 0000000000000004 D data
"""


def planned(tmp_path, *functions: Function):
    kept = tmp_path / "symbols"
    kept.write_text(LISTED)
    return symbols.plan(functions, Bootable(tmp_path / "image", symbols=kept))


@pytest.mark.parametrize(
    ("function", "places", "why"),
    [
        (Function(FILE, "large"), ["large"], ""),
        (Function(FILE, "copied"), ["copied.isra.0"], ""),
        # It may be in its caller, too.
        (Function(FILE, "small", (("small", ("caller",)),)), ["small", "caller"], ""),
        (Function(FILE, "inlined", (("inlined", ("caller", "large")),)), ["caller", "large"], ""),
        (Function(FILE, "deep", (("deep", ("gone",)), ("gone", ("large",)))), ["large"], ""),
        (Function(FILE, "round", (("round", ("ring",)), ("ring", ("round",)))), [], "no symbol"),
        (Function(FILE, "twice"), [], "several functions named twice"),
        (Function(FILE, "data"), [], "no symbol"),
        (Function(FILE, "large", (), only_at_load=True), [], "starts"),
    ],
)
def test_what_is_counted_for_a_function(tmp_path, function, places, why):
    (found,) = planned(tmp_path, function)
    assert (found["name"], found["places"]) == (function.name, places)
    assert why in found["why"]
    assert bool(found["why"]) == (not places)


def test_code_outside_functions_is_not_asked_for(tmp_path):
    assert planned(tmp_path, Function(FILE, OUTSIDE)) == []


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_symbols_of_a_module_are_counted_in_it(tmp_path):
    source = tmp_path / "a.c"
    source.write_text("void probe(void) {}\nstatic int hidden;\nint *use(void) {return &hidden;}\n")
    module = tmp_path / "ip-x.ko"
    subprocess.run(["gcc", "-c", source, "-o", module], check=True)
    (found,) = symbols.plan([Function(FILE, "probe")], Bootable(tmp_path, (module,)))
    assert found["places"] == ["ip_x:probe"]


def watched(**counts: int) -> Entries:
    return Entries({name: (name,) for name in counts}, {}, counts)


def test_entries_are_summed_over_boots_and_cells():
    events = [
        {"stage": "topology", "watched": {"f": {"symbols": ["m:f"], "why": ""}}},
        {"stage": "traffic", "entries": {"f": 2}},
        {"stage": "cell", "result": {"entries": {"f": 40}}},
        {"stage": "cell", "result": {"scenario": "refused"}},
    ]
    found = coverage.entries(events)
    assert found == Entries({"f": ("m:f",)}, {"f": ""}, {"f": 42})
    code = coverage.code(FILE, "f", {"unpatched": [found, found], "patched": [watched(f=0)]})
    assert code.entries == {"unpatched": 84, "patched": 0}
    assert code.ran
    assert str(code) == "f: entered 84 unpatched, 0 patched"


def code(unpatched: int | None, patched: int | None, name: str = "f") -> Code:
    return Code(FILE, name, (name,), {"unpatched": unpatched, "patched": patched}, "it is so")


@pytest.mark.parametrize(
    ("codes", "none"),
    [
        ([], False),
        ([code(0, 0)], True),
        # It is new.
        ([code(None, 0)], True),
        ([code(None, None)], False),
        ([code(0, 0), code(None, None, "g")], False),
        ([code(0, 3)], False),
        ([code(0, 0), code(1, 0, "g")], False),
        ([code(0, 0), code(None, None, OUTSIDE)], True),
        ([code(None, None, OUTSIDE)], False),
    ],
)
def test_that_none_ran_is_said_only_where_it_is_certain(codes, none):
    assert coverage.none_ran(codes) == none


def test_a_scenario_is_touched_unless_it_is_certain_that_it_is_not():
    idle, busy = {"entries": {"f": 0}}, {"entries": {"f": 1}}
    assert not coverage.touches([code(5, 5)], [idle, idle])
    assert coverage.touches([code(5, 5)], [idle, busy])
    assert coverage.touches([code(None, None)], [idle])
    assert coverage.touches([], [])


def test_what_stands_for_a_function_is_named():
    entries = {"unpatched": 3, "patched": 4}
    assert str(Code(FILE, "f", ("m:g",), entries)) == (
        "f: counted through m:g: entered 3 unpatched, 4 patched"
    )
    assert str(code(None, None)) == "f: not counted, because it is so"
    # It is new, or a compiler made something else of it.
    assert str(code(None, 3)) == "f: entered unpatched not counted, 3 patched"
    assert str(Code(FILE, "f", ("m:f.isra.0",), entries)).startswith("f: entered 3")
