"""A suite of the benchmarks in a machine: what it is asked for, with a shell here in its place."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from gso.kernel import cli
from gso.kernel.bootable import Bootable
from gso.kernel.machine import qemu
from gso.kernel.scenarios import SCENARIOS

import run

GIVEN = {"benchmarks": [{"name": "a race"}], "machine_info": {}}
SUITE = f"import sys; open(sys.argv[1], 'w').write({json.dumps(GIVEN, indent=1)!r}); print('{{x')"


class Machine:
    """Reads the command line as gso-kernel does, and runs the command in a shell of this host."""

    def __init__(self, programs: Path) -> None:
        self.path = f"{programs}:{os.environ['PATH']}"
        self.asked: list[object] = []

    def __call__(self, words, **_):
        python, m, module, *words = words
        assert (python, m, module) == (sys.executable, "-m", "gso.kernel")
        asked = cli.parser(words).parse_args(words)
        self.asked.append(asked)
        done = subprocess.Popen(
            ["sh", "-c", asked.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # a guest's output is one file
            text=True,
            env={**os.environ, "PATH": self.path},
        )
        output, _ = done.communicate()
        return subprocess.CompletedProcess(words, done.returncode, output)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a machine in which modprobe notes what it is given, and does nothing."""
    modprobe = tmp_path / "bin" / "modprobe"
    modprobe.parent.mkdir()
    modprobe.write_text(f'#!/bin/sh\necho "$@" >>{shlex.quote(str(tmp_path / "modules"))}\n')
    modprobe.chmod(0o755)
    made = Machine(modprobe.parent)
    monkeypatch.setattr(run, "subprocess", type("Given", (), {**vars(subprocess), "run": made}))
    monkeypatch.setattr(run, "WITHIN", tmp_path / "within.json")
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    return made


def suite(program: str):
    return lambda _name, target, options: [sys.executable, "-c", program, str(target), *options]


def test_what_a_suite_writes_there_comes_home(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "tests", suite(SUITE))
    assert run.run("gateway", ["--quick"], "6.12")
    assert json.loads((tmp_path / "gateway.json").read_text()) == GIVEN
    (asked,) = machine.asked
    assert asked.kernel == "6.12"
    assert asked.only == [run.SCENARIO]
    assert run.SCENARIO in {scenario.name for scenario in SCENARIOS}
    assert asked.timeout < run.PATIENCE
    assert (tmp_path / "modules").read_text().split() == run.MODULES.split()


def test_the_machine_sees_the_python_and_the_packages_of_the_suites(machine, monkeypatch):
    monkeypatch.setattr(run, "tests", suite(SUITE))
    run.run("gateway", [], "6.12")
    (asked,) = machine.asked
    image, folder = Bootable(Path("image")), Path("folder")
    seen = qemu.Machine(image, Mock(), folder, port=3, shown=asked.show).programs
    python = Path(sys.executable)
    for path in (python, python.resolve(), Path(pytest.__file__), Path(run.__file__).resolve()):
        assert any(path.is_relative_to(folder) for folder in seen), path
    assert not any(
        folder != other and folder.is_relative_to(other) for folder in seen for other in seen
    )


@pytest.mark.parametrize(
    "program", ["raise SystemExit('no race')", f"{SUITE}; raise SystemExit('no race')"]
)
def test_a_suite_that_fails_leaves_no_results(machine, tmp_path, monkeypatch, capsys, program):
    monkeypatch.setattr(run, "tests", suite(program))
    assert not run.run("gateway", [], "6.12")
    assert not (tmp_path / "gateway.json").exists()
    assert "no race" in capsys.readouterr().err
    assert machine.asked


def test_a_suite_is_a_command_of_pytest(tmp_path):
    for name in run.SUITES:
        command = run.tests(name, tmp_path / "results.json", ["--quick"])
        assert Path(command[-1]).is_file()
        assert f"--benchmark-json={tmp_path / 'results.json'}" in command
