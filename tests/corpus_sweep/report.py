"""The results of a sweep, summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

_MOST_EXAMPLES = 6


def report(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines: totals, then every cause with its packets, its files and some examples."""
    yield f"files: {len(results)}"
    yield f"files that cannot be read: {sum(not one['readable'] for one in results)}"
    yield f"packets: {sum(one['packets'] for one in results)}"
    seconds: Counter[str] = Counter()
    for one in results:
        seconds.update(one["seconds"])
    for command, spent in seconds.items():
        yield f"processor time of {command}: {spent:.1f} s"
    packets: Counter[str] = Counter()
    files: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for one in results:
        packets.update(one["counts"])
        files.update(one["counts"].keys())
        for cause, shown in one["examples"].items():
            examples.setdefault(cause, []).extend(f"{one['name']} {text}" for text in shown[:2])
    for cause, count in sorted(packets.items()):
        yield f"{count:8} in {files[cause]:4} files: {cause}"
        for text in examples.get(cause, [])[:_MOST_EXAMPLES]:
            yield f"{'':12}{text[:200]}"
