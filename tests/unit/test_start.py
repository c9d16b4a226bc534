"""What starts, starts quickly: nothing is imported before it is needed. Modules are counted."""

from __future__ import annotations

import ast
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import gso

SLOW = {"numpy", "dataclasses", "inspect", "tempfile", "traceback", "json", "importlib.metadata"}

IMPORTED = """
import json, sys
before = set(sys.modules)
{}
print(file=sys.stderr)
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""
COMMAND = """
from gso.cli import main
try:
    main({!r})
except SystemExit:
    pass
"""


def imported(code: str, tmp_path: Path | None = None) -> set[str]:
    """Modules that the code imports, in an interpreter without what site-packages' .pth bring."""
    path = ":".join([str(Path(gso.__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-S", "-c", IMPORTED.format(code)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_the_library_imports_no_module_of_it():
    modules = imported("import gso")
    assert {m for m in modules if m.startswith("gso")} == {"gso"}
    assert not modules & SLOW


def test_the_library_needs_nothing_but_numpy():
    """Every module is imported but those of the extras and of the programs."""
    names = [".".join(path.with_suffix("").parts) for path in sources()]
    allowed = {"numpy", "gso", *sys.stdlib_module_names, "_cyutility"}
    found = {name.split(".")[0] for name in imported("\n".join(f"import {n}" for n in names))}
    assert {name for name in found - allowed if "cython" not in name} == set()


def sources() -> list[Path]:
    package = Path(gso.__file__).parent
    inside = [path.relative_to(package.parent) for path in package.rglob("*.py")]
    extras = ("scapy", "kernel", "arrow.py", "__pycache__")
    return [
        path for path in inside if not set(path.parts) & {*extras, "__main__.py", "__init__.py"}
    ]


def test_help_needs_no_numpy():
    modules = imported(COMMAND.format(["--help"]))
    assert not modules & SLOW
    assert {m for m in modules if m.startswith("gso")} <= {
        "gso", "gso.cli", "gso.commands", "gso.commands.streams", "gso.commands.unforeseen",
        "gso.commands.usage",
        "gso.constants", "gso.errors", "gso.printable",
    }  # fmt: skip


def test_the_version_needs_no_numpy():
    assert "numpy" not in imported(COMMAND.format(["--version"]))


@pytest.mark.parametrize(
    ("command", "spared"),
    [
        ("segment", ("gso.diagnosis", "gso.traces", "gso.drawing", "gso.coalescing")),
        ("coalesce", ("gso.diagnosis", "gso.traces", "gso.drawing", "gso.segmentation")),
        ("validate", ("gso.diagnosis", "gso.traces", "gso.drawing")),
        ("diagnose", ("gso.rewriting", "gso.coalescing", "gso.segmentation", "gso.capture")),
    ],
)
def test_a_command_imports_what_it_uses(command, spared):
    modules = imported(COMMAND.format([command, "--help"]))
    assert not {m for m in modules if m.startswith(spared)}


def test_one_capture_needs_no_cluster_and_one_core_no_thread(tmp_path):
    capture = tmp_path / "in.pcap"
    gso.write_capture(capture, [bytes(60)])
    code = "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
    code += COMMAND.format(["segment", str(capture), str(tmp_path / "out.pcap")])
    assert not imported(code) & {"importlib.metadata", "concurrent.futures"}


def test_every_public_name_is_where_the_stub_says():
    tree = ast.parse(Path(gso.__file__).with_suffix(".pyi").read_text())
    homes = {
        alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (listed,) = (node.value for node in tree.body if isinstance(node, ast.Assign))
    assert homes == gso._HOME
    assert sorted(ast.literal_eval(listed)) == gso.__all__
    for name in gso.__all__:
        assert getattr(gso, name) is getattr(sys.modules[homes[name]], name)


def test_a_star_import_has_all_names():
    names: dict[str, object] = {}
    exec("from gso import *", names)
    assert set(gso.__all__) <= set(names)


def test_dir_shows_what_is_not_imported_yet():
    modules = imported("import gso; assert {'segment', 'Frames', 'trim_memory'} <= set(dir(gso))")
    assert "numpy" not in modules


def test_modules_of_the_package_are_attributes():
    imported(
        "import gso; assert gso.rules.RULES is gso.RULES; assert gso.constants.Tunnel is gso.Tunnel"
    )


def test_what_is_not_there_is_said():
    with pytest.raises(AttributeError, match="module 'gso' has no attribute 'segmentt'"):
        gso.segmentt  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'segmentt'"):
        exec("from gso import segmentt")
    assert not hasattr(gso, "_segment")


def test_objects_pickle_without_the_public_module():
    assert pickle.loads(pickle.dumps(gso.Frames.from_list([b"ab"])))[0] == b"ab"
    assert pickle.loads(pickle.dumps(gso.Reason.LAYOUT)) is gso.Reason.LAYOUT
