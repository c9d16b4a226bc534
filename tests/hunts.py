"""Stacks of hunts, and what a bench tells of one, for the tests."""

from __future__ import annotations

from dataclasses import replace

from gso.kernel.guest import hunt as guest
from gso.kernel.guest.complaints import COUNTED
from gso.kernel.guest.draws import Draws
from gso.kernel.guest.stacks import (
    Layer,
    Stack,
)
from gso.kernel.hunting import rules

RULES = rules.read()
DRAWS = Draws(RULES, 7)
MANY = [DRAWS[number] for number in range(3000)]
LAYERS = {layer for stack in MANY for layer in (*stack.near, *stack.far)}
GUE = Layer("ipvs-gue", 4, 4, ("csum",))
INCIDENT = Stack((), (Layer("vlan", 4, 4), GUE), 4, offload="tx off", traffic="udp", local=True)
SMALLEST = Stack((), (replace(GUE, options=()),), 4)


def exchange(*, error: str | None = None, drops: dict[str, int] | None = None, **counters):
    return {
        **{"upload_intact": error is None, "download_intact": error is None, "error": error},
        **{"seconds": 0.1, "mss": 1200, "retransmits": 0, "drops": drops or {}},
        **{"counters": {**dict.fromkeys(COUNTED, 0), **counters}, "segmented": 7},
    }


WHOLE, DROPS = (
    exchange(),
    exchange(drops={"drops in validate_xmit_skb, NOT_SPECIFIED": 12}, tx_dropped=12),
)
DEAF = exchange(error="TimeoutError: timed out")
FOUND = {"controls": [WHOLE] * 2, "runs": [DROPS] * 2, "words": "12 drops", "trace": "a trace"}
CLEAN = {"controls": [WHOLE], "runs": [WHOLE], "words": "", "trace": ""}


class Kernel(guest.Hunt):
    """A kernel that drops super-packets wherever a stack has this layer."""

    def __init__(self, faulty: str, folder, known=()):
        plan = {"rules": RULES, "seed": 1, "seconds": 60, "known": list(known)}
        super().__init__(plan, lambda **_: None, folder)
        self.faulty, self.tried = faulty, 0

    def measured(self, stack: Stack, offloads=()):  # noqa: ARG002
        self.tried += 1
        kinds = [layer.kind for layer in (*stack.near, *stack.far)]
        return dict(FOUND) if self.faulty in kinds else CLEAN
