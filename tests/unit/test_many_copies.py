"""`gso segment` and `gso coalesce` of several captures into a folder: as each of them alone."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

import gso
import handmade
from gso.cli import main

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = json.loads(files("gso.commands").joinpath("copies.schema.json").read_text())
COMMANDS = ("segment", "coalesce")


@pytest.fixture
def made(tmp_path) -> list[Path]:
    """Captures that end with each exit status, in folders of their own."""
    handshake = [handmade.syn(handmade.CLIENT, handmade.SERVER, 1460)]
    handshake.append(handmade.syn(handmade.SERVER, handmade.CLIENT, 1380, flags=0x12))
    packets = {
        "done.pcap": [*handshake, handmade.tcp(payload=b"x" * 4000)],
        "left.pcapng": [handmade.tcp(("10.0.0.7", 1), payload=b"x" * 4000)],
        "run.pcapng.gz": handmade.stream(6),
    }
    paths = []
    for name, frames in packets.items():
        path = tmp_path / name.partition(".")[0] / name
        path.parent.mkdir()
        gso.write_capture(path, list(map(handmade.ethernet, frames)))
        paths.append(path)
    (tmp_path / "done" / "text.pcap").write_text("no capture\n")
    return [*paths, tmp_path / "done" / "text.pcap", tmp_path / "missing.pcap"]


def alone(command: str, path: Path, target: Path, capsys) -> tuple[int, dict | None, bytes | None]:
    status = main([command, str(path), str(target), "--json"])
    out = capsys.readouterr().out
    report = (
        {key: value for key, value in json.loads(out).items() if key != "schema"} if out else None
    )
    return status, report, target.read_bytes() if target.exists() else None


@pytest.mark.parametrize("command", COMMANDS)
def test_each_is_copied_as_it_is_alone(command, made, tmp_path, capsys):
    one, many = tmp_path / "one", tmp_path / "many"
    one.mkdir()
    many.mkdir()
    expected = [alone(command, path, one / path.name, capsys) for path in made]
    status = main([command, *map(str, made), str(many), "--json"])
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    assert found["command"] == command
    got = []
    for path, capture in zip(made, found["captures"], strict=True):
        assert (capture["capture"], capture["output"]) == (str(path), str(many / path.name))
        assert bool(capture["error"]) == (capture["report"] is None)
        output = many / path.name
        data = output.read_bytes() if output.exists() else None
        got.append((capture["exit_status"], capture["report"], data))
    assert got == expected
    assert {status for status, _, _ in expected} >= {0, 2}
    assert status == max(one[0] for one in expected) == 2
    assert found["packets"] == sum(report["packets"] for _, report, _ in expected if report)
    assert found["written"] == sum(report["written"] for _, report, _ in expected if report)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_report_for_people_is_that_of_each_and_a_sum(command, made, tmp_path, capsys):
    some = made[:3]
    expected = []
    for path in some:
        main([command, str(path), str(tmp_path / path.name)])
        expected += [str(path), *capsys.readouterr().out.splitlines(), ""]
    (tmp_path / "many").mkdir()
    main([command, *map(str, some), str(tmp_path / "many")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(expected)] == expected
    assert lines[len(expected)].startswith("3 captures: ")
    assert len(lines) == len(expected) + 2


def test_a_folder_takes_a_single_capture_too(made, tmp_path, capsys):
    (tmp_path / "into").mkdir()
    assert main(["segment", str(made[0]), str(tmp_path / "into")]) == 0
    assert "1 capture: 1 done" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["done.pcap"]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_would_be_overwritten_is_refused_before_anything_is_written(
    command, made, tmp_path, capsys
):
    done, left = made[0], made[1]
    into = tmp_path / "into"
    into.mkdir()
    (tmp_path / "done.pcap").write_bytes(done.read_bytes())
    (into / "left.pcapng").symlink_to(done)
    before = done.read_bytes()
    for words, said in (
        ([done, left, tmp_path / "new"], "is no folder"),
        ([done, left, left], "is no folder"),
        ([done, tmp_path / "done.pcap", into], "would be written twice"),
        ([left, done, into], "is one of the inputs"),
        ([done, left, left.parent], "is one of the inputs"),
        (["-", left, into], "standard input has no name"),
        ([done, left, into, "--tunnel-port", "auto"], "is for one capture"),
    ):
        assert main([command, *map(str, words)]) == 2
        assert said in capsys.readouterr().err
    assert done.read_bytes() == before
    assert [path.name for path in into.iterdir()] == ["left.pcapng"]
