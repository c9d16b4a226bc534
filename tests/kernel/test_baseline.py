"""What a patch is compared with: the fault it is about, whose fix goes, and the scenarios."""

from __future__ import annotations

import difflib

import pytest
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.paths import patches_folder
from gso.kernel.runs import baseline
from gso.kernel.runs.baseline import Asked
from gso.kernel.scenarios import DEFAULT_FAULT, FAULTS, SCENARIOS, Roles
from gso.kernel.scenarios.faults import Fault
from gso.kernel.scenarios.reach import REACH, sample, scenarios_of
from gso.kernel.trees.patches import Patch, read_series
from gso.kernel.trees.targets import PatchedTarget

FILE, OTHER = "drivers/net/geneve.c", "net/sctp/offload.c"
FIXED = """\
#define LENGTH 8
int build(int n)
{
\tset_protocol(n);
\treturn n;
}

int receive(int n)
{
\treturn n + 1;
}

int last(int n)
{
\tfinish(n);
\treturn n + 2;
}
"""
BROKEN = FIXED.replace("\tset_protocol(n);\n", "")
ALSO_BROKEN = FIXED.replace("\tfinish(n);\n", "")


def patch(name: str, before: str, after: str, file: str = FILE) -> Patch:
    lines = [text.splitlines(keepends=True) for text in (before, after)]
    diff = "".join(difflib.unified_diff(*lines, f"a/{file}", f"b/{file}"))
    return Patch.parse(name, diff.encode())


class Tree(PatchedTarget):
    id = label = "tree"

    def __init__(self, text: str = FIXED):
        self.files = {FILE: text.encode(), OTHER: b"int cut(int n)\n{\n\treturn n;\n}\n"}

    def _pristine(self, names):
        return {name: self.files.get(name) for name in names}

    def _build(self, files, log):  # noqa: ARG002
        return Bootable(log)

    def _build_outlook(self, files):  # noqa: ARG002
        return "nothing"


def fault(tmp_path, name: str, fix: Patch, function: str) -> Fault:
    path = tmp_path / f"{name}.patch"
    path.write_bytes(fix.text)
    words = ("geneve-outer4-inner4-csum",)
    return Fault(name, name, "", str(path), (FILE,), (function,), words, words, None)


@pytest.fixture
def faults(tmp_path, monkeypatch):
    known = (
        fault(tmp_path, "one", patch("one", BROKEN, FIXED), "build"),
        fault(tmp_path, "two", patch("two", ALSO_BROKEN, FIXED), "last"),
    )
    monkeypatch.setattr(baseline, "FAULTS", known)
    monkeypatch.setattr(baseline, "named", {f.name: f for f in known}.__getitem__)
    return known


def found(series: Patch, asked: Asked | None = None, tree: Tree | None = None):
    tree = tree or Tree()
    result, steps = baseline.find(tree, [series], asked or Asked())
    before, after = tree.changes()
    return result, "; ".join(steps), before[FILE].decode(), after[FILE].decode()


def test_only_the_fix_of_the_fault_that_is_recognised_goes(faults):
    for known, broken in zip(faults, (BROKEN, ALSO_BROKEN), strict=True):
        result, steps, before, after = found(Patch.read(known.patch_path))
        assert (result.fault, result.roles) == (known, known.roles)
        assert (before, after) == (broken, FIXED)
        assert f"the fix {known.name}: taken out" in steps
        assert [f.name for f in result.functions] == list(known.functions)
        assert [s.name for s in result.scenarios] == list(known.scenarios)


def test_a_fix_that_the_tree_lacks_is_recognised_as_well(faults):
    result, _, before, after = found(Patch.read(faults[0].patch_path), tree=Tree(BROKEN))
    assert (result.fault, result.roles.fails) == (faults[0], faults[0].fails)
    assert (before, after) == (BROKEN, FIXED)


def test_another_function_is_no_fault_and_the_tree_stays_as_it_is(faults):
    changed = FIXED.replace("n + 1", "n + 3")
    result, steps, before, after = found(patch("other", FIXED, changed))
    assert (result.fault, result.roles) == (None, Roles())
    assert (before, after) == (FIXED, changed)
    assert {s.kind for s in result.scenarios} == {"geneve", "geneve-inherit", "udp"}
    assert "no known fault" in steps
    assert faults


