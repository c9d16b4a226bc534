"""The contest that benchmarks are written with: who is timed when, and what is noted."""

from __future__ import annotations

import sys

import pytest

from contest import Contest, Contestant, Effort, Program, clock, saved_segments


class Benchmark:
    """The part of pytest-benchmark's fixture that a contest uses."""

    def __init__(self) -> None:
        self.extra_info: dict[str, object] = {}
        self.times: list[float] = []
        self.group = ""

    def pedantic(self, function, *, rounds, iterations):
        assert iterations == 1
        for _ in range(rounds):
            start = clock()
            function()
            self.times.append(clock() - start)


def contestant(name, log, times, **options):
    def seconds(repeats):
        log.append((name, repeats))
        return times

    return Contestant(name, seconds, **options)


def test_rounds_alternate_and_the_clock_is_the_peers():
    log = []
    benchmark = Benchmark()
    ours = contestant("ours", log, 1e-3, items=2)
    theirs = contestant("theirs", log, 4e-3, leaves_out="nothing")
    Contest(benchmark, Effort(quick=True))("area", "case", ours, theirs, bytes=7)
    rounds = [name for name, _ in log[-2 * len(benchmark.times) :]]
    assert rounds[:4] == ["ours", "theirs", "theirs", "ours"]
    assert benchmark.times == pytest.approx([4e-3] * len(benchmark.times))
    info = benchmark.extra_info
    assert info["ratio"] == pytest.approx(8)
    assert info["ours_seconds"] == pytest.approx(0.5e-3)
    assert (info["theirs"], info["leaves_out"], info["bytes"]) == ("theirs", "nothing", 7)
    assert benchmark.group == "area: case"


@pytest.mark.parametrize(("seconds", "least"), [(1e-7, 20000), (1e-5, 200), (1e-3, 2), (0.5, 1)])
def test_a_round_is_long_enough_for_the_clock(seconds, least):
    fast = Contestant("fast", lambda _: seconds)
    fast.calibrate()
    assert least <= fast.repeats <= 2 * least


@pytest.mark.parametrize(
    ("quick", "one", "rounds"), [(False, 0.07, 8), (False, 9, 5), (True, 9, 3)]
)
def test_slow_contests_have_fewer_rounds(quick, one, rounds):
    assert Effort(quick).rounds(one) == rounds


PROGRAM = """
import sys
print("some news")
print("ready", flush=True)
for line in sys.stdin:
    mode, repeats = line.split()
    print(len(mode) * int(repeats), flush=True)
"""


def test_a_program_times_itself():
    program = Program([sys.executable, "-c", PROGRAM])
    assert program.said == "some news\n"
    theirs = program.contestant("it", "four", unit="thing")
    assert theirs.seconds(10) == pytest.approx(40e-9)
    program.close()


def test_a_program_that_ends_says_why():
    with pytest.raises(RuntimeError, match="no such thing"):
        Program([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_saved_segments(tmp_path):
    path = tmp_path / "segments"
    path.write_bytes(b"\3\0\0\0abc\1\0\0\0d")
    assert saved_segments(path) == [b"abc", b"d"]
