"""The other commands at the workers of a cluster, with machines that are made up."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from gso.kernel import cli
from gso.kernel.bootable import Bootable
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.tunnels import run as tunnels
from gso.kernel.conformance.types import run as types
from gso.kernel.hunting import run as hunting
from gso.kernel.hunting.findings import SCHEMA
from gso.kernel.trees import debian

from fake_machines import fake_machines as made_up

pytestmark = [
    pytest.mark.filterwarnings("default"),  # Dask's own
    pytest.mark.xdist_group("cluster"),
]


@pytest.fixture
def image(tmp_path):
    """Return a file that stands for a kernel."""
    path = tmp_path / "vmlinuz-6.12.117"
    path.write_bytes(b"image")
    return path


@pytest.fixture
def both(tmp_path, cluster, capsys):
    """Run a command here and at the workers; return both statuses, and both outputs."""
    addresses: list[str] = []

    def run(*words: str, deadly: str = "", workers: int = 2) -> tuple[list[int], list[str]]:
        addresses[:] = addresses or [cluster(deadly, workers=workers)]
        statuses, outputs = [], []
        with made_up(tmp_path / "images"):
            for place, more in (("here", ()), ("there", ("--executor", *addresses))):
                given = [word.replace("PLACE", str(tmp_path / place)) for word in words]
                (tmp_path / place).mkdir(exist_ok=True)
                capsys.readouterr()
                statuses.append(cli.main([*given, *more, "--quiet"]))
                outputs.append(capsys.readouterr().out)
        return statuses, outputs

    return run


def of_workers(hosts: dict[str, int]) -> bool:
    return bool(hosts) and all(name.startswith("worker-") for name in hosts)


def test_a_hunt_finds_what_one_host_finds_though_a_worker_dies(both, image, tmp_path, monkeypatch):
    monkeypatch.setattr(hunting, "make", lambda *_: Bootable(image))
    words = ("hunt", "--seed", "3", "--json", "--results", "PLACE")
    statuses, outputs = both(*words, deadly="boot-0", workers=3)
    assert statuses == [1, 1]
    assert (tmp_path / "workers" / "died").exists()
    here, there = map(json.loads, outputs)
    jsonschema.validate(there, json.loads(SCHEMA.read_text()))
    for key in ("kernel", "stacks", "legal", "judged", "outcomes", "lost", "shard"):
        assert here[key] == there[key]
    assert [one["text"] for one in here["findings"]] == [one["text"] for one in there["findings"]]
    assert of_workers(there["hosts"])
    assert sum(there["hosts"].values()) == 3
    assert all(one["host"] in there["hosts"] for one in there["findings"])
    assert list((tmp_path / "there").glob("*/part-*/*-ipvs-gue*/trace.txt"))


@pytest.fixture
def debians(image, tmp_path, monkeypatch):
    """A kernel of Debian's that is made up, and lots of a few packets."""
    modules = tmp_path / "modules" / "6.12.117"
    modules.mkdir(parents=True)
    (modules / "modules.dep").touch()
    kernel = SimpleNamespace(release="6.12.117+deb12-amd64", image=image, modules_folder=modules)
    monkeypatch.setattr(debian, "choose", lambda *_: kernel)
    monkeypatch.setattr(debian, "fetch", lambda *_: None)
    for module in (gro, types):
        monkeypatch.setattr(module, "own_module", lambda *_: image)
    for module in (tunnels, gro, types):
        monkeypatch.setattr(module, "_PER_BOOT", 30)


@pytest.mark.usefixtures("debians")
def test_conformance_says_what_it_says_here_and_names_its_workers(both, tmp_path):
    # Of the made-up answers some are wrong, and those of the last are all refusals.
    for way, status in ((("--only", "none"), 1), (("--gro",), 1), (("--types",), 125)):
        files = ("--json", "PLACE/found.json", "--differences", "PLACE/differences.json.xz")
        statuses, outputs = both("conformance", *way, "--seed", "3", "--count", "100", *files)
        assert statuses == [status, status]
        assert outputs[1].count(", at worker-") == 10
        at_workers(tmp_path)


def at_workers(folder: Path) -> None:
    """Check that the workers' answers are those of this host, but for the hosts in them."""
    here, there = (json.loads((folder / w / "found.json").read_text()) for w in ("here", "there"))
    packed = (folder / "there" / "differences.json.xz").read_bytes()
    assert json.loads(lzma.decompress(packed))["records"] == there["differences"]
    hosts, own = there.pop("hosts"), here.pop("hosts")
    assert of_workers(hosts)
    assert not of_workers(own)
    assert sum(hosts.values()) == sum(own.values()) == 4
    assert all(one.pop("host") in hosts for one in there["differences"])
    assert there == here


def test_a_zoo_has_the_verdicts_of_one_host(both, tmp_path):
    fault = "ipvs-gue-inner-mac-header"
    statuses, outputs = both("zoo", "--only", fault, "--json", "--results", "PLACE")
    here, there = (json.loads(output)["faults"] for output in outputs)
    assert statuses == [0, 0]
    assert [(one["fault"], one["kernel"], one["verdict"]) for one in there] == [
        (one["fault"], one["kernel"], one["verdict"]) for one in here
    ]
    assert here[0]["verdict"] == "FIXED"
    (results,) = (tmp_path / "there").glob("*/results.json")
    boots = json.loads(results.read_text())["kernels"][0]["boots"]
    assert all(boot["host"].startswith("worker-") for boot in boots)