@pytest.mark.usefixtures("faults")
def test_macros_are_no_fault_but_a_comment_goes_by_its_file():
    result, *_ = found(patch("macro", FIXED, FIXED.replace("LENGTH 8", "LENGTH 9")))
    assert result.fault is None
    with pytest.raises(TestBedError, match=r"any of one, two: say which with --fault"):
        found(patch("comment", FIXED, f"/* a comment */\n{FIXED}"))


def test_a_patch_that_needs_the_fix_there_is_compared_with_the_tree_as_it_is(faults):
    breaks = FIXED.replace("\tset_protocol(n);\n", "\tset_protocol(n);\n\tdrop(n);\n")
    result, steps, before, after = found(patch("breaks", FIXED, breaks))
    assert (before, after) == (FIXED, breaks)
    assert (result.fault, result.roles) == (faults[0], Roles())
    assert "fix is in both kernels" in steps


def test_a_patch_that_takes_the_fix_out_is_judged_against_the_fix(faults):
    result, _, before, after = found(patch("revert", FIXED, BROKEN))
    assert (before, after) == (FIXED, BROKEN)
    assert result.fault == faults[0]


def test_what_the_user_says_goes_first(faults):
    comment = patch("comment", FIXED, f"/* a comment */\n{FIXED}")
    result, _, before, _ = found(comment, Asked(fault="two"))
    assert (result.fault, before) == (faults[1], ALSO_BROKEN)
    fix = Patch.read(faults[0].patch_path)
    as_is, _, before, after = found(fix, Asked(as_is=True), Tree(BROKEN))
    assert (as_is.fault, as_is.roles.fails) == (faults[0], faults[0].fails)
    assert (before, after) == (BROKEN, FIXED)
    claims, *_ = found(patch("other", FIXED, FIXED.replace("n + 1", "n")), Asked(claims=("sit",)))
    assert claims.roles == Roles(("sit",), "open")
    assert {s.kind for s in claims.scenarios} == {"geneve", "geneve-inherit", "udp", "sit"}
    only, *_ = found(fix, Asked(only=("vxlan",), without=("*-csum",)))
    assert {s.checksum for s in only.scenarios} == {"nocsum"}
    assert only.roles == faults[0].roles


@pytest.mark.parametrize("asked", [Asked(only=("x",)), Asked(claims=("x",)), Asked(fault="x")])
def test_unknown_names_are_wrong_usage(asked):
    with pytest.raises(UsageError):
        baseline.check(asked)


def test_the_outlook_names_fault_and_scenarios(faults):
    lines = baseline.outlook(Tree(), [Patch.read(faults[0].patch_path)], Asked())
    assert "it changes the code of the fault one" in lines
    assert f"scenarios: {', '.join(faults[0].scenarios)}" in lines


def test_files_lead_to_scenarios_and_an_unknown_one_to_a_sample_of_all():
    known = {word for row in REACH for word in row.scenarios}
    assert all(any(scenario.matches(word) for scenario in SCENARIOS) for word in known)
    assert scenarios_of([("drivers/net/vxlan/vxlan_core.c", "f")])[0] == "vxlan"
    assert scenarios_of([(OTHER, "cut")]) == scenarios_of([]) == sample()
    kinds = [s.kind for s in SCENARIOS if s.name in sample()]
    assert sorted(kinds) == sorted({s.kind for s in SCENARIOS})


def test_images_are_judged_by_the_default_fault():
    class Images(Tree):
        def prepare(self, choose):  # noqa: ARG002
            return ()

        def changes(self):
            return {}, {}

    result, _ = baseline.find(Images(), [], Asked())
    assert result.fault is DEFAULT_FAULT


def test_a_fault_that_shares_a_function_is_known_by_its_own_patch():
    # Each of these functions has two faults.
    for name in ("mpls-iptunnel-inner-headers", "mpls-route-over-tunnel"):
        assert {fault.name for fault in owners(name)} == {name}
    for name in ("act_csum-udp-tunnel-gso", "csum-action-forgets-partial"):
        assert {fault.name for fault in owners(name)} == {name}
    # A patch that does less than the fix is the fault's, too.
    assert [fault.name for fault in owners("ipvs-gue-inner-mac-header-v4-only")] == [
        "ipvs-gue-inner-mac-header"
    ]


def owners(name: str) -> list[Fault]:
    series = read_series(patches_folder() / f"{name}.patch")
    return [fault for fault in FAULTS if baseline._its_own(fault, series)]
