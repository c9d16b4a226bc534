"""Places for virtual machines, which all runs on a host share."""

from __future__ import annotations

import threading

import pytest
from gso.kernel.errors import TestBedError
from gso.kernel.machine import capacity
from gso.kernel.machine.capacity import place


@pytest.fixture(autouse=True)
def two_places(monkeypatch, tmp_path):
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(capacity, "_by_cores", lambda: 2)


def test_a_third_machine_waits_for_a_place(tmp_path):
    never = tmp_path / "stop"
    begun = threading.Event()

    def third():
        with place(never):
            begun.set()

    with place(never):
        with place(never):
            thread = threading.Thread(target=third)
            thread.start()
            assert not begun.wait(0.5)
        assert begun.wait(10)
        thread.join()


def test_who_waits_can_be_stopped(tmp_path):
    stop = tmp_path / "stop"
    with place(stop), place(stop):
        threading.Timer(0.2, stop.touch).start()
        with pytest.raises(TestBedError, match="interrupted"), place(stop):
            pass
