from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gso.kernel.runs import doctor

from testbed import namespaces, virtual_machines


@dataclass
class Done:
    """A finished ``gso-kernel`` command."""

    status: int
    out: str
    err: str
    report: dict[str, Any] | None


Command = Callable[..., Done]


def command(folder: Path, *arguments: str | Path, timeout: float = 900) -> Done:
    json_file = folder / "report.json"
    wanted = arguments[0] == "verify" and "--json" not in arguments
    extra = ["--json", json_file] if wanted else []
    done = subprocess.run(
        [sys.executable, "-m", "gso.kernel", *map(str, [*arguments, *extra])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    report = json.loads(json_file.read_text()) if json_file.exists() else None
    return Done(done.returncode, done.stdout, done.stderr, report)


@pytest.fixture
def gso_kernel(tmp_path: Path) -> Command:
    """Run a ``gso-kernel`` command that boots nothing."""
    return lambda *arguments, **options: command(tmp_path, *arguments, **options)


@pytest.fixture(scope="session")
def test_bed() -> None:
    """Skip kindly where no VM can be had; never in CI."""
    missing = [f.name for f in doctor.examine() if f.required and not f.present]
    if missing:
        text = f"no test bed here, gso-kernel doctor misses: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture
def verify(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """Run ``gso-kernel verify`` with real VMs."""
    request.getfixturevalue("test_bed")
    return lambda *arguments, **options: command(tmp_path, "verify", *arguments, **options)


@pytest.fixture
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """Fail when the test leaves a machine or a namespace."""
    before = namespaces()
    yield
    assert not virtual_machines(tmp_path)
    assert namespaces() <= before
