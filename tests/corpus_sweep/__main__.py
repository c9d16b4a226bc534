"""Sweep a folder: ``PYTHONPATH=tests python -m corpus_sweep FOLDER --results FILE``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpus_sweep import wireshark
from corpus_sweep.commands import run_all
from corpus_sweep.judge import judge
from corpus_sweep.report import report

_MAGICS = tuple(
    bytes.fromhex(magic)
    for magic in (
        "a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "a1b2cd34", "34cdb2a1", "0a0d0d0a",
    )
)  # fmt: skip
_COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")
_TOGETHER = 40


def captures(folder: Path) -> Iterator[Path]:
    """The captures in the folder, told by their first bytes, or where compressed by their names."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            head = file.read(8)
        named = head.startswith(_COMPRESSED) and ".pcap" in path.name
        if head.startswith(_MAGICS) or named:
            yield path


def sweep(paths: Sequence[Path], folder: Path, *, tshark: bool) -> Iterator[dict[str, object]]:
    """Yield the results of these captures, which tshark judges in one run."""
    with tempfile.TemporaryDirectory(prefix="gso-sweep-") as place:
        runs = []
        for number, path in enumerate(paths):
            own = Path(place) / str(number)
            own.mkdir()
            runs.append((run_all(path, str(path.relative_to(folder)), own), path))
        packets = [
            packet
            for run, _ in runs
            for some in (run.before, *run.made.values())
            for packet in some
        ]
        rows = wireshark.dissect(packets, Path(place)) if tshark and packets else {}
        for run, path in runs:
            missing = sum(packet not in rows for packet in run.before)
            run.result.counts["not judged by tshark"] += missing
            judge(run, path, rows)
            yield vars(run.result)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="captures, at any depth")
    parser.add_argument("--results", type=Path, help="a line of JSON for each file; goes on there")
    parser.add_argument("--most", type=int, default=1 << 30, help="how many files to look at")
    parser.add_argument("--largest", type=int, default=8 << 20, help="of files to look at, bytes")
    parser.add_argument("--no-tshark", action="store_true", help="judge without tshark")
    return parser.parse_args()


def main() -> int:
    """Sweep, print the report, and return 1 if anything is wrong."""
    options = _arguments()
    tshark = wireshark.available() and not options.no_tshark
    kept = options.results if options.results and options.results.exists() else None
    results = [json.loads(line) for line in kept.read_text().splitlines()] if kept else []
    done = {one["name"] for one in results}
    todo = [
        path
        for path in captures(options.folder)
        if str(path.relative_to(options.folder)) not in done
        and path.stat().st_size <= options.largest
    ][: options.most]
    for start in range(0, len(todo), _TOGETHER):
        some = todo[start : start + _TOGETHER]
        for one in sweep(some, options.folder, tshark=tshark):
            results.append(one)
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps(one) + "\n")
    sys.stdout.writelines(f"{line}\n" for line in report(results))
    return int(any("WRONG" in cause for one in results for cause in one["counts"]))


if __name__ == "__main__":
    sys.exit(main())
