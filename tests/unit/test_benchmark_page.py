"""The page of benchmark results: what is said of them, and where."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest

import charts
import page
from results import load

MACHINE = {
    "date": "2026-01-02T03:04:05+00:00", "processor": "A <fast> one", "cores": 2, "pinned_to": 1,
    "memory": "8 kB", "kernel": "6.12", "python": "3.11.2", "simd": "avx2", "load": 0.5,
    "compiler": "cc 12", "versions": {"numpy": "2.0", "DPDK": ""},
}  # fmt: skip


def race(**changes):
    ratio = changes.get("theirs_seconds", 2e-6) / 1e-6
    return {
        "area": "segmentation", "case": "VXLAN IPv4, 44 x 1448", "ours": "segment_batch of 8",
        "theirs": "DPDK, finished", "ours_seconds": 1e-6, "theirs_seconds": 2e-6, "ratio": ratio,
        "spread": [ratio * 0.9, ratio * 1.1], "rounds": 9, "limit": False, "leaves_out": "",
        "unit": "super-packet", "quick": False, **changes,
    }  # fmt: skip


SLOWER = race(
    theirs="DPDK, zero-copy", theirs_seconds=0.25e-6, leaves_out="leaves checksums undone"
)
LIMIT = race(theirs="memcpy (L)", theirs_seconds=0.7e-6, limit=True, leaves_out="copies | only")
CURVE = {
    "area": "growth", "case": "segment", "x": "segments", "points": [[2, 1e-6], [4, 2e-6]],
    "slope": 5e-7, "fixed": -1e-9, "quick": False,
}  # fmt: skip
THREADS = {**CURVE, "x": "threads", "points": [[1, 2e-3], [2, 1e-3]]}
FIGURE = {"area": "growth", "case": "a stream", "seconds": 12.0, "quick": False, "peak_MB": 45.6}


@pytest.fixture
def folder(tmp_path):
    def write(*infos, name="suite.json", skipped=()):
        content = {
            "machine_info": {"pygso": MACHINE},
            "benchmarks": [{"extra_info": info} for info in infos],
            "skipped": list(skipped),
        }
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path

    return write


def made(folder) -> tuple[str, str]:
    assert page.main(["--folder", str(folder)]) == 0
    return (folder / "page.md").read_text(), (folder / "page.html").read_text()


def part(text: str, title: str) -> str:
    """Return the text below a heading of Markdown."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"no heading {title!r}"
    return found.group(1)


def test_where_a_peer_wins_it_is_said_by_how_much(folder):
    another = {**SLOWER, "case": "GRE IPv4", "theirs_seconds": 0.5e-6, "ratio": 0.5}
    won = {**SLOWER, "case": "plain IPv4", "theirs_seconds": 3e-6, "ratio": 3}
    markdown, html = made(folder(race(), another, won, SLOWER, LIMIT))
    (row,) = part(markdown, "Where a peer wins").strip().splitlines()[2:]
    assert row == (
        "| DPDK, zero-copy : segment_batch of 8 | 2 of 3 | VXLAN IPv4, 44 x 1448 | 250 ns | 1 us "
        "| 4 | leaves checksums undone |"
    ), "a limit is no rival, and who is slower everywhere does not win"
    assert "<td>2 of 3</td>" in html


def test_nobody_wins(folder):
    markdown, _ = made(folder(race(), LIMIT))
    assert "Nowhere in this run." in part(markdown, "Where a peer wins")


def test_ratios_come_before_figures(folder):
    markdown, _ = made(folder(race(), SLOWER, LIMIT, CURVE, FIGURE))
    titles = ["Where a peer wins", "Against the limit", "Against each peer", "Growth", "Figures"]
    places = [markdown.index(f"## {title}") for title in titles]
    assert places == sorted(places)


def test_a_table_has_a_column_for_each_peer(folder):
    markdown, _ = made(folder(race(), SLOWER, race(case="GRE IPv4", theirs_seconds=3e-6)))
    table = part(markdown[markdown.index("## Against each peer") :], "Segmentation")
    assert (
        "| theirs : ours | DPDK, finished : segment_batch | DPDK, zero-copy : segment_batch |"
        in (table)
    )
    assert "| VXLAN IPv4, 44 x 1448 | 2 | 0.25 |" in table
    assert "| GRE IPv4 | 3 |  |" in table


