"""From packets in a real kernel to the missing call, through every format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gso.kernel.runs.record import write

import gso
from gso.cli import main
from gso.diagnosis import SET_INNER_MAC

DATA = Path(__file__).parent / "data"
SCENARIO = "gue-outer4-inner4-nocsum"


@pytest.fixture
def log(gso_kernel, tmp_path, request):
    """Record a trace of one scenario in a VM."""
    request.getfixturevalue("test_bed")

    def record(*arguments: str) -> Path:
        path = tmp_path / "recorded"
        done = gso_kernel("trace", "--scenario", SCENARIO, "-o", path, *arguments)
        assert done.status == 0, done.err
        return path

    return record


def check_unpatched(path: Path, capsys) -> None:
    assert main(["diagnose", "--json", str(path)]) == 1
    told = json.loads(capsys.readouterr().out)
    found = told["findings"][0]
    assert found["rules"][0] == "tunnel-header-negative"
    assert found["fields"]["tnl_hlen"] == -2
    assert found["function"] == "ip_vs_tunnel_xmit"
    assert found["missing_call"] == SET_INNER_MAC
    assert found["dropped"] > 0
    assert found["drop"]["place"] == "validate_xmit_skb"
    assert all(one["function"] == "ip_vs_tunnel_xmit" for one in told["findings"])


@pytest.mark.vm
def test_an_unpatched_kernel_is_diagnosed_from_every_format(log, tmp_path, capsys):
    recorded = log("--unpatched", "--format", "ftrace")
    check_unpatched(recorded, capsys)
    for kind in ("pwru", "perf", "json"):
        path = tmp_path / kind
        with path.open("wb") as out:
            write([recorded], kind, out)
        check_unpatched(path, capsys)


@pytest.mark.vm
@pytest.mark.parametrize(
    "arguments",
    [("--unpatched", "--patch", "ipvs-gue-inner-mac-header"), ()],
    ids=["patched here", "fixed by Debian"],
)
def test_a_fixed_kernel_is_clean(log, arguments):
    path = log(*arguments)
    diagnosis = gso.diagnose(gso.read_trace(path))
    assert diagnosis.clean
    assert diagnosis.format == "pwru"
    assert diagnosis.judged["tunnel-header-negative"] > 0
    assert diagnosis.damaged == 0


@pytest.mark.parametrize("kind", ["pwru", "perf", "json"])
def test_every_format_tells_what_the_probes_saw(tmp_path, kind):
    original = gso.read_trace(DATA / "incident-unpatched.trace")
    path = tmp_path / "log"
    with path.open("wb") as out:
        write([DATA / "incident-unpatched.trace"], kind, out)
    read = gso.read_trace(path)
    assert read.format == {"json": "pwru-json"}.get(kind, kind)
    assert read.damaged == 0
    # pwru sees no function return.
    kept = slice(None) if kind == "perf" else original.returns == 0
    for name in ("time", "cpu", "skb"):
        assert getattr(read, name).tolist() == getattr(original, name)[kept].tolist(), name
    for name in ("inner_mac_header", "transport_header", "data_len"):
        column = original.state[name][kept]
        if kind == "json":  # a dump of pwru leaves zeros out, so they are not known
            column = np.where(column == 0, np.iinfo(np.int32).min, column)
        assert read.state[name].tolist() == column.tolist(), name
    if kind != "perf":
        assert read.flow.tolist() == original.flow[kept].tolist()
        assert read.flow[0].endswith("->192.0.2.1:8000(tcp)")
    check = [one.rules for one in gso.diagnose(read).cases]
    assert check[0] == ("tunnel-header-negative",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "nothing", "-o", "x"], "no scenario or group 'nothing'"),
        (["-o", "missing/x"], "cannot write missing/x"),
        (["--patch", "missing.patch", "-o", "x"], "missing.patch"),
    ],
)
def test_wrong_usage(gso_kernel, arguments, message):
    done = gso_kernel("trace", *arguments)
    assert done.status == 2
    assert message in done.err
