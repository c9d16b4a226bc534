"""Commands that copy captures: one, or many into a folder, here or all over a cluster."""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from gso.capture.writer import write_all
from gso.commands.common import (
    AUTO,
    add_common,
    open_plain,
    open_source,
    open_target,
    show_progress,
    tunnel_ports,
    write_json,
)
from gso.commands.files import is_standard_output
from gso.commands.many import add_executor, each
from gso.commands.streams import complain
from gso.commands.usage import FINDINGS, FINE, UNUSABLE, UsageError, plural
from gso.compressed import DamagedError, compressing
from gso.errors import GsoError
from gso.printable import printable


class Summary(Protocol):
    """What a copy says of itself, whichever command made it."""

    packets: int

    @property
    def written(self) -> int:
        """Packets written."""


_S = TypeVar("_S", bound=Summary)
Copy = Callable[..., _S]
"""Copies from a source to a target (paths, files; the source may be bytes), with ``progress=``."""


@dataclass(frozen=True)
class Way(Generic[_S]):
    """How a command tells of its copies: as lines, as facts for --json, as an exit status."""

    command: str
    report: Callable[[_S], Iterator[str]]
    as_json: Callable[[_S], dict[str, Any]]
    status: Callable[[_S], int]


def add_files(command: argparse.ArgumentParser) -> None:
    """Add the arguments for what is read and written."""
    command.add_argument(
        "inputs", metavar="IN", nargs="+", help="pcap or pcapng file, or - for a pipe"
    )
    command.add_argument(
        "output",
        metavar="OUT",
        help="file to write, or - for a pipe; a folder gets a file of each IN's name",
    )


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that copies captures."""
    add_executor(command)
    add_common(command)


def run(
    options: argparse.Namespace, way: Way[_S], copy: Callable[[dict[int, Any]], Copy[_S]]
) -> int:
    """Copy what the options name; ``copy`` makes the copying function of the tunnels' ports.

    Workers get that function, so it must be one that can be pickled.
    """
    many = len(options.inputs) > 1 or _is_folder(options.output)
    if many or options.executor is not None:
        return _many(options, way, copy(_told(options)), _Outputs(options.output, many))
    (options.input,) = options.inputs
    copied = copy(tunnel_ports(options))
    return _write_one(options, way, _copied_here(options.input, options.output, copied))


def _is_folder(name: str) -> bool:
    """Say whether the output is a folder; an empty name is none, though a path takes it for one."""
    return name not in ("", "-") and Path(name).is_dir()


def _told(options: argparse.Namespace) -> dict[int, Any]:
    if AUTO in options.tunnel_port:
        raise UsageError(
            "--tunnel-port auto is for one capture, read here: say PORT=TUNNEL for several"
        )
    return dict(options.tunnel_port)


def _copied_here(name: str, output: str, copy: Copy[_S]) -> _S:
    source = open_source(name)
    with open_target(output, name) as target, show_progress(name) as progress:
        return copy(source, target, progress=progress)


def _write_one(options: argparse.Namespace, way: Way[_S], summary: _S) -> int:
    report = sys.stderr if is_standard_output(options.output) else sys.stdout
    if options.json:
        write_json(way.command, way.as_json(summary), report)
    else:
        report.writelines(f"{line}\n" for line in way.report(summary))
    return way.status(summary)


@dataclass(frozen=True)
class _Outputs:
    """The name of the file that is written for each that is read."""

    output: str
    folder: bool

    def of(self, name: str) -> str:
        """Return it."""
        return str(Path(self.output, Path(name).name)) if self.folder else self.output

    def check(self, names: Sequence[str]) -> None:
        """Refuse what would overwrite an input, or one output with another."""
        if self.folder and not _is_folder(self.output):
            raise UsageError(f"{self.output} is no folder, and several captures need one")
        if self.folder and "-" in names:
            raise UsageError("standard input has no name that its copy in a folder could have")
        outputs = [self.of(name) for name in names]
        twice = [name for name, count in Counter(outputs).items() if count > 1]
        if twice:
            raise UsageError(f"{twice[0]} would be written twice: several captures have its name")
        read = {identity for name in names if (identity := _identity(name))}
        for output in outputs:
            if _identity(output) in read:
                raise UsageError(f"{output} is one of the inputs, choose another name for OUT")


def _identity(name: str) -> tuple[int, int] | None:
    """Return what tells a file from all others; None where there is none."""
    try:
        found = Path(name).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True)
class _Answer(Generic[_S]):
    """What became of a capture, or why nothing did. ``data``: what is still to be written."""

    summary: _S | None
    error: str = ""
    data: bytes | None = None


def _many(options: argparse.Namespace, way: Way[_S], copy: Copy[_S], outputs: _Outputs) -> int:
    outputs.check(options.inputs)
    work = partial(_copied_bytes, copy=copy, outputs=outputs)
    here = partial(_copied, copy=copy, outputs=outputs)
    answers = each(options.inputs, options.executor, work, here, _lost)
    written = ((name, _written(outputs.of(name), name, answer)) for name, answer in answers)
    if outputs.folder:
        return _write_many(options, way, outputs, written)
    ((_, answer),) = written
    if answer.summary is None:
        raise UsageError(answer.error)
    return _write_one(options, way, answer.summary)


def _copied(name: str, copy: Copy[_S], outputs: _Outputs) -> _Answer[_S]:
    """Copy a capture of several; one that cannot be read costs that one only."""
    try:
        return _Answer(_copied_here(name, outputs.of(name), copy))
    except (GsoError, UsageError) as error:
        return _lost(name, str(error))
    except OSError as error:
        return _lost(name, error.strerror or str(error))


def _copied_bytes(name: str, data: bytes, copy: Copy[_S], outputs: _Outputs) -> _Answer[_S]:
    """Copy the bytes of one, as a worker."""
    sink = io.BytesIO()
    try:
        with compressing(outputs.of(name), sink) as target:
            summary = copy(data, target, progress=None)
    except (GsoError, DamagedError, OSError) as error:
        return _lost(name, str(error))
    return _Answer(summary, "", sink.getvalue())


def _written(output: str, name: str, answer: _Answer[_S]) -> _Answer[_S]:
    """Write what a worker has made."""
    if answer.data is None:
        return answer
    try:
        with open_plain(output, name) as target:
            write_all(target, answer.data)
    except (UsageError, OSError) as error:
        return _lost(name, str(error))
    return _Answer(answer.summary)


def _write_many(
    options: argparse.Namespace,
    way: Way[_S],
    outputs: _Outputs,
    answers: Iterator[tuple[str, _Answer[_S]]],
) -> int:
    found: list[tuple[str, _Answer[_S]]] = []
    for name, answer in answers:
        if options.json and answer.error:
            complain(f"gso: {answer.error}")
        elif not options.json:
            sys.stdout.write("\n" * bool(found))
            sys.stdout.writelines(f"{line}\n" for line in _one_of_many(name, answer, way))
        found.append((name, answer))
    if options.json:
        write_json("copies", _many_json(found, way, outputs))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _summary(found, way))
    return max(_status(answer, way) for _, answer in found)


def _status(answer: _Answer[_S], way: Way[_S]) -> int:
    return UNUSABLE if answer.summary is None else way.status(answer.summary)


def _one_of_many(name: str, answer: _Answer[_S], way: Way[_S]) -> Iterator[str]:
    if answer.summary is None:
        yield answer.error
    else:
        yield printable(name)
        yield from way.report(answer.summary)


def _summary(found: list[tuple[str, _Answer[_S]]], way: Way[_S]) -> Iterator[str]:
    statuses = Counter(_status(answer, way) for _, answer in found)
    read, written = _packets(found)
    yield ""
    yield (
        f"{plural(len(found), 'capture')}: {statuses[FINE]} done, {statuses[FINDINGS]} with "
        f"something left as it was, {statuses[UNUSABLE]} not read to the end"
    )
    yield f"{plural(read, 'packet')} read, {written} written"


def _packets(found: list[tuple[str, _Answer[_S]]]) -> tuple[int, int]:
    summaries = [answer.summary for _, answer in found if answer.summary]
    return sum(one.packets for one in summaries), sum(one.written for one in summaries)


def _many_json(
    found: list[tuple[str, _Answer[_S]]], way: Way[_S], outputs: _Outputs
) -> dict[str, Any]:
    read, written = _packets(found)
    return {
        "command": way.command,
        "captures": [
            {
                "capture": name,
                "output": outputs.of(name),
                "exit_status": _status(answer, way),
                "error": answer.error,
                "report": way.as_json(answer.summary) if answer.summary else None,
            }
            for name, answer in found
        ],
        "packets": read,
        "written": written,
    }


def _lost(name: str, error: str) -> _Answer[Any]:
    return _Answer(None, printable(f"{name}: {error.removeprefix(f'{name}: ')}"))
