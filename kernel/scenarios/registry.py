"""Collect all scenarios, number them, and select some of them."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from ipaddress import ip_address
from typing import Any, get_args

from gso.kernel.errors import UsageError
from gso.kernel.guest import addresses
from gso.kernel.scenarios import families
from gso.kernel.scenarios.faults import DEFAULT_FAULT
from gso.kernel.scenarios.model import Role, Roles, Scenario

# Names that the guest needs beside what the scenario itself says.
_ADDRESSES = ("target", "here", "there", "server", "source", "listens")

_FIRST_SERVICE_PORT = 8000
_GUE_PORT = 5501
_FIRST_TUNNEL_PORT = 5555


def _found() -> Iterator[Scenario]:
    for module in sorted(pkgutil.iter_modules(families.__path__), key=lambda found: found.name):
        yield from import_module(f"{families.__name__}.{module.name}").SCENARIOS


def _numbered(index: int, scenario: Scenario) -> Scenario:
    # The scenarios of the incident use its port; a tunnel device needs one of its own.
    port = _GUE_PORT if scenario.kind == "ipvs-gue" else _FIRST_TUNNEL_PORT + index
    return replace(
        scenario,
        number=addresses.FIRST_NUMBER + index,
        service_port=_FIRST_SERVICE_PORT + index,
        tunnel_port=port,
    )


def _all() -> tuple[Scenario, ...]:
    # The reproducers come first: if they show nothing, nothing else matters.
    roles = DEFAULT_FAULT.roles
    ordered = sorted(_found(), key=lambda s: (not s.default, roles.of(s) != "fault"))
    names = [scenario.name for scenario in ordered]
    if len(set(names)) < len(names):
        raise ValueError(
            f"scenarios of one name: {sorted({n for n in names if names.count(n) > 1})}"
        )
    return tuple(_numbered(index, scenario) for index, scenario in enumerate(ordered))


SCENARIOS = _all()


def select(
    only: Sequence[str] = (), without: Sequence[str] = (), roles: Roles = DEFAULT_FAULT.roles
) -> tuple[Scenario, ...]:
    """Return the scenarios that ``only`` takes and ``without`` does not: names, globs or groups.

    The roles, such as ``control``, are groups, too. Without ``only`` they are those of the default
    fault.

    Raises:
        UsageError: a word of either matches nothing, or nothing is left.
    """
    wanted = set().union(*(_matching(word, roles) for word in only or DEFAULT_FAULT.scenarios))
    unwanted = set().union(*(_matching(word, roles) for word in without))
    chosen = tuple(s for s in SCENARIOS if s.name in wanted - unwanted)
    if not chosen:
        raise UsageError(
            f"no scenario is left of {len(wanted)} chosen and {len(unwanted)} excepted"
        )
    return chosen


def _matching(word: str, roles: Roles) -> set[str]:
    found = {s.name for s in SCENARIOS if s.matches(word) or word == roles.of(s)}
    if not found and word not in get_args(Role):
        groups = ", ".join(sorted(set().union(*(s.groups for s in SCENARIOS))))
        raise UsageError(f"no scenario or group {word!r}; see gso-kernel list; groups: {groups}")
    return found


def plan(scenarios: Sequence[Scenario]) -> list[dict[str, Any]]:
    """Return the scenarios as the guest needs them: plain data, every name filled in."""
    return [_planned(scenario) for scenario in scenarios]


def _planned(scenario: Scenario) -> dict[str, Any]:
    names = _names(scenario)

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.format_map(names)
        if isinstance(value, (list, tuple)):
            return [filled(item) for item in value]
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return value

    planned: dict[str, Any] = filled(asdict(scenario))
    return {**planned, **{key: names[key] for key in _ADDRESSES}}


def _names(scenario: Scenario) -> dict[str, Any]:
    number, outer, inner = scenario.number, scenario.outer, scenario.inner
    names = {
        "n": number,
        "device": f"t{number}",
        "here": addresses.DIRECTOR_OUT[outer],
        "there": addresses.worker_end(outer, number),
        "there_hex": ip_address(addresses.worker_end(outer, number)).packed.hex(),
        "server": addresses.real_server(inner, number),
        "client_ip": addresses.CLIENT_IP[inner],
        "source": (addresses.DIRECTOR_OUT if scenario.from_director else addresses.CLIENT_IP)[
            inner
        ],
        "gateway": addresses.DIRECTOR_IN[inner],
        "service_port": scenario.service_port,
        "port": scenario.tunnel_port,
        "mac": "02:00:00:00:04:03",
        "ingress_mac": addresses.MAC["d0"],
        "here_mac": addresses.MAC["up0"],
        "there_mac": addresses.MAC["dn0"],
    }
    names["target"] = addresses.VIP[inner] if scenario.ipvs else names["server"]
    # In masquerading mode the worker has the service at an address of its own.
    names["listens"] = names["server"] if scenario.ipvs == "-m" else names["target"]
    if scenario.ipvs and "-i " in scenario.ipvs:
        names["server"] = names["there"]
    for key in ("egress", "worker_device"):
        names[key] = getattr(scenario, key).format_map(names)
    return names
