"""Find the commit that broke a scenario, or the one that fixed it, with ``git bisect``.

``git bisect run`` works in a clone of our own, which borrows the objects of the user's repository
and leaves its checkout alone. Each step builds the commit, boots it once and asks whether the
scenarios pass. Its answer is kept, so that an interrupted bisection goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.judging.verdict import Outcome
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import ending
from gso.kernel.progress import Progress
from gso.kernel.runs.boots import BootQueue
from gso.kernel.runs.follow import run_one_variant
from gso.kernel.scenarios import Scenario
from gso.kernel.trees import debian, modules
from gso.kernel.trees.build import SourceTree
from gso.kernel.trees.repository import Repository

GOOD, BAD, SKIP = 0, 1, 125
_ANSWERS = {GOOD: "good", BAD: "bad", SKIP: "skip"}


@dataclass(frozen=True)
class Subject:
    """A repository, and the test of its commits.

    ``kernel``: a Debian kernel whose files the repository's replace, where the repository holds
    (or ``paths`` chooses) only one module's folder; then only that module is built.
    """

    source: Path
    scenarios: Sequence[Scenario]
    kernel: str | None = None
    paths: Sequence[str] = ()
    config: Sequence[str] = ()
    timeout: float = 300.0

    def key(self) -> str:
        """Return a name for everything that an answer depends on, except the commit."""
        names = [scenario.name for scenario in self.scenarios]
        parts = [str(self.source.resolve()), names, self.kernel, list(self.paths)]
        return hashlib.sha256(json.dumps([*parts, list(self.config)]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Found:
    """The end of a bisection: the commit, or the candidates where commits had to be skipped."""

    commits: list[str]
    log: str


def test(subject: Subject, revision: str, folder: Path) -> tuple[int, str]:
    """Build one commit, boot it, and answer as ``git bisect run`` wants it, with the reason."""
    commit = Repository(subject.source).commit(revision)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        kernel = _built(subject, commit, folder / "build.log")
        stop = folder / "stop"
        with ThreadPoolExecutor(1) as machine:
            try:
                queue = BootQueue(machine, folder, stop, subject.timeout)
                outcomes = run_one_variant(queue, kernel, tuple(subject.scenarios))
            except BaseException:
                stop.touch()
                raise
    except TestBedError as error:
        return SKIP, f"{error}\n{error.log_tail}".strip()
    return _answer(outcomes)


def _answer(outcomes: dict[str, Outcome]) -> tuple[int, str]:
    failing = [name for name, outcome in outcomes.items() if outcome is Outcome.FAIL]
    unsaid = [name for name, outcome in outcomes.items() if outcome.says_nothing]
    if failing:
        return BAD, f"{', '.join(failing)} failed"
    if unsaid:
        return SKIP, f"{', '.join(unsaid)} not exercised"
    return GOOD, f"{', '.join(outcomes)} passed"


def _built(subject: Subject, commit: str, log: Path) -> Bootable:
    if subject.kernel is None:
        return SourceTree(subject.source, commit, subject.config).build({}, log)
    kernel = debian.choose(subject.kernel)
    debian.fetch(kernel)
    repository = Repository(subject.source)
    names = [
        name
        for name in repository.names(commit)
        if name.endswith((".c", ".h", ".S"))
        and (not subject.paths or any(Path(name).is_relative_to(path) for path in subject.paths))
    ]
    folders = {str(Path(name).parent) for name in names}
    if len(folders) != 1:
        raise UsageError(
            f"the repository has sources in {len(folders)} folders; choose that of the module "
            "under test with --path, or leave --kernel out to build whole kernels"
        )
    pristine = debian.source_files(kernel, tuple(names))
    contents = {name: repository.read(commit, name) for name in names}
    changed = {name: data for name, data in contents.items() if data != pristine[name]}
    # A commit equal to Debian's source is built as well: every answer comes from a module of ours.
    return modules.modules(kernel, changed or {names[0]: contents[names[0]]}, log)


def bisect(
    subject: Subject, good: str, bad: str, progress: Progress, *, find_fix: bool = False
) -> Found:
    """Return the first bad commit after ``good``, or with ``find_fix`` the first good after it."""
    repository = Repository(subject.source)
    ends = {"good": repository.commit(good), "bad": repository.commit(bad)}
    older, newer = (ends["bad"], ends["good"]) if find_fix else (ends["good"], ends["bad"])
    if repository.git("merge-base", older, newer).strip() != older:
        raise UsageError(f"{older[:12]} is not an ancestor of {newer[:12]}")
    home = cache_folder() / "bisect" / subject.key()
    with only_one(home):
        clone = home / "repository"
        repository.clone(clone, home / "clone.log")
        for name, commit in ends.items():
            _confirm(subject, commit, name, home, progress)
        terms = ["--term-old=broken", "--term-new=fixed"] if find_fix else []
        _git(clone, "bisect", "reset")
        _git(clone, "bisect", "start", "--no-checkout", *terms, newer, older, "--", *subject.paths)
        return _run(subject, clone, home, progress, find_fix=find_fix)


def _confirm(subject: Subject, commit: str, name: str, home: Path, progress: Progress) -> None:
    """Make sure that an end of the range is what it is said to be."""
    answer, why = _remembered(subject, commit, home, progress)
    if _ANSWERS[answer] != name:
        raise TestBedError(
            "bisect", f"commit {commit[:12]} is said to be {name}, but is {_ANSWERS[answer]}: {why}"
        )


def _remembered(subject: Subject, commit: str, home: Path, progress: Progress) -> tuple[int, str]:
    """Test a commit, or recall what an earlier test said; only certain answers are kept."""
    path = home / "answers" / commit
    title = Repository(subject.source).subject(commit)
    if path.exists():
        answer, why = json.loads(path.read_text())
        progress.note(f"{title}: {_ANSWERS[answer]}, as found before ({why})")
        return int(answer), str(why)
    progress.stage(f"testing {title}")
    folder = home / "runs" / f"{commit[:12]}-{os.getpid()}"
    answer, why = test(subject, commit, folder)
    progress.note(f"{title}: {_ANSWERS[answer]} ({why})")
    if answer != SKIP:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([answer, why]))
    return answer, why


def _run(subject: Subject, clone: Path, home: Path, progress: Progress, *, find_fix: bool) -> Found:
    """Let git choose commits until it has found one."""
    script = home / "step.json"
    script.write_text(
        json.dumps(
            {
                "source": str(subject.source.resolve()),
                "scenarios": [scenario.name for scenario in subject.scenarios],
                "kernel": subject.kernel,
                "paths": list(subject.paths),
                "config": list(subject.config),
                "timeout": subject.timeout,
                "find_fix": find_fix,
            }
        )
    )
    step = [sys.executable, "-m", "gso.kernel", "bisect-step", str(home)]
    process = subprocess.Popen(
        ["git", "-C", str(clone), "bisect", "run", *step],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with ending(process):
        said, _ = process.communicate()
    log = _git(clone, "bisect", "log")
    commits = re.findall(r"^# first (?:bad|fixed) commit: \[(\w{40})\]", log, re.MULTILINE)
    commits = commits or re.findall(
        r"^# possible first \w+ commit: \[(\w{40})\]", log, re.MULTILINE
    )
    if not commits:
        raise TestBedError("bisect", f"git bisect ended with {process.returncode}:\n{said[-2000:]}")
    progress.note(f"the bisection is in {clone}")
    return Found(commits, log)


def step(home: Path, scenarios: Sequence[Scenario], progress: Progress) -> int:
    """Answer for the commit that git chose in the bisection of this folder."""
    given = json.loads((home / "step.json").read_text())
    known = {scenario.name: scenario for scenario in scenarios}
    subject = Subject(
        Path(given["source"]),
        [known[name] for name in given["scenarios"]],
        given["kernel"],
        given["paths"],
        given["config"],
        given["timeout"],
    )
    commit = _git(home / "repository", "rev-parse", "BISECT_HEAD").strip()
    answer, _ = _remembered(subject, commit, home, progress)
    if given["find_fix"] and answer != SKIP:
        # git asks whether the commit is still "old", that is broken.
        return GOOD if answer == BAD else BAD
    return answer


def _git(clone: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(clone), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TestBedError("bisect", f"git {shlex.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
