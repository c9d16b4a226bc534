"""The baseline of a patch: which fault it is about, which fix goes, which scenarios are run.

A fault is recognised by the functions that the patch changes, and only its own fix is taken out of
the unpatched tree. A patch for no known fault is compared with the tree as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gso.kernel.errors import TestBedError
from gso.kernel.paths import patches_folder
from gso.kernel.scenarios import DEFAULT_FAULT, FAULTS, Fault, Roles, Scenario, named, select
from gso.kernel.scenarios.reach import scenarios_of
from gso.kernel.trees import functions, patches
from gso.kernel.trees.functions import Function
from gso.kernel.trees.patches import Patch, PatchError, Pristine, Variants, read_series
from gso.kernel.trees.targets import Target


@dataclass(frozen=True)
class Asked:
    """The user's words on it. ``fault``: a name; ``as_is``: no fix is taken out of any tree.

    ``claims``: names, globs or groups of the scenarios that the patch is said to fix; ``only`` and
    ``without``: those to run, in place of the fault's or the code's.
    """

    fault: str | None = None
    as_is: bool = False
    claims: Sequence[str] = ()
    only: Sequence[str] = ()
    without: Sequence[str] = ()


@dataclass(frozen=True)
class Baseline:
    """The baseline that was found. ``fault``: ``None`` where the patch changes the code of none."""

    fault: Fault | None
    roles: Roles
    scenarios: tuple[Scenario, ...]
    functions: tuple[Function, ...]


@dataclass(frozen=True)
class _Choice:
    variants: Variants
    fault: Fault | None
    present: bool  # the unpatched tree has the fault

    def shared(self) -> int:
        """Return how many functions both the patch and the fault's fix change."""
        found = functions.changed(self.variants.unpatched, self.variants.patched)
        return _shared(found, self.fault) if self.fault else 0


def check(asked: Asked) -> None:
    """Raise :class:`UsageError` for names that nothing has, before anything is fetched or built."""
    select(asked.only or ("all",), asked.without)
    for word in asked.claims:
        select((word,))
    if asked.fault:
        named(asked.fault)


def find(target: Target, series: Sequence[Patch], asked: Asked) -> tuple[Baseline, tuple[str, ...]]:
    """Prepare the target, and return what it is compared with and the steps that were taken."""
    chosen: list[_Choice] = []
    steps = target.prepare(lambda pristine: _remembered(pristine, series, asked, chosen))
    changes = tuple(functions.changed(*target.changes()))
    if chosen:
        fault, present = chosen[0].fault, chosen[0].present
    else:
        # Two kernels that came as they are.
        fault, present = _fault_of_others(target, changes, asked), not asked.as_is
    found = _baseline(fault, changes, asked, present=present)
    return found, (*steps, _words(found, present=present))


def outlook(target: Target, series: Sequence[Patch], asked: Asked) -> list[str]:
    """Say what :func:`find` and the builds after it would do, as far as it is known."""
    chosen: list[_Choice] = []
    lines = target.outlook(lambda pristine: _remembered(pristine, series, asked, chosen))
    for choice in chosen:
        changes = tuple(functions.changed(choice.variants.unpatched, choice.variants.patched))
        found = _baseline(choice.fault, changes, asked, present=choice.present)
        lines.append(_words(found, present=choice.present))
        lines.append(f"scenarios: {', '.join(scenario.name for scenario in found.scenarios)}")
    return lines


def chooser(series: Sequence[Patch], asked: Asked) -> Callable[[Pristine], Variants]:
    """Return what works out the two trees, for :meth:`Target.prepare`."""
    return lambda pristine: _choose(pristine, series, asked).variants


def _remembered(
    pristine: Pristine, series: Sequence[Patch], asked: Asked, chosen: list[_Choice]
) -> Variants:
    chosen.append(_choose(pristine, series, asked))
    return chosen[0].variants


