"""Many files, one after the other here or all over a cluster."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from gso import cluster
from gso.commands.usage import UsageError

_T = TypeVar("_T")


def add_executor(command: argparse.ArgumentParser) -> None:
    """Add the option for a cluster that is given files."""
    cluster.add_option(command, "give the files to the workers of a cluster of Dask")


class NamedBytes(io.BytesIO):
    """The bytes of a file that is elsewhere, with its name for messages."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


def each(
    names: Sequence[str],
    executor: str | None,
    work: Callable[[str, bytes], _T],
    here: Callable[[str], _T],
    lost: Callable[[str, str], _T],
) -> Iterator[tuple[str, _T]]:
    """Yield each file's name with what came of it, in order.

    Args:
        executor: the address of a cluster; None: all is done here.
        work: is done to a name and the file's bytes, at a worker.
        here: is done to a name in this process.
        lost: makes an answer of a name and why there is none.
    """
    if executor is None:
        yield from ((name, here(name)) for name in names)
        return
    try:
        with cluster.connected(executor) as client:
            for file in cluster.over_files(client, names, work, here):
                yield file.name, lost(file.name, file.error) if file.result is None else file.result
    except cluster.ClusterError as error:
        raise UsageError(str(error)) from None
