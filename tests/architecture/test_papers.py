"""The papers name what is there: rooms, files, and in the drawing what the tables say."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from architecture.drawing import arrows, graph, name
from architecture.page import PAGE, Page

ROOT = Path(__file__).parents[2]
DRAWING = ROOT / "docs" / "rooms.svg"
PAPERS = [PAGE, "CONTRIBUTING.md", "SECURITY.md", "docs/tuning.md"]
# Where the papers' short paths begin.
STARTS = ("", "gso", "kernel")
PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|pyi|pyx|pxd|c|h|md|toml|sh|lua|patch)))`")


@pytest.fixture(scope="module")
def page() -> Page:
    return Page((ROOT / PAGE).read_text())


def test_drawing_shows_the_tables(page: Page) -> None:
    drawn = set(re.findall(r"<title>(.*?)</title>", _drawing()))
    frame = {"rooms", "cluster gso", "cluster kernel", "kernel: ground->gso: door"}
    assert drawn == frame | {name(room) for room in page.rooms} | {
        f"{source}->{target}" for source, target in arrows(page)
    }


def test_drawing_has_the_text_of_the_tables(page: Page) -> None:
    rows = re.findall(r"<text[^>]*>(.*?)</text>", _drawing())
    wanted = re.findall(r"<b>(.*?)</b>|<font[^>]*>(.*?)</font>", "\n".join(graph(page)))
    assert {"".join(row) for row in wanted} <= set(rows), "make drawing makes it anew"


def test_readme_names_the_folders_that_people_look_for() -> None:
    house = (ROOT / "README.md").read_text().split("## The house")[1]
    named = re.findall(r"^    ([\w.]+)/ ", house, re.MULTILINE)
    assert {"gso", "kernel", "patches", "tests", "docs"} <= set(named)
    assert all((ROOT / name_).is_dir() for name_ in named)


def _drawing() -> str:
    return html.unescape(DRAWING.read_text())


@pytest.mark.parametrize("paper", PAPERS)
def test_files_that_a_paper_names_are_there(paper: str) -> None:
    named = set(PATH.findall((ROOT / paper).read_text()))
    assert named
    missing = [
        path for path in named if not any((ROOT / start / path).exists() for start in STARTS)
    ]
    assert not missing
