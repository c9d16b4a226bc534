"""Files given to a cluster of Dask: what is said is what is said without it, byte for byte."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

import deadly
import gso
import handmade
from gso import cluster
from gso.cli import main

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.filterwarnings("default"),  # Dask's own
    pytest.mark.xdist_group("cluster"),
]
DATA = Path(__file__).parents[1] / "kernel" / "data"
LOGS = [DATA / "incident-unpatched.trace", DATA / "incident-patched.trace"]
ALLOWED = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"
WRONG = handmade.tcp(payload=b"x" * 100)[:-1] + b"y"


@pytest.fixture(scope="module")
def workers():
    """Two worker processes."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made


def address(workers) -> str:
    return workers.scheduler_address.replace("tcp://", "dask://")


@pytest.fixture
def both(workers, capsys):
    """Run a command without the cluster and with it: all must be equal; return it."""

    def run(*words: str | Path, written: Path | None = None):
        found = []
        for more in ([], ["--executor", address(workers)]):
            status = main([*map(str, words), *more])
            files = {
                path.name: path.read_bytes() for path in (written.iterdir() if written else ())
            }
            found.append((status, *capsys.readouterr(), files))
        assert found[0] == found[1]
        return found[0][:3]

    return run


def captures(folder: Path, number: int) -> list[Path]:
    made = []
    for index in range(number):
        path = folder / f"{index:04}.pcapng"
        frame = (
            WRONG if index % 7 == 0 else handmade.tcp(("10.0.0.7", 1 + index), payload=b"x" * 90)
        )
        gso.write_capture(path, [handmade.ethernet(frame)] * (1 + index % 3))
        made.append(path)
    return made


def odd(folder: Path) -> list[Path]:
    """Files that are none, empty, or of no use."""
    (folder / "empty").touch()
    (folder / "text").write_text("nothing of a capture\n" * 9)
    return [folder / "empty", folder / "text", folder / "missing", folder]


def test_a_log_is_diagnosed_as_here(both, tmp_path):
    statuses = [
        both("diagnose", *words, *options)[0]
        for words in (LOGS[:1], LOGS, [*LOGS, *odd(tmp_path)])
        for options in ((), ("--json",), ("--ndjson",))
    ]
    assert statuses == [*[1] * 6, *[2] * 3]


def test_captures_are_validated_as_here(both, tmp_path):
    made = captures(tmp_path, 30)
    for words in (made[:1], made[1:2], made, [*made[:3], *odd(tmp_path)]):
        both("validate", *words, "--mtu", "1500")
        status, out, _ = both("validate", *words, "--json")
        if len(words) > 1:
            found = json.loads(out)
            name = "validate_many.schema.json"
            jsonschema.validate(found, json.loads((files("gso.commands") / name).read_text()))
            assert status == max(one["exit_status"] for one in found["captures"])
            assert [one["capture"] for one in found["captures"]] == list(map(str, words))


@pytest.mark.parametrize(
    ("command", "ways"), [("segment", ["", "--json", "--fix"]), ("coalesce", ["", "--json"])]
)
def test_captures_are_copied_as_here(command, ways, both, tmp_path):
    made = [*captures(tmp_path, 12), DATA / "incident-patched.pcapng", *copyable(tmp_path)]
    words = [made, *([one] for one in made[-3:]), [*made[:2], *odd(tmp_path)]]
    for number, names in enumerate(words):
        for way in ways:
            folder = tmp_path / f"{number}{way}"
            folder.mkdir()
            both(command, *names, folder, *filter(None, [way]), written=folder)
            assert len(list(folder.iterdir())) == sum(one in made for one in names)


