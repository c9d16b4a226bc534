"""Where modules are in this machine's memory, for those who know which addresses ran."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .records import SECTIONS

_CODE = (".text", ".text.unlikely")


def save(folder: Path, modules: Sequence[str]) -> None:
    """Leave the addresses of the code of these modules, as far as they are loaded."""
    found: dict[str, dict[str, str]] = {}
    for module in modules:
        for section in _CODE:
            path = Path("/sys/module", module, "sections", section)
            if path.exists():
                found.setdefault(module, {})[section] = path.read_text().strip()
    (folder / SECTIONS).write_text(json.dumps(found))
