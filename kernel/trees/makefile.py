"""The files that a folder's makefile compiles, and into which module: make itself is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gso.kernel.trees.making import made, make

NAMES = ("Kbuild", "Makefile")
BUILT_IN = ""
"""In place of a module's name: the object becomes a part of the kernel."""

_ASK = """\
include {config}
include {makefile}
parts = $($(1:.o=-objs)) $($(1:.o=-y)) $($(1:.o=-m))
$(foreach module,$(obj-m),$(info @$(module:.o=) $(module) $(call parts,$(module))))
$(info @ $(foreach object,$(obj-y),$(object) $(call parts,$(object))))
all: ;
"""
_ANSWER = re.compile(r"^@(\S*) (.*)$", re.MULTILINE)


def objects(folder: Path, config: Path, options: Sequence[str] = ()) -> dict[str, str]:
    """Return the objects that a configuration has of a folder, each with its module.

    ``options``: such as ``CONFIG_BAREUDP=m``, in place of what the configuration says. The folder
    must be one that may be written to: the question is put there for a moment.
    """
    makefile = _of(folder)
    if makefile is None:
        return {}
    ask, answer = folder / ".gso-ask.mk", folder / ".gso-answer"
    for path in (ask, answer):
        path.unlink(missing_ok=True)
    ask.write_text(_ASK.format(config=config, makefile=makefile))
    arguments = ["-s", "-f", ask.name, f"src={folder}", f"obj={folder}", f"srctree={folder}"]
    arguments += options
    make("makefile", folder, arguments, answer, readable=[config], writable=folder)
    text = made(answer).decode(errors="replace")
    for path in (ask, answer):
        path.unlink()
    return {
        part: module
        for module, parts in _ANSWER.findall(text)
        for part in parts.split()
        if part.endswith(".o")
    }


def option(folder: Path, name: str) -> str | None:
    """Return the option that makes a module of an object, such as ``CONFIG_BAREUDP``."""
    makefile = _of(folder)
    text = made(makefile).decode(errors="replace") if makefile else ""
    line = rf"^obj-\$\((CONFIG_\w+)\)\s*[+:]?=.*(?<![\w/-]){re.escape(name)}(?!\S)"
    match = re.search(line, text.replace("\\\n", " "), re.MULTILINE)
    return match[1] if match else None


def _of(folder: Path) -> Path | None:
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)
