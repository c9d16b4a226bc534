"""A cluster of Dask: found by its address, and given files or other work to do.

Dask is imported where a cluster is asked for, and nowhere else (the extra ``dask``).
"""

from __future__ import annotations

import argparse
import re
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["ClusterError", "File", "add_option", "connected", "over_files"]

_CONNECT_SECONDS = "15s"
_WORKERS_SECONDS = 30.0
_POLL_SECONDS, _GONE_SECONDS = 0.5, 120.0
_MOST_FILES, _MOST_BYTES = 32, 1 << 20
"""Of files that go to a worker together: a task costs about as much as a small file."""
_LARGEST = 256 << 20
"""Bytes of a file that is sent at all: a larger one is read faster than it is carried there."""
_AHEAD = 3  # pieces of work for each of the workers' threads, so that none waits for the next

_T = TypeVar("_T")
Client: TypeAlias = Any
"""A `distributed.Client`: Dask is not there where these modules are imported, and not typed."""


class ClusterError(Exception):
    """The cluster cannot be used; the message says what to do next."""


def add_option(command: argparse.ArgumentParser, purpose: str) -> None:
    """Add the option that names a cluster, for :func:`connected`."""
    command.add_argument(
        "--executor",
        metavar="ADDRESS",
        help=f"{purpose}: dask://HOST:8786, tls://HOST:8786, or its scheduler's file (needs the "
        "extra dask, here and at the workers)",
    )


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Connect to a scheduler: ``dask://HOST:PORT``, ``tls://HOST:PORT``, or its file.

    Raises:
        ClusterError: Dask is not installed, nothing answers, or no worker comes.
    """
    try:
        import distributed  # noqa: PLC0415  (an extra, and slow)
    except ImportError as error:
        raise ClusterError(
            f"--executor needs Dask ({error}): pip install 'pygso[dask]', here and for the workers"
        ) from None
    where = _where(address)
    try:
        make: Any = distributed.Client
        client = make(**where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(
            f"no scheduler answers at {address}: {error}; `dask scheduler` starts one, "
            "`dask worker tcp://HOST:8786` its workers"
        ) from None
    try:
        _wait_for_workers(client, address)
        yield client
    finally:
        client.close()


def _where(address: str) -> dict[str, Any]:
    if match := re.fullmatch(r"dask://([^/\s]+:\d+)", address):
        return {"address": f"tcp://{match[1]}"}
    if re.fullmatch(r"(tls|tcp|ucx|wss?)://[^/\s]+", address):
        return {"address": address}
    if Path(address).is_file():
        return {"scheduler_file": address}
    raise ClusterError(f"{address!r} is neither dask://HOST:PORT nor the file of a scheduler")


def _wait_for_workers(client: Client, address: str) -> None:
    end = time.monotonic() + _WORKERS_SECONDS
    while not threads(client):
        if time.monotonic() > end:
            raise ClusterError(
                f"the scheduler at {address} has no worker: `dask worker` starts one, and "
                f"{_WORKERS_SECONDS:g} s were not enough for it to come"
            )
        time.sleep(0.1)


def threads(client: Client) -> int:
    """Return how many tasks the workers do at once."""
    return sum(client.nthreads().values())


@dataclass(frozen=True)
class File(Generic[_T]):
    """The outcome for a file: a result, or why there is none. ``host``: the worker's address."""

    name: str
    result: _T | None = None
    error: str = ""
    host: str = ""


def over_files(
    client: Client,
    names: Sequence[str],
    work: Callable[[str, bytes], _T],
    here: Callable[[str], _T],
) -> Iterator[File[_T]]:
    """Do ``work`` on the name and the bytes of each file; yield what came of it, in their order.

    Small files go together. Only so many are under way that no worker waits: memory, here and
    there, does not grow with their number. A worker that dies costs its files a repetition, each
    alone; a file with which workers die again is given up, and said to be.

    Args:
        work: a function that the workers can import, and that answers for every file.
        here: does the same in this process: for what cannot be read, and for pipes and files that
            are too large to be carried.

    Raises:
        ClusterError: the workers cannot do it.
    """
    pieces = _pieces(names)
    under_way: deque[_Piece[_T]] = deque()
    most = _AHEAD * threads(client)
    while True:
        while len(under_way) < most and (piece := next(pieces, None)):
            under_way.append(_Piece(client, work, piece))
        if not under_way:
            return
        yield from under_way.popleft().results(here)


