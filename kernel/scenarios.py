"""The scenarios that a kernel is judged by: each is a path through the director, as data.

One boot runs them all. Every scenario is one IPVS service with a port of its own, and every
kind of traffic goes through it. The guest gets them as plain dictionaries in its plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

Role = Literal["fault", "control"]

# The complete fix of the fault that these scenarios reproduce, by the name of its patch.
FIX = "ipvs-gue-inner-mac-header"

GUE_PORT = 5501
FIRST_SERVICE_PORT = 8000
FIRST_FOU_PORT = 5555


@dataclass(frozen=True)
class Scenario:
    """One way from client to worker through the director.

    ``role`` says what is expected of the unpatched kernel: ``"fault"`` scenarios must fail there
    (otherwise nothing was reproduced), ``"control"`` scenarios must pass on every kernel.
    """

    name: str
    role: Role
    kind: Literal["ipvs-gue", "fou-direct-routing"]
    outer: Literal[4, 6]
    inner: Literal[4, 6]
    checksum: Literal["nocsum", "csum", "remcsum"]
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


def _scenarios() -> list[Scenario]:
    families: tuple[Literal[4, 6], ...] = (4, 6)
    found: list[Scenario] = []

    def add(
        kind: Literal["ipvs-gue", "fou-direct-routing"],
        role: Role,
        outer: Literal[4, 6],
        inner: Literal[4, 6],
        checksum: Literal["nocsum", "csum", "remcsum"],
        tunnel_port: int,
    ) -> None:
        short = {"ipvs-gue": "gue", "fou-direct-routing": "fou"}[kind]
        found.append(
            Scenario(
                name=f"{short}-outer{outer}-inner{inner}-{checksum}",
                role=role,
                kind=kind,
                outer=outer,
                inner=inner,
                checksum=checksum,
                service_port=FIRST_SERVICE_PORT + len(found),
                tunnel_port=tunnel_port,
            )
        )

    for outer, inner in product(families, families):
        for checksum in ("nocsum", "csum", "remcsum"):
            add("ipvs-gue", "fault", outer, inner, checksum, GUE_PORT)
    for number, (outer, inner) in enumerate(product(families, families)):
        add("fou-direct-routing", "control", outer, inner, "nocsum", FIRST_FOU_PORT + number)
    return found


SCENARIOS = tuple(_scenarios())
