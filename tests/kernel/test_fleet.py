"""A whole verify by the workers of a cluster, which share no folder with it or with each other."""

from __future__ import annotations

import io
import json
import sys
import zipfile

import pytest
from gso.kernel import cli
from gso.kernel.bootable import Bootable
from gso.kernel.edition import edition
from gso.kernel.errors import TestBedError
from gso.kernel.fleet import machines, parcels
from gso.kernel.machine import jobs
from gso.kernel.machine.jobs import Job

from fake_machines import alike, results
from fake_machines import fake_machines as made_up

pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.filterwarnings("default"),  # Dask's own
    pytest.mark.xdist_group("cluster"),
]


def verified(tmp_path, name: str, *words: str) -> dict:
    cli.main(["verify", "--image", "a", "b", "--quiet", "--results", str(tmp_path / name), *words])
    return results(tmp_path / name)


def test_a_run_on_a_cluster_equals_one_here(cluster, tmp_path):
    with made_up(tmp_path / "images", 2) as here:
        whole = verified(tmp_path, "here")
        done = len(here.jobs)
        spread = verified(tmp_path, "there", "--executor", cluster())
        assert len(here.jobs) == done
    without = {**whole, "acceleration": spread["acceleration"]}
    assert alike(spread) == alike(without)
    assert whole["verdict"] == "FIXED"
    assert all(boot["host"] for kernel in spread["kernels"] for boot in kernel["boots"])
    caches = {
        path.parts[-5] for path in (tmp_path / "workers").glob("*/cache/parcels/*/*patched-*")
    }
    assert len(caches) == 2
    (folder,) = (tmp_path / "there").iterdir()
    for kernel in spread["kernels"]:
        for scenario in kernel["scenarios"]:
            for place in scenario["evidence"].values():
                assert list((folder / place).glob(f"{scenario['name']}-*.trace"))


def test_what_workers_have_booted_is_reused(cluster, tmp_path):
    some = ("--only", "fou-outer4-inner4-nocsum", "--executor", cluster())
    with made_up(tmp_path / "images"):
        whole = verified(tmp_path, "there", *some)
        again = verified(tmp_path, "again", *some, "--reuse", str(tmp_path / "there"))
    assert alike(again) == alike(whole)
    for boot, earlier in zip(
        again["kernels"][0]["boots"], whole["kernels"][0]["boots"], strict=True
    ):
        assert boot["host"] == earlier["host"] != ""
        assert boot["reused"].endswith(earlier["folder"])


def test_inputs_go_with_a_boot_and_are_not_kept(cluster, tmp_path):
    image, packets = tmp_path / "patched-image", tmp_path / "packets.bin"
    image.write_bytes(b"image")
    with machines.machines(cluster(), print) as executor:
        for number in range(3):
            packets.write_bytes(bytes([number]) * 100)
            place = tmp_path / f"boot{number}"
            job = Job(Bootable(image), {}, place, 60, tmp_path / "stop", inputs=(packets,))
            assert jobs.done(job, executor).status == "done"
            assert (place / "packets.bin.seen").read_bytes() == bytes([number]) * 100
    assert list((tmp_path / "workers").rglob("patched-image"))
    assert not list((tmp_path / "workers").rglob("packets.bin"))
    assert len(list((tmp_path / "cache" / "parcels").glob("*.zip"))) == 1


def test_nothing_begins_after_the_end(cluster, tmp_path):
    image = tmp_path / "patched-image"
    image.write_bytes(b"image")
    with machines.machines(cluster(workers=1), print) as executor:
        executor.end()
        job = Job(Bootable(image), {}, tmp_path / "boot", 60, tmp_path / "stop")
        result = jobs.done(job, executor)
    assert (result.status, result.message) == ("failed", "it was ended before it began")


def test_workers_of_several_makes_reuse_nothing():
    same, other = {"equipment": "a"}, {"equipment": "b"}
    assert machines._equipment([same, same]) == "a"
    assert not machines._equipment([same, other])