class _Piece(Generic[_T]):
    """Files that go to one worker together; one without bytes does not."""

    def __init__(
        self,
        client: Client,
        work: Callable[[str, bytes], _T],
        files: list[tuple[str, bytes | None]],
    ) -> None:
        self._client, self._work, self._files = client, work, files
        self._future = self._submitted() if files[0][1] is not None else None

    def _submitted(self) -> Any:
        files: Any = self._files
        if sum(len(data or b"") for _, data in self._files) > _MOST_BYTES:
            # Data in a task passes through the scheduler, and stays there until it is done.
            files = self._client.scatter([files], hash=False)[0]
        return self._client.submit(_do, self._work, _edition(), files, pure=False)

    def results(self, here: Callable[[str], _T]) -> Iterator[File[_T]]:
        """Wait for the results."""
        if self._future is None:
            for name, _ in self._files:
                yield File(name, here(name))
            return
        try:
            yield from _gathered(self._client, self._future)
        except _LostError:
            for one in self._files:
                yield _Piece(self._client, self._work, [one])._alone()

    def _alone(self) -> File[_T]:
        try:
            (found,) = _gathered(self._client, self._future)
        except _LostError as error:
            name = self._files[0][0]
            return File(name, None, f"it was given up, as workers died with it: {error}")
        return found


class _LostError(Exception):
    """No worker that began a piece of work ended it."""


def worker_died() -> tuple[type[Exception], ...]:
    """Return the errors of a future whose workers died before it was done."""
    from distributed import KilledWorker  # noqa: PLC0415  (an extra)
    from distributed.client import FutureCancelledError  # noqa: PLC0415

    return KilledWorker, FutureCancelledError


def awaited(client: Client, future: Any, meanwhile: Callable[[], object] = lambda: None) -> Any:
    """Return a future's result; ``meanwhile`` is called now and then until it is there.

    Raises :class:`ClusterError` where no worker is left to make it.
    """
    from distributed import TimeoutError as NotYetError  # noqa: PLC0415  (an extra)

    gone = None
    while True:
        try:
            return future.result(timeout=_POLL_SECONDS)
        except NotYetError as error:
            if future.done():  # since then; or the error is the work's own
                return future.result()
            meanwhile()
            now = time.monotonic()
            gone = None if threads(client) else gone or now
            if gone and now - gone > _GONE_SECONDS:
                future.cancel()
                raise ClusterError(
                    f"the cluster has lost all its workers, and none came for {_GONE_SECONDS:g} s"
                ) from error


def _gathered(client: Client, future: Any) -> list[File[Any]]:
    try:
        host, results = awaited(client, future)
    except worker_died() as error:
        raise _LostError(str(error).partition("\n")[0]) from None
    except (ImportError, AttributeError) as error:
        raise ClusterError(
            f"a worker cannot do it ({error}): the workers need this pygso, as here"
        ) from None
    finally:
        future.release()
    return [File(name, result, "", host) for name, result in results]


def _edition() -> str:
    from importlib import metadata  # noqa: PLC0415  (slow, and few commands ask a cluster)

    return metadata.version("pygso")


def _do(
    work: Callable[[str, bytes], _T], edition: str, files: list[tuple[str, bytes]]
) -> tuple[str, list[tuple[str, _T]]]:
    """Do the work, as a worker."""
    from distributed import get_worker  # noqa: PLC0415

    own, address = _edition(), get_worker().address
    if own != edition:
        raise ClusterError(f"the worker {address} has pygso {own}, and this is {edition}")
    return address, [(name, work(name, data)) for name, data in files]


def _pieces(names: Iterable[str]) -> Iterator[list[tuple[str, bytes | None]]]:
    """Read files, and put small ones together; what is not sent comes alone, without bytes."""
    files: list[tuple[str, bytes | None]] = []
    size = 0
    for name in names:
        data = _read(name)
        more = len(data or b"")
        if files and (data is None or size + more > _MOST_BYTES or len(files) == _MOST_FILES):
            yield files
            files, size = [], 0
        if data is None:
            yield [(name, None)]
        else:
            files.append((name, data))
            size += more
    if files:
        yield files


def _read(name: str) -> bytes | None:
    """Return the bytes of a regular file that is not too large."""
    path = Path(name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            return None
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError:
        return None
    return data if len(data) <= _LARGEST else None
