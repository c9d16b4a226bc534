"""The kernel's own segmentations: see vectors/README.md."""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

from gso import Tunnel

VECTORS = Path(__file__).parent / "vectors"
FAMILIES = sorted(path.name.removesuffix(".json.xz") for path in VECTORS.glob("*.json.xz"))
PORTS = {
    5501: Tunnel.GUE,
    5555: Tunnel.FOU,
    5556: Tunnel.FOU,
    5557: (Tunnel.FOU, 47),
    5558: Tunnel.FOU,
}


@cache
def records(family: str) -> list[dict[str, Any]]:
    with lzma.open(VECTORS / f"{family}.json.xz") as file:
        return json.load(file)["records"]


def everything() -> list[dict[str, Any]]:
    return [record for family in FAMILIES for record in records(family)]
