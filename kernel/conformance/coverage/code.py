"""The machine code of a kernel's functions: where it is, and of which lines of the source it came.

By its debugging symbols: ``nm`` finds the functions, ``objdump`` their instructions, ``addr2line``
the lines of each. An instruction of a function that was put into another belongs to lines of both.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gso.kernel.conformance.coverage import counted
from gso.kernel.errors import TestBedError
from gso.kernel.processes import output
from gso.kernel.trees.debug import VMLINUX

_SYMBOL = re.compile(r"^(\w+) (\w+) [tTwW] (\S+)$", re.MULTILINE)
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t", re.MULTILINE)
_LINE = re.compile(r"(\S+):(\d+)(?: \(discriminator \d+\))?")

Places = list[tuple[str, int]]
"""Lines, each with its file."""


@dataclass(frozen=True)
class Code:
    """The code of some functions in one section of an ELF file; ``module`` is empty for the kernel.

    ``extents``: addresses, in a module from the beginning of the section.
    """

    path: Path
    module: str
    section: str
    extents: tuple[range, ...]

    @cached_property
    def lines(self) -> dict[int, Places]:
        """The lines of each instruction, in files of which lines are counted."""
        addresses = [address for extent in self.extents for address in self._instructions(extent)]
        asked = "".join(f"{address:#x}\n" for address in addresses)
        section = ["-j", self.section] if self.module else []
        command = ["addr2line", "-a", "-i", *section, "-e", str(self.path)]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TestBedError("coverage", f"addr2line: {done.stderr.strip()[-200:]}")
        return dict(_places(done.stdout.splitlines()))

    def _instructions(self, extent: range) -> list[int]:
        within = (f"--start-address={extent.start:#x}", f"--stop-address={extent.stop:#x}")
        text = output("objdump", "-d", "-j", self.section, *within, str(self.path))
        return [int(address, 16) for address in _INSTRUCTION.findall(text)]


def _places(answer: Iterable[str]) -> Iterator[tuple[int, Places]]:
    """Yield each address with its lines. Files are named by paths of those who built them."""
    found: Places = []
    for row in answer:
        if row.startswith("0x"):
            found = []
            yield int(row, 16), found
        elif match := _LINE.match(row):
            for file in counted.files():
                if match[1].endswith(f"/{file.name}"):
                    found.append((file.name, int(match[2])))


def of_kernel(debug: Path, names: set[str]) -> list[Code]:
    """Return the code of functions with these names. ``debug``: a kernel's debugging symbols."""
    found = [_of_file(debug / VMLINUX, "", ".text", names)]
    for path in sorted(debug.glob("*.ko")):
        sections = re.findall(r"\] (\.text\S*) +PROGBITS", output("readelf", "-SW", str(path)))
        found += [_of_file(path, path.stem, section, names) for section in sections]
    return [code for code in found if code.extents]


def _of_file(path: Path, module: str, section: str, names: set[str]) -> Code:
    # nm says nothing of sections: objdump does, and of the kernel itself it would say too much.
    text = _symbols(path, section) if module else output("nm", "-S", str(path))
    found = sorted(
        (int(address, 16), int(address, 16) + int(size, 16))
        for address, size, name in _SYMBOL.findall(text)
        if name.partition(".")[0] in names
    )
    return Code(path, module, section, tuple(range(*pair) for pair in found))


def _symbols(path: Path, section: str) -> str:
    """Return the functions in a section of a module, as nm would."""
    rows = output("objdump", "-t", "-j", section, str(path)).splitlines()
    split = [row.split() for row in rows if f"F {section}\t" in row]
    return "".join(f"{row[0]} {row[-2]} t {row[-1]}\n" for row in split)


def at(code: Code, sections: Mapping[str, Mapping[str, str]]) -> int | None:
    """Return what a machine adds to the addresses; ``None``: it has not loaded the module."""
    if not code.module:
        return 0
    where = sections.get(code.module.replace("-", "_"), {}).get(code.section)
    return int(where, 16) if where is not None else None
