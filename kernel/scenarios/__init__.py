"""The scenarios that a kernel is judged by, as data: one small file a family, in ``families``.

A scenario says how the way from client to worker is built, what goes through it, and what must
hold. To add one, put it into a list ``SCENARIOS`` in a file of ``families``; nothing else knows
of it. The guest gets what it needs as plain data in its plan.
"""

from gso.kernel.scenarios.faults import DEFAULT_FAULT, FAULTS, Fault, named
from gso.kernel.scenarios.model import Command, Family, Role, Roles, Scenario, Traffic
from gso.kernel.scenarios.registry import SCENARIOS, plan, select
from gso.kernel.scenarios.traffic import MSS, TCP, TRAFFIC

__all__ = [
    "DEFAULT_FAULT",
    "FAULTS",
    "MSS",
    "SCENARIOS",
    "TCP",
    "TRAFFIC",
    "Command",
    "Family",
    "Fault",
    "Role",
    "Roles",
    "Scenario",
    "Traffic",
    "named",
    "plan",
    "select",
]
