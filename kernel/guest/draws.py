"""The stacks of a hunt in their order: of some random ones, the one with what was met least.

Independent draws meet some pairs of layers ten times before they meet others once. Here each stack
is the best of some of one shape: it has the most interactions of those that stacks before it had
least. Nothing but the rules decides, and a seed makes its stacks again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from .stacks import Layer, Rules, Stack, draw

_CANDIDATES = 12
"""Random stacks of which one is taken."""
Interaction = tuple[object, ...]


class Draws:
    """The stacks of a seed, by number."""

    def __init__(self, rules: Rules, seed: int) -> None:
        self.rules, self._seed = rules, seed
        self._stacks: list[Stack] = []
        self._met: Counter[Interaction] = Counter()

    def __getitem__(self, number: int) -> Stack:
        """Return a stack; those before it are made first."""
        while len(self._stacks) <= number:
            self._stacks.append(self._next(f"{self._seed}/{len(self._stacks)}"))
        return self._stacks[number]

    def _next(self, seed: str) -> Stack:
        first = draw(self.rules, seed)
        drawn = (draw(self.rules, f"{seed}/{at}") for at in range(1, _CANDIDATES))
        # Longer ones have more of everything, and are not better: what is on top hides the rest.
        candidates = [first, *(one for one in drawn if _shape(one) == _shape(first))]
        best = max(candidates, key=self._new)
        self._met.update(interactions(best, self.rules))
        return best

    def _new(self, stack: Stack) -> float:
        return sum((1 + self._met[one]) ** -2 for one in interactions(stack, self.rules))


def _shape(stack: Stack) -> tuple[int, int]:
    return len(stack.near), len(stack.far)


def interactions(stack: Stack, rules: Rules) -> set[Interaction]:
    """Return what meets in a stack: neighbours on a packet's way, and what each layer has to carry.

    Neighbours count by kind and by group, so that a kind meets each group before each other kind.
    """
    found: set[Interaction] = set()
    for before, after in pairwise(_passed(stack)):
        for one in _words(before, rules):
            found.update((one, other) for other in _words(after, rules))
    for layer in (*stack.near, *stack.far):
        found.add((layer.kind, layer.outer, layer.inner))
        found.add((layer.kind, layer.options))
        found.add((layer.kind, stack.traffic))
        found.add((layer.kind, stack.arrival, stack.local))
    return found


def _passed(stack: Stack) -> Iterator[Layer | str]:
    """Yield what a packet meets on its way to the far cable."""
    yield "forwarded" if stack.near else "local" if stack.local else "sent"
    yield from stack.near
    yield from reversed(stack.far)
    yield "cable"


def _words(layer: Layer | str, rules: Rules) -> tuple[str, ...]:
    if isinstance(layer, str):
        return (layer,)
    return layer.kind, f"group {rules[layer.kind]['group']}"