def test_a_worker_that_dies_costs_no_verdict(cluster, tmp_path):
    with made_up(tmp_path / "images", 2):
        whole = verified(tmp_path, "here")
        spread = verified(tmp_path, "there", "--executor", cluster("unpatched", workers=3))
    assert (tmp_path / "workers" / "died").exists()
    assert alike(spread) == alike({**whole, "acceleration": spread["acceleration"]})


def test_workers_that_can_boot_nothing_are_told(cluster, tmp_path, capsys, monkeypatch):
    address = cluster(fake=False, workers=1)
    monkeypatch.setattr(machines, "edition", lambda: "another")
    with made_up(tmp_path / "images"):
        words = ["verify", "--image", "a", "b", "--executor", address]
        assert cli.main([*words, "--results", str(tmp_path / "r")]) == 2
    assert f"has the edition {edition()}, not another" in capsys.readouterr().err


@pytest.mark.parametrize("names", [["../x"], ["/x"], ["a/../../x"], [".x"], ["x" * 300]])
def test_names_that_lead_elsewhere_are_refused(tmp_path, names):
    with pytest.raises(TestBedError, match="damaged"):
        parcels.unpack(archive(dict.fromkeys(names, b"")), tmp_path / "in")
    assert not (tmp_path / "x").exists()


def archive(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            made.writestr(info, content)
    return sink.getvalue()


def test_evidence_has_limits(tmp_path, monkeypatch):
    data = archive({str(n): bytes(1000) for n in range(20)})
    for limit, value in (("_MOST_FILES", 19), ("_MOST_BYTES", 19_999), ("_LARGEST_FILE", 999)):
        with monkeypatch.context() as patch:
            patch.setattr(parcels, limit, value)
            with pytest.raises(TestBedError, match="damaged"):
                parcels.unpack(data, tmp_path / limit)
    for bad in (b"", b"PK", data[:-30], data.replace(b"\x50\x4b\x01\x02", b"\x50\x4b\x01\x03")):
        with pytest.raises(TestBedError, match="damaged"):
            parcels.unpack(bad, tmp_path / "bad")
    parcels.unpack(data, tmp_path / "good")
    assert len(list((tmp_path / "good").iterdir())) == 20


def test_every_damaged_byte_is_taken_or_called_damage(tmp_path):
    data = archive({"folder/file": b"some words that can be packed " * 20})
    damaged = 0
    for at in range(len(data)):
        bad = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        try:
            parcels.unpack(bad, tmp_path / str(at))
        except TestBedError:
            damaged += 1
    assert damaged > len(data) / 2


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_asks_for_any_memory_is_refused(tmp_path, method):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as made:
        made.writestr("file", b"some words")
    with pytest.raises(TestBedError, match="packed in the way"):
        parcels.unpack(sink.getvalue(), tmp_path / "in")


def test_what_is_there_is_replaced_and_not_written_through(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "secret")
    parcels.unpack(archive({"file": b"new"}), tmp_path / "in")
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "in" / "file").read_text() == "new"


def test_the_same_files_make_the_same_parcel(tmp_path, monkeypatch):
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_bytes(b"content")
        (tmp_path / name / "link").symlink_to("/etc")
    first, second = (parcels.made(tmp_path / name, "tree") for name in ("one", "two"))
    assert first == second
    parcels.store(first.digest, first.archive.read_bytes())
    assert (first.place / "deep" / "file").read_bytes() == b"content"
    assert not (first.place / "link").exists()
    with pytest.raises(TestBedError, match="arrived as"):
        parcels.store(first.digest, b"other")


def test_without_the_extra_it_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with made_up(tmp_path / "images"):
        words = ["verify", "--image", "a", "b", "--executor", "dask://127.0.0.1:8786"]
        assert cli.main([*words, "--results", str(tmp_path / "r")]) == 2
    assert "pip install 'pygso[dask]'" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.vm
