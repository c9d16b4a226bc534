"""A git repository of the user's, read through git; its checkout and branches are never touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.processes import logged, output


class Repository:
    """The repository that a folder is the top of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        try:
            top = self.git("rev-parse", "--show-toplevel").strip()
        except TestBedError as error:
            raise UsageError(f"{folder} is not a git repository: {error.message}") from None
        if Path(top).resolve() != self.folder:
            raise UsageError(f"{folder} is inside the git repository {top}; give that folder")

    def git(self, *arguments: str) -> str:
        """Return what a git command prints."""
        return output("git", "-C", str(self.folder), *arguments)

    def commit(self, revision: str) -> str:
        """Return the full hash of a revision."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").strip()
        except TestBedError:
            raise UsageError(f"{self.folder} has no commit {revision}") from None

    def parent(self, commit: str) -> str:
        """Return the first parent."""
        return self.commit(f"{commit}^")

    def range(self, text: str) -> list[str]:
        """Return the commits of ``A..B``, oldest first."""
        first, dots, last = text.partition("..")
        if not dots or not first or not last or last.startswith("."):
            raise UsageError(f"{text} is not a range of commits, such as v6.12..HEAD")
        span = f"{self.commit(first)}..{self.commit(last)}"
        found = self.git("rev-list", "--reverse", "--first-parent", span).split()
        if not found:
            raise UsageError(f"there are no commits in {text}")
        return found

    def subject(self, commit: str) -> str:
        """Return the abbreviated hash and the first line of the message."""
        return self.git("log", "-1", "--format=%h %s", commit).strip()

    def read(self, commit: str, name: str) -> bytes | None:
        """Return a file of a commit."""
        done = subprocess.run(
            ["git", "-C", str(self.folder), "cat-file", "blob", f"{commit}:{name}"],
            capture_output=True,
            check=False,
        )
        return done.stdout if done.returncode == 0 else None

    def names(self, commit: str) -> list[str]:
        """Return all files of a commit."""
        listed = self.git("ls-tree", "-r", "-z", "--name-only", commit)
        return [name for name in listed.split("\0") if name]

    def changed_names(self, before: str, after: str) -> list[str]:
        """Return the files that differ between two commits."""
        listed = self.git("diff", "-z", "--name-only", "--no-renames", before, after)
        return [name for name in listed.split("\0") if name]

    def clone(self, folder: Path, log: Path) -> None:
        """Make a repository of our own that borrows this one's objects."""
        if not (folder / ".git").exists():
            command = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(self.folder)]
            logged("source", [*command, str(folder)], log, folder.parent)

    def check_out(self, commit: str, folder: Path, log: Path) -> None:
        """Make a folder's files those of a commit; our git folder is beside it.

        Only files whose content differs are written, whoever wrote them: make sees their times.
        """
        own = folder.with_name("git")
        self.clone(own, log)
        git = ["git", f"--git-dir={own / '.git'}", f"--work-tree={folder}"]
        for step in (
            ["reset", "--quiet", "--mixed", commit],
            ["update-index", "-q", "--refresh"],
            ["reset", "--quiet", "--hard", commit],
            ["clean", "-ffdxq"],
        ):
            logged("source", [*git, *step], log, folder)
