"""``gso wireshark``: the dissectors of GUE, FOU and Linux's VXLAN for Wireshark."""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path

from gso.commands.usage import FINE

_NAME = "pygso.lua"
_FOLDER = "~/.local/lib/wireshark/plugins"

_WIRESHARK = """\
Print or install a plugin of Wireshark and tshark (3.6 and later) that dissects GUE with remote
checksum offload, FOU, and VXLAN on Linux's port 8472. Its ports are preferences of the program:
tshark -o gue.ports:6080,5501 -o fou.ports:5555,5557=47.
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _WIRESHARK
    command.set_defaults(run=_wireshark)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--print", action="store_true", help="write the plugin to standard output")
    what.add_argument("--install", action="store_true", help=f"copy it into {_FOLDER}")
    command.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="install it there: the personal or global Lua plugins of tshark -G folders",
    )


def _wireshark(options: argparse.Namespace) -> int:
    plugin = files("gso.commands").joinpath(_NAME).read_text()
    if options.print:
        sys.stdout.write(plugin)
        return FINE
    folder = options.folder or Path(_FOLDER).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NAME).write_text(plugin)
    print(f"{folder / _NAME} is read when Wireshark or tshark starts")
    return FINE