def test_real_machines_at_workers_give_the_verdicts_of_those_here(cluster, tmp_path, test_bed):  # noqa: ARG001
    words = ["verify", "ipvs-gue-inner-mac-header", "--quiet", "--timeout", "900"]
    words += ["--only", "gue-outer4-*-nocsum", "--only", "fou-outer4-inner4-nocsum"]
    here = cli.main([*words, "--results", str(tmp_path / "here")])
    address = cluster(fake=False)
    there = cli.main([*words, "--executor", address, "--results", str(tmp_path / "there")])
    both = [results(tmp_path / name) for name in ("here", "there")]
    assert here == there == 0
    assert verdicts(both[0]) == verdicts(both[1])


@pytest.mark.vm
@pytest.mark.on_demand
@pytest.mark.usefixtures("test_bed")
def test_a_hunt_at_workers_finds_what_one_here_finds(cluster, tmp_path, gso_kernel):
    stacks = [word for number in range(4) for word in ("--stack", str(number))]
    words = ["hunt", "--unpatched", "--only", "ipvs-gue", "--seed", "1", "--for", "15m", *stacks]
    found = []
    for name, more in (("here", []), ("there", ["--executor", cluster(fake=False)])):
        done = gso_kernel(*words, *more, "--json", "--quiet", "--results", tmp_path / name)
        assert done.status == 1, done.err
        found.append(json.loads(done.out))
    here, there = found
    for key in ("kernel", "stacks", "legal", "judged", "outcomes", "lost"):
        assert here[key] == there[key]
    assert [one["text"] for one in here["findings"]] == [one["text"] for one in there["findings"]]
    assert len(list((tmp_path / "there").glob("*/part-*/boot-0"))) == 2
    assert len(list((tmp_path / "workers").glob("*/cache/parcels/*/vmlinuz-*"))) == 2
    for finding in there["findings"]:
        (folder,) = (tmp_path / "there").glob(f"*/part-*/{finding['number']}-{finding['name']}")
        assert "drops in validate_xmit_skb" in (folder / "report.md").read_text()


@pytest.mark.vm
@pytest.mark.on_demand
@pytest.mark.usefixtures("test_bed")
@pytest.mark.parametrize("kind", [(), ("--gro",), ("--types",)])
def test_conformance_at_workers_says_what_it_says_here(cluster, tmp_path, gso_kernel, kind):
    words = ["conformance", *kind, "--seed", "3", "--count", "400", "--quiet", "--timeout", "1200"]
    here, there = (
        gso_kernel(*words, *more, "--json", tmp_path / name, timeout=7200)
        for name, more in (("here", []), ("there", ["--executor", cluster(fake=False)]))
    )
    assert (here.status, here.out) == (there.status, there.out)
    assert here.status == 0
    both = [json.loads((tmp_path / name).read_text()) for name in ("here", "there")]
    assert all(sum(found.pop("hosts").values()) for found in both)
    assert both[0] == both[1]
    assert list((tmp_path / "workers").glob("*/cache/parcels/*/vmlinuz-*"))


@pytest.mark.vm
@pytest.mark.on_demand
@pytest.mark.usefixtures("test_bed")
def test_a_zoo_at_workers_has_the_verdicts_of_one_here(cluster, tmp_path, gso_kernel):
    words = ["zoo", "--only", "gre-external-seq", "--json", "--quiet"]
    here, there = (
        gso_kernel(*words, *more, "--results", tmp_path / name, timeout=7200)
        for name, more in (("here", []), ("there", ["--executor", cluster(fake=False)]))
    )
    assert here.status == there.status == 0, here.err + there.err
    assert table(json.loads(here.out)) == table(json.loads(there.out))
    assert list((tmp_path / "workers").glob("*/cache/parcels/*/vmlinuz-*"))


def table(found: dict) -> list[tuple[str, str, str]]:
    return [(one["fault"], one["kernel"], one["verdict"]) for one in found["faults"]]


def verdicts(found: dict) -> list[tuple[str, str, str]]:
    (kernel,) = found["kernels"]
    return [(s["name"], s["role"], s["verdict"]) for s in kernel["scenarios"]]
