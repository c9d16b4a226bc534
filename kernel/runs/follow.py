"""Follow the boots of one kernel, and judge scenario by scenario.

- A scenario that fails on both variants is REGRESSED where only the patched one crashes in it, or
  where a kind of traffic fails that came through without the patch.
- A warning in the kernel log, a memory leak, or packets never freed, that only the patched variant
  has, are the patch's too: REGRESSED, whatever the traffic says.
- Where no function that the patch changes was entered, nothing can be said: INCONCLUSIVE.
- A crash before any traffic that is reproduced on the patched variant, while the unpatched one ran
  through, is the patch's: REGRESSED. On the unpatched variant nothing can be said.

:mod:`gso.kernel.runs.boots` says when a crash is reproduced.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gso.kernel import guest_files
from gso.kernel.bootable import PATCHED, UNPATCHED, VARIANTS, Bootable
from gso.kernel.errors import TestBedError
from gso.kernel.guest_files import GuestFileError
from gso.kernel.judging import coverage, kernel_log, kmemleak, whole, wire_check
from gso.kernel.judging.coverage import Code
from gso.kernel.judging.evidence import read_cell
from gso.kernel.judging.results import KernelReport, ScenarioReport
from gso.kernel.judging.verdict import (
    Judged,
    Outcome,
    Verdict,
    compare,
    judge,
    outcome,
    worst,
)
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.runs import reuse
from gso.kernel.runs.application_boots import ApplicationBoots
from gso.kernel.runs.baseline import Baseline
from gso.kernel.runs.boots import BootQueue, Measured, VariantRun
from gso.kernel.runs.captures import save_capture
from gso.kernel.runs.screen import Screen
from gso.kernel.scenarios import Scenario

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class KernelRun:
    """One kernel, built, with its boots queued: for each repetition and group both variants."""

    groups: Sequence[tuple[Scenario, ...]]
    baseline: Baseline
    repetitions: list[list[dict[str, VariantRun]]]
    applications: ApplicationBoots | None = None


def queue_kernel(
    queue: BootQueue,
    built: dict[str, Bootable],
    groups: Sequence[tuple[Scenario, ...]],
    baseline: Baseline,
    *,
    repeat: int,
    kept: KeptMachine | None = None,
) -> KernelRun:
    """Queue all boots of a kernel; ``kept`` takes over the machine of its variant."""
    queue_for = {
        variant: replace(queue, kept=kept) if kept and kept.variant == variant else queue
        for variant in built
    }

    def run(variant: str, group: int, repetition: int) -> VariantRun:
        name = variant + (f"-group{group + 1}" if group else "")
        name += f"-run{repetition + 1}" if repetition else ""
        scenarios = groups[group]
        return VariantRun(queue_for[variant], name, built[variant], scenarios, baseline.functions)

    repetitions = [
        [{variant: run(variant, at, number) for variant in built} for at in range(len(groups))]
        for number in range(repeat)
    ]
    return KernelRun(groups, baseline, repetitions)


def run_one_variant(
    queue: BootQueue, kernel: Bootable, scenarios: tuple[Scenario, ...]
) -> dict[str, Outcome]:
    """Boot one kernel and return how each scenario went on it; raise what prevents that."""
    run = VariantRun(queue, "kernel", kernel, scenarios)
    while not run.finished:
        run.poll()
        time.sleep(_POLL_SECONDS)
    if run.early_crash:
        return dict.fromkeys((scenario.name for scenario in scenarios), Outcome.FAIL)
    if run.error:
        raise run.error
    found = {scenario: run.measured[scenario.name] for scenario in scenarios}
    return {
        scenario.name: Outcome.FAIL if measured.crash else outcome(_cells(scenario, measured))
        for scenario, measured in found.items()
    }


def follow(
    kernel: KernelRun, report: KernelReport, screen: Screen, *, partial: bool = False
) -> None:
    """Judge each scenario as soon as both variants have been through it; then the kernel.

    ``partial``: other hosts have other scenarios of this kernel.
    """
    begun = time.monotonic()
    screen.kernel(report)
    found: dict[str, list[ScenarioReport]] = {}
    of_applications: list[Verdict] = []
    try:
        for runs_of_groups in kernel.repetitions:
            for group, variant_runs in zip(kernel.groups, runs_of_groups, strict=True):
                for scenario in _judged(group, variant_runs, kernel.baseline, screen):
                    found.setdefault(scenario.scenario.name, []).append(scenario)
                _record(variant_runs, report)
                for run in variant_runs.values():
                    run.seal()
        if kernel.applications:
            of_applications = kernel.applications.conclude(report, screen)
    except TestBedError as error:
        report.fail(error)
    except GuestFileError as error:
        report.fail(TestBedError("guest", str(error)))
    report.scenarios = [_summed(runs) for runs in found.values()]
    report.seconds["boot and traffic"] = round(time.monotonic() - begun, 2)
    every = [run for r in kernel.repetitions for s in r for run in s.items()]
    report.code = _code(kernel.baseline, every)
    report.verdict = _verdict(report, every, of_applications, partial=partial)
    screen.code(report)


def _code(baseline: Baseline, variant_runs: list[tuple[str, VariantRun]]) -> list[Code]:
    """Return how often each changed function was entered, over all boots of each variant."""
    entries = {v: [e for n, run in variant_runs if n == v for e in run.entries] for v in VARIANTS}
    return [coverage.code(function.file, function.name, entries) for function in baseline.functions]


def _judged(
    group: tuple[Scenario, ...],
    variant_runs: dict[str, VariantRun],
    baseline: Baseline,
    screen: Screen,
) -> Iterator[ScenarioReport]:
    waiting = list(group)
    while True:
        finished = all(run.finished for run in variant_runs.values())
        for variant, run in variant_runs.items():
            run.poll()
            screen.cells(variant, *run.done)
        while waiting and all(waiting[0].name in run.measured for run in variant_runs.values()):
            found = _judge(waiting.pop(0), variant_runs, baseline)
            screen.scenario(found)
            yield found
        if finished:
            return
        time.sleep(_POLL_SECONDS)


def _judge(
    scenario: Scenario, variant_runs: dict[str, VariantRun], baseline: Baseline
) -> ScenarioReport:
    measured = {variant: run.measured[scenario.name] for variant, run in variant_runs.items()}
    cells = {variant: _cells(scenario, found) for variant, found in measured.items()}
    crashes = {variant: found.crash for variant, found in measured.items() if found.crash}
    unpatched, patched = (
        Outcome.FAIL if variant in crashes else outcome(cells[variant]) for variant in VARIANTS
    )
    role = baseline.roles.of(scenario)
    results = [cell for found in measured.values() for cell in found.cells]
    entries = {variant: run.entries for variant, run in variant_runs.items()}
    code = [coverage.code(function.file, function.name, entries) for function in baseline.functions]
    verdict = compare(role, unpatched, patched, touched=coverage.touches(code, results))
    if _worse(cells, crashes):
        verdict = Verdict.REGRESSED
    return ScenarioReport(
        scenario,
        role,
        verdict,
        cells[UNPATCHED],
        cells[PATCHED],
        crashes,
        {variant: found.evidence for variant, found in measured.items()},
        reused={variant: found.reused for variant, found in measured.items() if found.reused},
    )


def _worse(cells: dict[str, list[Judged]], crashes: dict[str, str]) -> bool:
    """Say whether the patch makes a scenario worse, even one that fails without it too.

    It does where only the patched kernel crashes, or where traffic fails that came through before.
    """
    if set(crashes) == {PATCHED}:
        return True
    return any(
        after.problems and not before.problems and before.exercised
        for before, after in zip(cells[UNPATCHED], cells[PATCHED], strict=False)
    )


def _cells(scenario: Scenario, measured: Measured) -> list[Judged]:
    folder = measured.folder
    judged = []
    for traffic, result in zip(scenario.traffic, measured.cells, strict=False):
        stem = folder / f"{scenario.name}-{traffic.name}"
        if measured.reused:
            cell = read_cell(result, folder, kinds=())
            wire = reuse.explanation(stem)
        else:
            cell = read_cell(result, folder)
            with guest_files.understood(f"the capture {stem.name}"):
                if traffic.segmented:
                    save_capture(scenario, cell, stem.with_name(f"{stem.name}.pcapng"))
                wire = wire_check.explain(scenario, cell)
            reuse.keep_explanation(stem, wire)
        judged.append(judge(scenario, traffic, cell, wire))
    # Another scenario's name may begin with this one's, and its frames are still to be judged.
    for traffic in scenario.traffic:
        for raw in folder.glob(f"{scenario.name}-{traffic.name}.*.frames"):
            raw.unlink()
    return judged


def _record(variant_runs: dict[str, VariantRun], report: KernelReport) -> None:
    for variant, run in variant_runs.items():
        report.warnings.setdefault(variant, []).extend(run.complaints())
        report.boots += [{"variant": variant, **boot} for boot in run.boots]
        report.guests.setdefault(variant, run.guest)
        if run.error and not report.error:
            report.fail(run.error)
    logs = {variant: run.log() for variant, run in variant_runs.items()}
    new = kernel_log.new_complaints(logs[UNPATCHED], logs[PATCHED])
    report.findings += kernel_log.told(new)
    report.findings += kernel_log.leaks(variant_runs[UNPATCHED].guest, variant_runs[PATCHED].guest)
    leaks = (variant_runs[variant].leaks() for variant in VARIANTS)
    report.findings += map(str, kmemleak.new(*leaks))


def _summed(runs: list[ScenarioReport]) -> ScenarioReport:
    """Return the worst of a scenario's repetitions, with the verdicts of all."""
    verdict = worst([run.verdict for run in runs])
    shown = next(run for run in runs if run.verdict is verdict)
    return replace(shown, runs=tuple(run.verdict for run in runs))


def _verdict(
    report: KernelReport,
    variant_runs: list[tuple[str, VariantRun]],
    of_applications: list[Verdict],
    *,
    partial: bool,
) -> Verdict:
    verdicts = [scenario.verdict for scenario in report.scenarios] + of_applications
    early = {variant for variant, run in variant_runs if run.early_crash}
    if early == {PATCHED} and not any(s.error for v, s in variant_runs if v == UNPATCHED):
        report.findings.append("the patched kernel crashes before any traffic, reproduced")
    report.crashed = sorted(early | {v for found in report.scenarios for v in found.crashes})
    worse, failed = bool(report.findings), bool(report.error)
    if partial:
        return whole.of_part(verdicts, worse=worse, failed=failed)
    verdict, error = whole.of_kernel(
        verdicts, report.code, worse=worse, failed=failed, crashed=bool(report.crashed)
    )
    if error:
        report.fail(error)
    return verdict
