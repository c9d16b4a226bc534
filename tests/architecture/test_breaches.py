"""The rules are tried on a copy of the house with breaches of each kind: each is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from architecture import rules
from architecture.house import House, UnknownTargetError
from architecture.page import PAGE, Page

ROOT = Path(__file__).parents[2]

# Lines put at the end of files, and what the failure says after the file's name and line.
ARROWS = {
    "Python": (
        "gso/rewriting/copy.py",
        "def late():\n    from gso.traces.reader import read_trace\n",
        "from gso.traces.reader import read_trace: gso/rewriting may use",
    ),
    "Python, for the type checker": (
        "kernel/machine/vm.py",
        "if TYPE_CHECKING:\n    from gso.kernel.trees import (\n        build,\n    )\n",
        "from gso.kernel.trees import build: kernel/machine may use",
    ),
    "a stub": (
        "gso/buffers/_frames.pyi",
        "from gso.rules import Finding\n",
        "from gso.rules import Finding: gso/buffers may use",
    ),
    "Cython, imported": (
        "gso/headers/_walk.pyx",
        "try: import gso.drawing.packet as packet\nexcept ImportError: pass\n",
        "import gso.drawing.packet: gso/headers may use",
    ),
    "Cython, cimported": (
        "gso/coalescing/_gro.pyx",
        "from gso.segmentation._emit cimport (  # late\n    emit,\n)\n",
        "from gso.segmentation._emit cimport emit: gso/coalescing may use",
    ),
    "Cython, a header": (
        "gso/segmentation/_plan.pxd",
        'cdef extern from "judge.h" nogil:\n    pass\n',
        'include "judge.h": gso/segmentation may use',
    ),
    "Cython, a header in verbatim C": (
        "gso/capture/_records.pyx",
        'cdef extern from *:\n    """\n    #include "token.h"\n    """\n',
        'include "token.h": gso/capture may use',
    ),
    "C": (
        "gso/rules/judge.c",
        '#  include "../traces/token.h"\n',
        'include "../traces/token.h": gso/rules may use',
    ),
    "the test bed, a private module": (
        "kernel/conformance/gro/compare.py",
        "from gso.rewriting.copy import copied\n",
        "from gso.rewriting.copy import copied: kernel/conformance may use",
    ),
    "the library, the test bed": (
        "gso/diagnosis/event.py",
        "import gso.kernel.errors\n",
        "import gso.kernel.errors: gso/diagnosis may use",
    ),
    "the guest, by a full name": (
        "kernel/guest/netns.py",
        "from gso.kernel.guest import addresses\n",
        "from gso.kernel.guest import addresses: kernel/guest may use",
    ),
    "the guest, the ground": (
        "kernel/guest/wire.py",
        "from .. import errors\n",
        "from .. import errors: kernel/guest may use",
    ),
}


def copy_of_the_house(folder: Path) -> Path:
    made = shutil.ignore_patterns("*.so", "_*.c", "__pycache__")
    for package in ("gso", "kernel"):
        shutil.copytree(ROOT / package, folder / package, ignore=made)
    return folder


@pytest.fixture(scope="module")
def page() -> Page:
    return Page((ROOT / PAGE).read_text())


@pytest.fixture(scope="module")
def breaches(tmp_path_factory: pytest.TempPathFactory, page: Page) -> list[str]:
    root = copy_of_the_house(tmp_path_factory.mktemp("breaches"))
    for file, lines, _ in ARROWS.values():
        with (root / file).open("a") as end:
            end.write(f"\n{lines}")
    return [message for _, message in rules.forbidden(House(root).arrows(), page)]


@pytest.mark.parametrize("kind", ARROWS)
def test_forbidden_arrow(breaches: list[str], kind: str) -> None:
    file, lines, said = ARROWS[kind]
    (found,) = (
        message for message in breaches if message.startswith(f"{file}:") and said in message
    )
    before = len((ROOT / file).read_text().splitlines())
    assert before < int(found.split(":")[1]) <= before + 1 + len(lines.splitlines())
    assert f"({PAGE}), not " in found


def test_circles(tmp_path: Path) -> None:
    (tmp_path / "gso/buffers").mkdir(parents=True)
    (tmp_path / "gso/skb").mkdir()
    (tmp_path / "kernel").mkdir()
    (tmp_path / "gso/buffers/_frames.pyx").write_text("from gso.skb._skb cimport Skb\n")
    (tmp_path / "gso/skb/_skb.pxd").write_text("\n\nfrom gso.skb.state import OFFSETS\n")
    (tmp_path / "gso/skb/state.py").write_text("def f():\n    import gso.buffers._frames\n")
    arrows = list(House(tmp_path).arrows())
    (modules,) = rules.circles(arrows, str)
    assert "gso/buffers/_frames.pyx:1: from gso.skb._skb cimport Skb" in modules
    assert "gso/skb/_skb.pxd:3: from gso.skb.state import OFFSETS" in modules
    assert "gso/skb/state.py:2: import gso.buffers._frames" in modules
    (rooms,) = rules.circles(arrows, lambda name: str(Path(name).parent))
    assert "gso/skb/state.py:2: import gso.buffers._frames" in rooms
    assert not list(rules.circles(arrows[:2], str))


@pytest.mark.parametrize("name", ["gso/mystery.py", "gso/attic/_box.pyx", "kernel/attic/run.sh"])
def test_homeless_file(tmp_path: Path, page: Page, name: str) -> None:
    for package in ("gso", "kernel"):
        (tmp_path / package).mkdir()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    (tmp_path / "gso/errors.py").touch()
    (found,) = rules.homeless(House(tmp_path), page)
    assert found.startswith(f"{name}: in no room")


def test_room_without_a_file(tmp_path: Path, page: Page) -> None:
    (tmp_path / "gso").mkdir()
    (tmp_path / "gso/errors.py").touch()
    empty = {str(room) for room in rules.empty(House(tmp_path), page)}
    assert "gso/errors" not in empty
    assert "gso/constants" in empty


@pytest.mark.parametrize("line", ["import gso.nowhere", "from gso.kernel.nowhere import a"])
def test_import_of_what_is_not_there(tmp_path: Path, line: str) -> None:
    (tmp_path / "gso").mkdir()
    (tmp_path / "gso/cli.py").write_text(f"{line}\n")
    with pytest.raises(UnknownTargetError, match=r"gso/cli\.py:1: .*nowhere"):
        list(House(tmp_path).arrows())


def test_include_that_cannot_be_followed(tmp_path: Path) -> None:
    (tmp_path / "gso").mkdir()
    (tmp_path / "gso/x.c").write_text("#include HEADER\n")
    with pytest.raises(UnknownTargetError, match=r"gso/x\.c:1: .*HEADER"):
        list(House(tmp_path).arrows())


def test_page_that_allows_a_circle() -> None:
    rows = [
        "### The rooms of `gso/`",
        "| 2 | `a` | | `b`, `c` |",
        "| 2 | `b` | | |",
        "| 1 | `c` | | |",
    ]
    (found,) = rules.upward(Page("\n".join(rows)))
    assert found == f"{PAGE}: gso/a may not use gso/b, which is not on a lower floor"
