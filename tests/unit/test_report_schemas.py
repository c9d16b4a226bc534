"""What the commands on captures report as JSON is as its schema in the package says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

import gso
import handmade
from gso.cli import main

jsonschema = pytest.importorskip("jsonschema")

COMMANDS = ("segment", "coalesce", "validate", "explain", "info")
THERE, BACK = (handmade.CLIENT, handmade.SERVER), (handmade.SERVER, handmade.CLIENT)
VXLAN = b"\x08\0\0\0\0\0\x07\0"
INNER = handmade.ETHERNET + b"\x08\0" + handmade.tcp(payload=b"x" * 3000)
SMALL = handmade.stream(4)
WRONG = handmade.tcp(payload=b"x" * 100)[:-1] + b"y"
FRAGMENTS = [
    handmade.with_id(handmade.network(*THERE, 17, handmade.udp(payload=bytes(92))[20:][part]), 9,
                     fragment=flag)
    for part, flag in ((slice(0, 48), 0x2000), (slice(48, None), 6))
]  # fmt: skip
PACKETS = [
    handmade.syn(*THERE, 1460),
    handmade.syn(*BACK, 1380, flags=0x12),
    handmade.tcp(payload=b"x" * 4000),
    handmade.tcp(("10.0.0.7", 1), payload=b"x" * 4000),
    handmade.partial(handmade.udp(payload=b"y" * 100)),
    *(handmade.udp(("10.0.0.8", 443), payload=b"z" * 1200) for _ in range(8)),
    handmade.partial(handmade.udp(("10.0.0.8", 443), payload=b"z" * 3600)),
    handmade.udp(("10.9.0.1", 50000), ("10.9.0.2", 4789), VXLAN + INNER),
    handmade.udp(("10.9.0.1", 50000), ("10.9.0.2", 7777), VXLAN + INNER),
    *(handmade.udp(("10.9.0.1", 50000), ("10.9.0.2", 7778), VXLAN + one) for one in SMALL),
    handmade.network(*THERE, 47, b"\0\0\x88\xcc" + bytes(40)),
    WRONG,
    *FRAGMENTS,
    handmade.with_id(FRAGMENTS[0], 10, fragment=0x2000),
]
OTHERS = [handmade.ETHERNET + kind + bytes(46) for kind in (b"\x88\xcc", b"\x08\x06")]
FRAMES = [*map(handmade.ethernet, PACKETS), *handmade.stream(4), *OTHERS]
NEVER_HERE = {"packets_of_more_flows"}  # than 65,536


def captures(folder) -> Iterator[Any]:
    """Captures of all that the reports tell: also cut packets, a cut file, a damaged one, none."""
    path = folder / "all.pcapng"
    lengths = [len(frame) + 7 * (frame is FRAMES[0]) for frame in FRAMES]
    more: Any = {"timestamps": [10**18] * len(FRAMES), "comments": ["one"] * len(FRAMES)}
    device = gso.capture.Interface("ethernet", name="eth0")
    gso.write_capture(path, FRAMES, original_lengths=lengths, interfaces=[device], **more)
    yield path
    data = path.read_bytes()
    for name, cut in (("cut", data[:-5]), ("damaged", data + b"?" * 40)):
        (folder / name).write_bytes(cut)
        yield folder / name
    gso.write_capture(folder / "none.pcap", [])
    yield folder / "none.pcap"
    gso.write_capture(folder / "user.pcap", [b"?" * 100], link_type=147)
    yield folder / "user.pcap"


def ways(command, path) -> list[list[str]]:
    """Arguments for a capture that together show all that a command tells."""
    if command == "explain":
        numbers = range(1, len(FRAMES) + 1) if path.suffix == ".pcapng" else [1]
        return [["-n", str(number)] for number in numbers]
    out = [str(path) + ".out"] * (command in ("segment", "coalesce"))
    more = {
        "segment": [["--fix"], ["--gso-size", "500"]],
        "validate": [["--reassemble"], ["--mtu", "1000"]],
    }
    return [out, *(out + one for one in more.get(command, []))]


def reports(command, folder, capsys) -> Iterator[dict[str, Any]]:
    for path in captures(folder):
        for words in ways(command, path):
            main([command, str(path), *words, "--json"])
            text = capsys.readouterr().out
            if text:
                yield json.loads(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_reports_are_as_their_schema_says(command, tmp_path, capsys):
    schema = json.loads(files("gso.commands").joinpath(f"{command}.schema.json").read_text())
    checker = jsonschema.Draft202012Validator(schema)
    checker.check_schema(schema)
    seen: dict[str, list[Any]] = {}
    for report in reports(command, tmp_path, capsys):
        checker.validate(report)
        assert report["schema"] == f"gso.{command}/1"
        for name, value in report.items():
            seen.setdefault(name, []).append(value)
    # Every member was there, and was something at least once: what is always empty shows nothing.
    assert set(seen) == set(schema["properties"])
    assert {name for name, values in seen.items() if not any(values)} <= NEVER_HERE
    for name in schema["properties"]:
        lacking = {key: value for key, value in report.items() if key != name}
        assert not checker.is_valid(lacking), name
        assert not checker.is_valid({**report, name: object()}), name
    assert not checker.is_valid({**report, "other": 1})
