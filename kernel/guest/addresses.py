"""The addresses of all machines and tunnels, for host and guest."""

from __future__ import annotations

CLIENT_IP = {4: "198.51.100.1", 6: "2001:db8:1::1"}
DIRECTOR_IN = {4: "198.51.100.2", 6: "2001:db8:1::2"}
DIRECTOR_OUT = {4: "203.0.113.2", 6: "2001:db8:2::2"}
# The service's own address, on director and worker.
VIP = {4: "192.0.2.1", 6: "2001:db8:f::1"}
# All that the client reaches through the director.
SERVICES = {4: "192.0.2.0/24", 6: "2001:db8:f::/64"}

MAC = {
    "c0": "02:00:00:00:01:01",
    "d0": "02:00:00:00:01:02",
    "up0": "02:00:00:00:02:02",
    "dn0": "02:00:00:00:02:03",
    "w1": "02:00:00:00:03:03",
    "c1": "02:00:00:00:03:01",
}

# Scenarios have numbers, and by them the addresses that are theirs alone.
FIRST_NUMBER, _LAST_NUMBER = 10, 254


def worker_end(family: int, number: int) -> str:
    """Return the outer address at which the worker takes a scenario's packets."""
    return _numbered({4: "203.0.113.", 6: "2001:db8:2::"}[family], number)


def real_server(family: int, number: int) -> str:
    """Return the inner address that is reached through a scenario's tunnel device."""
    return _numbered({4: "192.0.2.", 6: "2001:db8:f::"}[family], number)


def _numbered(prefix: str, number: int) -> str:
    if not FIRST_NUMBER <= number <= _LAST_NUMBER:
        raise ValueError(f"scenario number {number}: there are addresses up to {_LAST_NUMBER}")
    return f"{prefix}{number}" if "." in prefix else f"{prefix}{number:x}"
