"""The house is as ``docs/architecture.md`` says: every file in a room, every arrow allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from architecture import rules
from architecture.house import Arrow, House
from architecture.page import PAGE, Page

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page((ROOT / PAGE).read_text())


@pytest.fixture(scope="module")
def arrows(house: House) -> list[Arrow]:
    return list(house.arrows())


def test_every_file_is_in_a_room(house: House, page: Page) -> None:
    assert not list(rules.homeless(house, page))


def test_every_room_has_a_file(house: House, page: Page) -> None:
    assert not list(rules.empty(house, page))


def test_every_arrow_is_allowed(arrows: list[Arrow], page: Page) -> None:
    breaches = [message for _, message in rules.forbidden(arrows, page)]
    assert not breaches, "\n" + "\n".join(breaches)


def test_allowed_arrows_lead_downstairs(page: Page) -> None:
    assert not list(rules.upward(page))


def test_no_circle_of_modules(arrows: list[Arrow]) -> None:
    assert not list(rules.circles(arrows, str))


def test_no_circle_of_rooms(arrows: list[Arrow], page: Page) -> None:
    assert not list(rules.circles(arrows, lambda unit: str(page.room(unit))))
