"""The scenarios that a kernel is judged by: each is a path through the director, as data.

One boot runs them all. Every scenario is one IPVS service with a port of its own, and every
kind of traffic goes through it. The guest gets them as plain dictionaries in its plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

Role = Literal["fault", "control"]
Kind = Literal["ipvs-gue", "fou-direct-routing"]
Family = Literal[4, 6]
Checksum = Literal["nocsum", "csum", "remcsum"]

# The complete fix of the fault that these scenarios reproduce, by the name of its patch.
FIX = "ipvs-gue-inner-mac-header"

GUE_PORT = 5501
_FIRST_SERVICE_PORT = 8000
_FIRST_FOU_PORT = 5555


@dataclass(frozen=True)
class Scenario:
    """One way from client to worker through the director.

    ``role`` says what is expected of the unpatched kernel: ``"fault"`` scenarios must fail there
    (otherwise nothing was reproduced), ``"control"`` scenarios must pass on every kernel.
    """

    name: str
    role: Role
    kind: Kind
    outer: Family
    inner: Family
    checksum: Checksum
    service_port: int
    tunnel_port: int


@dataclass(frozen=True)
class Traffic:
    """One exchange: so many bytes up, so many down; ``segmented``: the upload needs GSO."""

    name: str
    upload: int
    download: int
    segmented: bool


MSS = 1448

TRAFFIC = (
    Traffic("bulk", upload=100_000, download=64, segmented=True),
    # The packet of the incident: GRO merges it from one full segment and twelve bytes.
    Traffic("incident", upload=MSS + 12, download=64, segmented=True),
    Traffic("small", upload=200, download=64, segmented=False),
    Traffic("response", upload=200, download=100_000, segmented=False),
)


_FAMILIES: tuple[Family, ...] = (4, 6)
_CHECKSUMS: tuple[Checksum, ...] = ("nocsum", "csum", "remcsum")


def _scenario(
    number: int, kind: Kind, outer: Family, inner: Family, checksum: Checksum
) -> Scenario:
    gue = kind == "ipvs-gue"
    return Scenario(
        name=f"{'gue' if gue else 'fou'}-outer{outer}-inner{inner}-{checksum}",
        role="fault" if gue else "control",
        kind=kind,
        outer=outer,
        inner=inner,
        checksum=checksum,
        service_port=_FIRST_SERVICE_PORT + number,
        tunnel_port=GUE_PORT if gue else _FIRST_FOU_PORT + number,
    )


def _paths() -> Iterator[tuple[Kind, Family, Family, Checksum]]:
    for outer, inner, checksum in product(_FAMILIES, _FAMILIES, _CHECKSUMS):
        yield "ipvs-gue", outer, inner, checksum
    for outer, inner in product(_FAMILIES, _FAMILIES):
        yield "fou-direct-routing", outer, inner, "nocsum"


SCENARIOS = tuple(_scenario(number, *path) for number, path in enumerate(_paths()))
