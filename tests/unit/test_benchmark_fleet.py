"""The costs of a cluster, measured over few files: that it works, not what it costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra dask is missing")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
fleet = pytest.importorskip("fleet", reason="psutil is missing", exc_type=ImportError)

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.xdist_group("cluster")]


def test_each_way_is_measured(tmp_path, capsys):
    fleet.main(["--files", "5", "--workers", "1", "--json", str(tmp_path / "found.json")])
    rows = json.loads((tmp_path / "found.json").read_text())
    assert [(row["kind"], row["workers"], row["files"]) for row in rows] == [
        (kind, workers, 5) for kind in ("captures", "logs", "super-packets") for workers in (0, 1)
    ]
    assert all(row["elapsed"] > 0 for row in rows)
    assert not any(row["scheduler"] or row["work"] for row in rows if not row["workers"])
    assert capsys.readouterr().out.count(" files/s |") == len(rows)


def test_a_report_of_less_costs_less_and_is_refused(tmp_path):
    files = fleet.make_files("captures", 3, tmp_path / "captures")
    assert len({path.read_bytes() for path in files}) == 1
    with pytest.raises(RuntimeError, match="not of 2"):
        fleet.check({"captures": files}, 2)
    with pytest.raises(RuntimeError, match="gso validate ended with 2"):
        fleet.run("captures", [*files, tmp_path / "none.pcap"], ())


def test_the_slower_of_both_is_the_limit():
    assert fleet.Row("logs", 1, 2, 1.0, 0.001, 0.002).limit == 500
    assert fleet.Row("logs", 0, 2, 1.0, 0.004).limit == 250