def copyable(folder: Path) -> list[Path]:
    """Captures of which all that a command does is asked: fragments, segments, compression."""
    halves = [
        handmade.network(handmade.CLIENT, handmade.SERVER, 17, data)
        for data in (handmade.udp(payload=bytes(92))[20:][:48], bytes(52))
    ]
    wrong = [handmade.with_id(halves[0], 9, fragment=0x2000)]
    wrong.append(handmade.with_id(halves[1], 9, fragment=6))
    frames = [*map(handmade.ethernet, wrong), *handmade.stream(4)]
    plain, packed = folder / "fragments.pcap", folder / "packed.pcapng.gz"
    gso.write_capture(plain, frames)
    packed.write_bytes(gzip.compress((DATA / "incident-patched.pcapng").read_bytes()))
    return [plain, packed]


def test_large_and_small_files_keep_their_order(both, tmp_path):
    made = captures(tmp_path, 6)
    big = [handmade.ethernet(handmade.tcp(payload=b"x" * 60000))] * 40
    for index in (1, 4):
        gso.write_capture(made[index], big)
    assert made[1].stat().st_size > cluster._MOST_BYTES
    both("validate", *made)


def test_a_file_too_large_to_be_carried_is_read_here(both, tmp_path, monkeypatch):
    made = captures(tmp_path, 4)
    monkeypatch.setattr(cluster, "_LARGEST", made[0].stat().st_size)
    both("validate", *made)


def test_a_worker_that_dies_costs_a_repetition_and_a_deadly_file_is_told(tmp_path):
    names = ["a", "once", "b", "always", "c"]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * len(name))
    folder = Path(deadly.__file__).parent
    done = subprocess.run(
        [sys.executable, deadly.__file__, *(tmp_path / name for name in names)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(folder), ALLOWED: "1"},
    )
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert lines == [
        *(["a", "1"], ["once", "4"], ["b", "1"], ["always", "None", "it was given"], ["c", "1"]),
    ], done.stderr[-2000:]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("dask://127.0.0.1:1", "no scheduler answers at dask://127.0.0.1:1"),
        ("nonsense", "neither dask://HOST:PORT nor the file of a scheduler"),
        ("dask://127.0.0.1", "neither dask://HOST:PORT"),
    ],
)
def test_what_is_no_cluster_is_told(where, said, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", "1s")
    assert main(["diagnose", str(LOGS[0]), "--executor", where]) == 2
    assert said in capsys.readouterr().err


def test_a_cluster_may_be_named_by_its_scheduler_s_file(workers, tmp_path, capsys):
    named = tmp_path / "scheduler.json"
    named.write_text(json.dumps({"address": workers.scheduler_address}))
    here = main(["diagnose", str(LOGS[0])]), capsys.readouterr()
    there = main(["diagnose", str(LOGS[0]), "--executor", str(named)]), capsys.readouterr()
    assert here == there


def test_a_cluster_without_workers_is_told(capsys, monkeypatch):
    monkeypatch.setattr(cluster, "_WORKERS_SECONDS", 0.2)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as made:
        assert main(["diagnose", str(LOGS[0]), "--executor", address(made)]) == 2
    assert "has no worker" in capsys.readouterr().err


def test_without_the_extra_it_is_told(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["validate", str(LOGS[0]), "--executor", "dask://127.0.0.1:8786"]) == 2
    assert "pip install 'pygso[dask]'" in capsys.readouterr().err


def test_a_worker_of_another_edition_is_told(workers, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "_edition", lambda: "9.9")
    assert main(["diagnose", str(LOGS[0]), "--executor", address(workers)]) == 2
    assert "and this is 9.9" in capsys.readouterr().err


def test_nothing_of_dask_is_imported_without_a_cluster():
    code = f"from gso.cli import main; import sys; main(['diagnose', {str(LOGS[0])!r}]); "
    code += "print('distributed' in sys.modules or 'dask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


class Late:
    """A future that is done just after the wait for it has ended."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def done(self) -> bool:
        return True

    def result(self, timeout: float | None = None) -> str:
        if timeout is not None:
            raise distributed.TimeoutError
        if self._error:
            raise self._error
        return "there"


def test_a_result_that_comes_as_the_wait_ends_is_taken():
    assert cluster.awaited(None, Late()) == "there"
    with pytest.raises(TimeoutError, match="its own"):
        cluster.awaited(None, Late(TimeoutError("its own")))
