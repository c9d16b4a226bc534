"""Read a results folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gso.kernel import guest_files, paths
from gso.kernel.errors import UsageError

RESULTS = paths.RESULTS
SCHEMA = Path(__file__).with_name("results.schema.json")
SUPPORTED = 2


def load(folder: Path) -> dict[str, Any]:
    """Return the results in ``folder`` as ``results.schema.json`` describes them."""
    path = folder / RESULTS
    if not path.is_file():
        raise UsageError(f"cannot read {path}: there is no such file")
    try:
        # The folder itself may be a link, as to the latest run; what is in it may be anybody's.
        results = json.loads(guest_files.read(folder.resolve() / RESULTS, guest_files.LARGEST_JSON))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    if not isinstance(results, dict) or "schema" not in results:
        raise UsageError(f"{path} has no results of gso-kernel verify")
    if results["schema"] != SUPPORTED:
        raise UsageError(f"{path} has schema {results['schema']}; this program reads {SUPPORTED}")
    with reading(folder):
        for kernel in results["kernels"]:
            # It names a folder of the run, and a place of the page.
            if not re.fullmatch(r"[\w+-][\w.+-]*", kernel["id"], re.ASCII):
                raise ValueError(f"a kernel has the id {kernel['id']!r}")
    return results


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with a damaged results file into an error that names the file."""
    try:
        yield
    except (
        *(KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError),
        RecursionError,
    ) as error:
        path = folder / RESULTS
        raise UsageError(
            f"{path} does not follow {SCHEMA.name}: {type(error).__name__} {error}"
        ) from error
