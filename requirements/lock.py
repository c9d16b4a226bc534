"""Renew the lock files: the newest releases that pyproject.toml allows, each with its hashes.

    python requirements/lock.py        (needs uv and Python 3.11; `make lock` runs this)

A lock file holds for every Python that the project supports. Hashes are those that PyPI states.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOCKS = {
    "make": ("kernel", "arrow", "test", "bench", "lint"),
    "fuzz": ("fuzz",),
    "docs": ("docs",),
    "release": ("release",),
}
"""The extras that each lock file has; each must agree with those before it."""


def main() -> None:
    """Renew all lock files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    oldest = project["project"]["requires-python"].removeprefix(">=")
    build = "\n".join(project["build-system"]["requires"])
    for name, extras in LOCKS.items():
        lock(name, extras, oldest, build if name == "make" else "")


def lock(name: str, extras: tuple[str, ...], oldest: str, more: str) -> None:
    """Write one lock file: the extras' requirements, and `more`."""
    target = f"requirements/{name}.lock"
    command = ["uv", "pip", "compile", "--quiet", "--universal", f"--python-version={oldest}"]
    command += ["--generate-hashes", "--only-binary=:all:", "--upgrade", "--no-config"]
    command += ["--default-index=https://pypi.org/simple", "--custom-compile-command=make lock"]
    command += [f"--extra={extra}" for extra in extras] + [f"--output-file={target}"]
    earlier = list(LOCKS)[: list(LOCKS).index(name)]
    command += [f"--constraints=requirements/{one}.lock" for one in earlier]
    subprocess.run([*command, "pyproject.toml", "-"], input=more, text=True, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