def test_the_machine_is_described_and_escaped(folder):
    markdown, html = made(folder(race(), LIMIT))
    assert "A <fast> one, 2 cores" in markdown
    assert "A &lt;fast&gt; one" in html
    assert "A <fast>" not in html
    assert "copies \\| only" in markdown
    assert "numpy 2.0" in markdown
    assert "DPDK ." not in markdown


def test_quick_runs_say_so(folder):
    assert "Quick run" in made(folder(race(quick=True)))[0]
    assert "Quick run" not in made(folder(race()))[0]


def test_growth(folder):
    markdown, _ = made(folder(CURVE, THREADS, race()))
    assert "| segment | none seen | 500 ns | 1 us | 2 us |" in markdown
    assert "| segment | 2 ms | 1 ms | 2.00 |" in markdown


def test_figures_and_what_is_missing(folder):
    markdown, _ = made(folder(FIGURE, race(), skipped=["ripgrep is not installed (5)"]))
    assert "| a stream | 12 s | peak MB 45.6 |" in markdown
    assert "- ripgrep is not installed (5)" in part(markdown, "Not measured here")


def test_suites_are_put_together(folder):
    folder(race(), name="a.json")
    path = folder(race(area="checksum"), name="b.json")
    results = load(sorted(path.glob("*.json")))
    assert results.areas() == ["segmentation", "checksum"]
    assert len(results.dates) == 2


def test_the_html_needs_nothing_else(folder):
    _, html = made(folder(race(), SLOWER, LIMIT, CURVE))
    assert html.count("<svg") == 3
    assert not re.search(r'(src|href)="', html)
    assert "<script" not in html


ROW = "| VXLAN IPv4, 44 x 1448 | segment_batch of 8 | DPDK, finished | 1 us | 2 us | 2 | 4 |"


def test_the_readme_table(folder, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    path = folder(race(), SLOWER)
    for _ in range(2):
        assert page.main(["--folder", str(path), "--readme", str(readme)]) == 0
        lines = readme.read_text().splitlines()
        assert lines[:2] == ["before", page.BEGIN]
        assert lines[-2:] == [page.END, "after"]
        assert "old" not in lines
        assert lines.count(ROW) == 1


@pytest.mark.parametrize("text", ["nothing", page.BEGIN, f"{page.BEGIN} {page.END} {page.BEGIN}"])
def test_a_readme_without_marks_is_left_alone(folder, tmp_path, capsys, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    assert page.main(["--folder", str(folder(race())), "--readme", str(readme)]) == 2
    assert readme.read_text() == text
    assert "it needs one line" in capsys.readouterr().err


def test_no_results(tmp_path, capsys):
    assert page.main(["--folder", str(tmp_path)]) == 2
    assert "run make bench first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (0.0321, "32.1 ms"), (4.56e-6, "4.56 us"), (1.234e-7, "123 ns"), (1, "1 s")],
)
def test_times(seconds, text):
    assert page.times(seconds) == text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.3, 40, [0.1, 1, 10, 100]), (1, 1, [1, 10]), (1e-9, 2e-9, [1e-9, 1e-8])],
)
def test_decades(low, high, expected):
    assert charts.decades(low, high) == pytest.approx(expected)


def test_charts_are_well_formed_and_inside_their_frame():
    rows = {"a & b": [(0.5, "x < y"), (2000.0, "z")], "limit": [(1.0, "one")]}
    lines = {"first": [(1, 2.0), (10, 20.0)], "second": [(1, 1.0), (10, 0.5)]}
    for drawn in (charts.ratios("title", rows), charts.curves("title", "n", "us", lines)):
        root = ET.fromstring(drawn)
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        places = [float(e.attrib["cx"]) for e in root.iter() if "cx" in e.attrib]
        assert all(0 <= x <= width for x in places)
        for element in root.iter():
            if element.tag.endswith("text"):
                assert 0 <= float(element.attrib["y"]) <= height
    circles = [e for e in ET.fromstring(charts.ratios("t", rows)).iter() if "cx" in e.attrib]
    assert len(circles) == 3
    assert len({circle.attrib["fill"] for circle in circles}) == 2


def test_the_paths_that_were_not_timed_are_named():
    assert page.simd_paths("avx2") == "SIMD path timed: avx2; only tested: baseline, avx512, neon"
