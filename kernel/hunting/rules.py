"""The rules that stacks are made of: a TOML file each, in ``kinds``; its name is the kind.

``place``: ``device``, ``route``, ``service`` or ``action``, as :mod:`gso.kernel.guest.stacks` has
them. ``outer`` and ``inner``: the IP versions below and above; ``same``: both are one.
``on_ether``: what is below must carry Ethernet; ``ether``: this carries it. ``overhead``: bytes
that it adds beside the outer IP header. ``modules``: of the kernel. ``sender`` and ``receiver``:
whole commands, with the names that :mod:`gso.kernel.guest.stacks` fills in; ``sender4`` are those
over IPv4, and ``sender_after`` those that need the layer's addresses. ``sender_through``: what a
route through the device has to say, for devices that do not know their peer. ``options``: words for
the commands, by name: ``both``, ``sender`` or ``receiver``, and over which ``outer`` versions.
A route of the near leg is the sender's way to the worker: its ``target`` is the worker's address;
``near = false``: there it carries nothing.
``forwards``: it is done to packets that the director forwards, and to no others. ``serves``: the
service is at the receiver's address of the layer, since the sender rewrites the destination.
``group``: what it does to a packet, in a word that others share; stacks are drawn by groups first.
Beside tools of iproute2, nft, wg, teamnl and Open vSwitch there are ``push PATH HOOK MODE HEADER``,
``pppoe DEVICE UNDER SESSION MAC``, ``relay DEVICE UNDER [tun]``, ``espinudp ADDRESS PORT`` and
``sizes DEVICE BYTES``: modules of these names in :mod:`gso.kernel.guest`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gso.kernel.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).with_name("kinds")
_WORDS, _LISTS = ("place", "group"), ("outer", "inner", "modules")
_NEEDED = {**dict.fromkeys(_WORDS, str), **dict.fromkeys(_LISTS, list), "overhead": int}
_PLACES = ("device", "route", "service", "action")


def read() -> dict[str, dict[str, Any]]:
    """Return all rules, by their kind."""
    return {path.stem: _rule(path) for path in sorted(_FOLDER.glob("*.toml"))}


def _rule(path: Path) -> dict[str, Any]:
    rule = {"overhead": 0, **tomllib.loads(path.read_text(encoding="utf-8")), "kind": path.stem}
    for key, kind in _NEEDED.items():
        if not isinstance(rule.get(key), kind):
            raise ValueError(f"{path.name}: {key} is {rule.get(key)!r}, not a {kind.__name__}")
    if rule["place"] not in _PLACES:
        raise ValueError(f"{path.name}: place is {rule['place']!r}, not one of {_PLACES}")
    return rule


def chosen(only: Sequence[str] = (), without: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the rules whose kinds ``only`` takes and ``without`` does not: names or globs.

    Raises:
        UsageError: a word of either matches no kind, or no rule is left.
    """
    rules = read()
    for word in (*only, *without):
        if not any(fnmatchcase(kind, word) for kind in rules):
            raise UsageError(f"no kind {word!r}; there are {', '.join(rules)}")
    left = {
        kind: rule
        for kind, rule in rules.items()
        if any(fnmatchcase(kind, word) for word in only or ("*",))
        and not any(fnmatchcase(kind, word) for word in without)
    }
    if not left:
        raise UsageError(f"no kind is left of {len(rules)}")
    return left
