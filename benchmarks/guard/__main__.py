"""Count instructions of the core cases: PYTHONPATH=benchmarks python -m guard [--refresh]."""

from __future__ import annotations

import argparse
import sys

from guard.compare import STORE, compare, nearest, store, stored_counts
from guard.measure import UnableError, identity, measure


def main() -> int:
    """Compare (0: fine, 1: a case became dearer, 2: cannot say) or refresh."""
    parser = argparse.ArgumentParser(prog="guard", description="Count the core's instructions.")
    parser.add_argument("--refresh", action="store_true", help=f"store the counts in {STORE.name}")
    options = parser.parse_args()
    try:
        profiles = measure()
    except UnableError as error:
        print(error, file=sys.stderr)
        return 2
    build = identity()
    stored = stored_counts(build)
    if stored is None and not options.refresh:
        print(f"no counts for this build: {nearest(build)}; --refresh adds them", file=sys.stderr)
        return 2
    comparisons = compare(profiles, {c: n for c, n in (stored or {}).items() if c in profiles})
    for comparison in comparisons:
        print(comparison)
    if options.refresh:
        store(build, profiles)
        return 0
    return int(any(comparison.failed for comparison in comparisons))


if __name__ == "__main__":
    raise SystemExit(main())