def _choose(pristine: Pristine, series: Sequence[Patch], asked: Asked) -> _Choice:
    series = list(map(_in_every_form, series))
    if asked.fault:
        fault = named(asked.fault)
        return _as_is(pristine, series, fault) if asked.as_is else _without(pristine, series, fault)
    touched = {name for patch in series for name in patch.touched}
    near = [fault for fault in FAULTS if touched.intersection(fault.files)]
    # Faults can share a function; whose own patch it is, is known.
    candidates = [fault for fault in near if _its_own(fault, series)] or near
    if not asked.as_is:
        found = [c for fault in candidates if (c := _try_without(pristine, series, fault))]
        if best := _best(found):
            return best
    as_is = [_as_is(pristine, series, fault) for fault in candidates]
    return _best(as_is) or _Choice(patches.variants(pristine, series, None), None, present=False)


def _in_every_form(patch: Patch) -> Patch:
    """Return a fault's fix with its other forms; another patch has none."""
    for fault in FAULTS:
        if fault.forms and set(patch.touched) == set(fault.files):
            fix = Patch.read_forms(fault.patch_paths)
            if patch.text == fix.text:
                return fix
    return patch


def _its_own(fault: Fault, series: Sequence[Patch]) -> bool:
    """Say whether one of the series is a form of the fault's fix, or does less than it."""
    incomplete = [patches_folder() / one.patch for one in fault.incomplete]
    own = {patch.text for path in (*fault.patch_paths, *incomplete) for patch in read_series(path)}
    return any(patch.text in own for patch in series)


def _without(pristine: Pristine, series: Sequence[Patch], fault: Fault) -> _Choice:
    fix = Patch.read_forms(fault.patch_paths)
    return _Choice(patches.variants(pristine, series, fix), fault, present=True)


def _try_without(pristine: Pristine, series: Sequence[Patch], fault: Fault) -> _Choice | None:
    """Return ``None`` where the series needs the fix to be there: then the tree stays as it is."""
    try:
        return _without(pristine, series, fault)
    except PatchError:
        return None


def _as_is(pristine: Pristine, series: Sequence[Patch], fault: Fault) -> _Choice:
    found = patches.variants(pristine, series, None)
    fix = Patch.read_forms(fault.patch_paths)
    tree = {**pristine(fix.touched), **found.unpatched}
    there = any(patches.applies(tree, form, reverse=True) for form in fix.forms)
    return _Choice(found, fault, present=not there)


def _best(found: Sequence[_Choice]) -> _Choice | None:
    """Return the choice whose fault shares most functions with the patch, if any does."""
    most = max((choice.shared() for choice in found), default=0)
    best = [choice for choice in found if most and choice.shared() == most]
    if len(best) > 1:
        names = ", ".join(choice.fault.name for choice in best if choice.fault)
        raise TestBedError("patch", f"it may be about any of {names}: say which with --fault NAME")
    return best[0] if best else None


def _shared(changes: Sequence[Function], fault: Fault) -> int:
    """Count the functions of the fault that differ; where no code does (a comment), all are it."""
    if not changes:
        return 1
    return sum(f.file in fault.files and f.name in fault.functions for f in changes)


def _fault_of_others(target: Target, changes: Sequence[Function], asked: Asked) -> Fault | None:
    if asked.fault:
        return named(asked.fault)
    if target.changes() == ({}, {}):
        return DEFAULT_FAULT
    counted = {fault: _shared(changes, fault) if changes else 0 for fault in FAULTS}
    best = max(counted, key=counted.__getitem__)
    return best if counted[best] else None


def _baseline(
    fault: Fault | None, changes: tuple[Function, ...], asked: Asked, *, present: bool
) -> Baseline:
    roles = fault.roles if fault and present else Roles()
    if asked.claims:
        roles = replace(roles, fails=tuple(asked.claims))
    code = scenarios_of((function.file, function.name) for function in changes)
    wanted = asked.only or (*asked.claims, *(fault.scenarios if fault else code))
    return Baseline(fault, roles, select(wanted, asked.without, roles), changes)


def _words(found: Baseline, *, present: bool) -> str:
    if found.fault is None:
        return "it changes the code of no known fault: the scenarios of what it changes are run"
    text = f"it changes the code of the fault {found.fault.name}"
    return text if present else f"{text}, whose fix is in both kernels: no scenario has to fail"
