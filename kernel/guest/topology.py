"""Three namespaces, as in the incident: client -> director (IPVS) -> worker, replies direct.

::

    client  c0 ------- d0  director  up0 --wire-- dn0  worker
            c1 ------------------------------------ w1
                               up0 egress also copied: mir0 -> mir1 (not yet segmented)

The client segments in software and the director's d0 merges again with GRO, as a network card
does. ``up0`` has no offloads, so the kernel's own segmenter must run there; ``mir0`` keeps its
offloads and shows what came to the segmenter. On top of that each scenario has its own tunnel,
and perhaps its own egress device, from the commands in the plan.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from . import programs
from .addresses import CLIENT_IP, DIRECTOR_IN, DIRECTOR_OUT, MAC, SERVICES, VIP
from .netns import SetupError, device_counters, inside, ip_batch, run, try_ip_batch
from .wire import Wire

CLIENT, DIRECTOR, WORKER = "client", "director", "worker"
INGRESS, EGRESS, MIRROR = "d0", "up0", "mir1"
WORKER_END = "dn0"

# Room for an MSS of 1448 over both IP versions (the option clamps it), and for the tunnel.
_CLIENT_MTU, _TUNNEL_MTU = 1520, 1600
_LARGEST_MTU = 9000
_STREAMS = {"tcp": "-t", "sctp": "--sctp-service"}  # as ipvsadm calls them
_PREFIX = {4: 24, 6: 64}
_HOST = {4: 32, 6: 128}

# Modules that most scenarios need; each names those that it needs beside them.
_MODULES = (
    *("veth", "tun", "ip_vs", "ip_vs_mh", "fou", "fou6", "ipip", "sit", "ip6_tunnel"),
    *("sch_ingress", "cls_matchall", "act_mirred"),
)

Scenarios = list[dict[str, Any]]


def load_modules(scenarios: Scenarios) -> None:
    """Load what the scenarios need; what a kernel has built in, it has no module of."""
    names = {*_MODULES, *(name for s in scenarios for name in s["modules"])}
    subprocess.run(["modprobe", "--all", "--quiet", *sorted(names)], check=False)


def build(scenarios: Scenarios, *, strict: bool = True) -> tuple[Wire, dict[str, str]]:
    """Build the whole topology with one service a scenario.

    Return the wire, and for each scenario that this kernel refuses to set up the reason. Not
    ``strict``: go without the mirror where the kernel has none, and without GRO's patience.
    """
    _namespaces()
    wire = Wire((DIRECTOR, EGRESS), (WORKER, WORKER_END))
    _links()
    _addresses()
    wire.plug_in()
    _fallback_devices()
    refused = _tunnels(scenarios)
    refused |= _services([s for s in scenarios if s["name"] not in refused])
    _merge(strict=strict)
    try:
        _mirror({EGRESS, *(s["egress"] for s in scenarios if s["name"] not in refused)})
    except SetupError as error:
        if strict:
            raise
        why = str(error).replace("\n", "; ")
        print(f"gso-kernel: no mirror of the super-packets: {why}", file=sys.stderr)
    return wire, refused


def _namespaces() -> None:
    run(
        ["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in (CLIENT, DIRECTOR, WORKER))
    )
    for name in (CLIENT, DIRECTOR, WORKER):
        with inside(name):
            for family, key, value in (
                ("ipv4", "conf/all/rp_filter", "0"),
                ("ipv4", "conf/default/rp_filter", "0"),
                # For a client on the director: answers come from the service's address, its own.
                ("ipv4", "conf/all/accept_local", "1"),
                ("ipv4", "ip_forward", "1"),
                ("ipv6", "conf/all/forwarding", "1"),
                ("ipv6", "conf/default/accept_dad", "0"),
                ("ipv6", "conf/all/accept_ra", "0"),
            ):
                Path("/proc/sys/net", family, key).write_text(value)


def _links() -> None:
    def veth(a: str, b: str, peer: str, mtu: int) -> str:
        ends = f"{a} address {MAC[a]} mtu {mtu} type veth peer name {b} address {MAC[b]} mtu {mtu}"
        return f"link add {ends} netns {peer}"

    ip_batch(
        DIRECTOR,
        [
            veth("d0", "c0", CLIENT, _CLIENT_MTU),
            f"link set {EGRESS} address {MAC[EGRESS]} mtu {_TUNNEL_MTU}",
            f"link add mir0 mtu {_LARGEST_MTU} type veth peer name mir1 mtu {_LARGEST_MTU}",
        ],
    )
    ip_batch(
        WORKER,
        [
            veth("w1", "c1", CLIENT, _CLIENT_MTU),
            f"link set {WORKER_END} address {MAC[WORKER_END]} mtu {_TUNNEL_MTU}",
        ],
    )


def _addresses() -> None:
    def up(*devices: str) -> list[str]:
        return [f"link set {device} up" for device in ("lo", *devices)]

    def address(ip: dict[int, str], device: str, prefix: dict[int, int]) -> list[str]:
        return [
            f"addr add {ip[4]}/{prefix[4]} dev {device}",
            f"addr add {ip[6]}/{prefix[6]} dev {device} nodad",
        ]

    def neighbour(ip: dict[int, str], device: str, mac_of: str) -> list[str]:
        return [
            f"neigh replace {ip[f]} lladdr {MAC[mac_of]} dev {device} nud permanent" for f in (4, 6)
        ]

    ip_batch(
        CLIENT,
        [
            *up("c0", "c1"),
            *address(CLIENT_IP, "c0", _PREFIX),
            *neighbour(DIRECTOR_IN, "c0", "d0"),
            # With the default of 200 ms, most of a run on a faulty kernel would be waiting.
            *(f"route add {SERVICES[f]} via {DIRECTOR_IN[f]} dev c0 rto_min 50ms" for f in (4, 6)),
        ],
    )
    ip_batch(
        DIRECTOR,
        [
            *up("d0", "up0", "mir0", "mir1"),
            *address(DIRECTOR_IN, "d0", _PREFIX),
            *address(DIRECTOR_OUT, "up0", _PREFIX),
            *address(VIP, "lo", _HOST),
            *neighbour(CLIENT_IP, "d0", "c0"),
        ],
    )
    ip_batch(
        WORKER,
        [
            *up("dn0", "w1"),
            *address(VIP, "lo", _HOST),
            *(f"route add {DIRECTOR_OUT[f]}/{_HOST[f]} dev dn0" for f in (4, 6)),
            *neighbour(DIRECTOR_OUT, "dn0", "up0"),
            *(f"route add {CLIENT_IP[f]}/{_HOST[f]} dev w1" for f in (4, 6)),
            *neighbour(CLIENT_IP, "w1", "c1"),
        ],
    )


def _fallback_devices() -> None:
    """Let the worker take IP in IP from any address, where the kernel has it."""
    there = [name for name in ("tunl0", "sit0", "ip6tnl0") if name in device_counters(WORKER)]
    if "ip6tnl0" in there:
        # This one takes only IPv6 in IPv6 until told otherwise.
        run(["ip", "-6", "-n", WORKER, "tunnel", "change", "ip6tnl0", "mode", "any"])
    ip_batch(WORKER, [f"link set {device} up" for device in there])


def _tunnels(scenarios: Scenarios) -> dict[str, str]:
    """Run the scenarios' own commands, and lead each one's packets to its own outer address."""
    refused: dict[str, str] = {}
    for machine, lines_of in (
        (CLIENT, lambda s: s["client"]),
        # The director last: its devices announce themselves through their tunnels, and where the
        # worker has none yet the kernel remembers the ICMP error. With the next packet, though it
        # gets through, it tells the client that there is no way (err_count, ip6_tnl_xmit).
        (WORKER, lambda s: (*s["worker"], *_taken(s))),
        (DIRECTOR, lambda s: (*s["director"], *_towards(s))),
    ):
        lines = {s["name"]: lines_of(s) for s in scenarios if s["name"] not in refused}
        # Several scenarios may share a line, such as the one for a port of GUE.
        each_once = list(dict.fromkeys(line for own in lines.values() for line in own))
        failed = try_ip_batch(machine, each_once)
        for name, own in lines.items():
            # What fails after the first is mostly its consequence.
            first = next((line for line in own if line in failed), None)
            if first:
                refused[name] = f"on the {machine}: ip {first}: {failed[first]}"
    return refused


def _towards(scenario: dict[str, Any]) -> list[str]:
    egress, there = scenario["egress"], scenario["there"]
    lines = [f"neigh replace {there} lladdr {MAC[WORKER_END]} dev {egress} nud permanent"]
    if egress != EGRESS:
        lines.append(f"route add {there} dev {egress} src {scenario['here']}")
    return lines


def _taken(scenario: dict[str, Any]) -> list[str]:
    def local(address: str, device: str) -> str:
        options = f"{_HOST[6]} dev {device} nodad" if ":" in address else f"{_HOST[4]} dev {device}"
        return f"addr add {address}/{options}"

    lines = [local(scenario["there"], scenario["worker_device"])]
    if not scenario["ipvs"]:
        lines.append(local(scenario["target"], "lo"))
    return lines


def _services(scenarios: Scenarios) -> dict[str, str]:
    """Tell IPVS of the services; return the scenarios that go without, and why."""
    rules = []
    for s in scenarios:
        if s["ipvs"]:
            protocol = "-u" if s["traffic"][0]["datagram"] else _STREAMS[s["protocol"]]
            service = f"{protocol} {_bracketed(s['target'])}:{s['service_port']}"
            server = f"{_bracketed(s['server'])}:{s['service_port']}"
            rules += [f"-A {service} -s mh", f"-a {service} -r {server} {s['ipvs']}"]
    if rules:
        try:
            run(["ip", "netns", "exec", DIRECTOR, "ipvsadm", "-R"], "\n".join(rules) + "\n")
        except SetupError as error:
            return {s["name"]: str(error).replace("\n", "; ") for s in scenarios if s["ipvs"]}
    return {}


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _merge(*, strict: bool) -> None:
    change(CLIENT, "ethtool -K c0 tso off")
    change(DIRECTOR, f"ethtool -K {INGRESS} gro on")
    # GRO waits a moment for the next segment: emulation is slower than any real wire.
    waiting = f"echo 200000 > /sys/class/net/{INGRESS}/gro_flush_timeout"
    # In a user's own namespaces it may not be set, and there nothing is emulated.
    with nullcontext() if strict else suppress(SetupError):
        run(["ip", "netns", "exec", DIRECTOR, "sh", "-c", waiting])


def change(machine: str, command: str) -> None:
    """Run a whole command on one of the machines; ``push`` is one of our own."""
    word, *words = command.split()
    if word == "push":
        programs.pin(*words)
    else:
        run(["ip", "netns", "exec", machine, word, *words])


def _mirror(devices: set[str]) -> None:
    lines = [
        f"qdisc add dev {device} clsact\n"
        f"filter add dev {device} egress matchall action mirred egress mirror dev mir0\n"
        for device in sorted(devices)
    ]
    run(["tc", "-n", DIRECTOR, "-batch", "-"], "".join(lines))
