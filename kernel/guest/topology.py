"""Three namespaces, as in the incident: client -> director (IPVS) -> worker, replies direct.

::

    client  c0 ------- d0  director  up0 --wire-- dn0  worker
            c1 ------------------------------------ w1
                               up0 egress also copied: mir0 -> mir1 (not yet segmented)

The client segments in software and the director's d0 merges again with GRO, as a network card
does. ``up0`` has no offloads, so the kernel's own segmenter must run there; ``mir0`` keeps its
offloads and shows what came to the segmenter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .netns import inside, ip_batch, run
from .wire import Wire

CLIENT, DIRECTOR, WORKER = "client", "director", "worker"
INGRESS, EGRESS, MIRROR = "d0", "up0", "mir1"
_WORKER_END = "dn0"

CLIENT_IP = {4: "198.51.100.1", 6: "2001:db8:1::1"}
VIP = {4: "192.0.2.1", 6: "2001:db8:f::1"}
_DIRECTOR_IN = {4: "198.51.100.2", 6: "2001:db8:1::2"}
_DIRECTOR_OUT = {4: "203.0.113.2", 6: "2001:db8:2::2"}
_WORKER_IP = {4: "203.0.113.3", 6: "2001:db8:2::3"}

_MAC = {
    "c0": "02:00:00:00:01:01",
    "d0": "02:00:00:00:01:02",
    "up0": "02:00:00:00:02:02",
    "dn0": "02:00:00:00:02:03",
    "w1": "02:00:00:00:03:03",
    "c1": "02:00:00:00:03:01",
}
# Room for an MSS of 1448 over both IP versions (the option clamps it), and for the tunnel.
_CLIENT_MTU, _TUNNEL_MTU = 1520, 1600
_PREFIX = {4: 24, 6: 64}
_HOST = {4: 32, 6: 128}

MODULES = (
    *("veth", "tun", "ip_vs", "ip_vs_mh", "fou", "fou6", "ipip", "sit", "ip6_tunnel"),
    *("sch_ingress", "cls_matchall", "act_mirred"),
)

# `fou` hands a packet to this protocol when the port carries that IP version.
_FOU_PROTOCOL = {4: 4, 6: 41}


def build(scenarios: list[dict[str, Any]]) -> Wire:
    """Build the whole topology with one IPVS service a scenario; return the wire."""
    _namespaces()
    wire = Wire((DIRECTOR, EGRESS), (WORKER, _WORKER_END))
    _links()
    _addresses()
    wire.plug_in()
    _worker_tunnels(scenarios)
    _director_tunnels(scenarios)
    _services(scenarios)
    _merge_and_mirror()
    return wire


def _namespaces() -> None:
    run(
        ["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in (CLIENT, DIRECTOR, WORKER))
    )
    for name in (CLIENT, DIRECTOR, WORKER):
        with inside(name):
            for family, key, value in (
                ("ipv4", "conf/all/rp_filter", "0"),
                ("ipv4", "conf/default/rp_filter", "0"),
                ("ipv4", "ip_forward", "1"),
                ("ipv6", "conf/all/forwarding", "1"),
                ("ipv6", "conf/default/accept_dad", "0"),
                ("ipv6", "conf/all/accept_ra", "0"),
            ):
                Path("/proc/sys/net", family, key).write_text(value)


def _links() -> None:
    def veth(a: str, b: str, peer: str, mtu: int) -> str:
        ends = (
            f"{a} address {_MAC[a]} mtu {mtu} type veth peer name {b} address {_MAC[b]} mtu {mtu}"
        )
        return f"link add {ends} netns {peer}"

    ip_batch(
        DIRECTOR,
        [
            veth("d0", "c0", CLIENT, _CLIENT_MTU),
            f"link set {EGRESS} address {_MAC[EGRESS]} mtu {_TUNNEL_MTU}",
            f"link add mir0 mtu {_TUNNEL_MTU} type veth peer name mir1 mtu {_TUNNEL_MTU}",
        ],
    )
    ip_batch(
        WORKER,
        [
            veth("w1", "c1", CLIENT, _CLIENT_MTU),
            f"link set {_WORKER_END} address {_MAC[_WORKER_END]} mtu {_TUNNEL_MTU}",
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
            f"neigh add {ip[f]} lladdr {_MAC[mac_of]} dev {device} nud permanent" for f in (4, 6)
        ]

    def route(ip: dict[int, str], via: dict[int, str], device: str) -> list[str]:
        # With the default of 200 ms, most of a run on a faulty kernel would be waiting.
        options = f"dev {device} rto_min 50ms"
        return [f"route add {ip[f]}/{_HOST[f]} via {via[f]} {options}" for f in (4, 6)]

    ip_batch(
        CLIENT,
        [
            *up("c0", "c1"),
            *address(CLIENT_IP, "c0", _PREFIX),
            *neighbour(_DIRECTOR_IN, "c0", "d0"),
            *route(VIP, _DIRECTOR_IN, "c0"),
        ],
    )
    ip_batch(
        DIRECTOR,
        [
            *up("d0", "up0", "mir0", "mir1"),
            *address(_DIRECTOR_IN, "d0", _PREFIX),
            *address(_DIRECTOR_OUT, "up0", _PREFIX),
            *address(VIP, "lo", _HOST),
            *neighbour(CLIENT_IP, "d0", "c0"),
            *neighbour(_WORKER_IP, "up0", "dn0"),
        ],
    )
    ip_batch(
        WORKER,
        [
            *up("dn0", "w1"),
            *address(_WORKER_IP, "dn0", _PREFIX),
            *address(VIP, "lo", _HOST),
            *neighbour(_DIRECTOR_OUT, "dn0", "up0"),
            *[f"route add {CLIENT_IP[f]}/{_HOST[f]} dev w1" for f in (4, 6)],
            *neighbour(CLIENT_IP, "w1", "c1"),
        ],
    )


def _worker_tunnels(scenarios: list[dict[str, Any]]) -> None:
    gue_ports = {s["tunnel_port"] for s in scenarios if s["kind"] == "ipvs-gue"}
    for family in (4, 6):
        ports = [f"fou add port {port} gue" for port in gue_ports]
        ports += [
            f"fou add port {s['tunnel_port']} ipproto {_FOU_PROTOCOL[s['inner']]}"
            for s in scenarios
            if s["kind"] == "fou-direct-routing" and s["outer"] == family
        ]
        ip_batch(WORKER, ports, family)
    # The fallback device takes only IPv6 in IPv6 until told otherwise.
    run(["ip", "-6", "-n", WORKER, "tunnel", "change", "ip6tnl0", "mode", "any"])
    ip_batch(WORKER, [f"link set {device} up" for device in ("tunl0", "sit0", "ip6tnl0")])


def _director_tunnels(scenarios: list[dict[str, Any]]) -> None:
    """Make the virtual interfaces of the FOU scenarios, each to a worker address of its own."""
    here, there = [], []
    for s in scenarios:
        if s["kind"] != "fou-direct-routing":
            continue
        outer, inner, port = s["outer"], s["inner"], s["tunnel_port"]
        device, end = f"fou{port}", _fou_end(s)
        mode = {(4, 4): "ipip", (4, 6): "sit"}.get(
            (outer, inner), "ip6tnl mode any encaplimit none"
        )
        encap = f"encap fou encap-sport auto encap-dport {port}"
        csum = "encap-csum" if s["checksum"] == "csum" else "noencap-csum"
        ends = f"local {_DIRECTOR_OUT[outer]} remote {end}"
        here += [
            f"neigh add {end} lladdr {_MAC['dn0']} dev {EGRESS} nud permanent",
            f"link add {device} mtu {_CLIENT_MTU} type {mode} {ends} {encap} {csum}",
            f"link set {device} up",
            f"route add {_real_server(s)}/{_HOST[inner]} dev {device}",
        ]
        there.append(f"addr add {end}/{_PREFIX[outer]} dev {_WORKER_END}{' nodad' * (outer == 6)}")
    ip_batch(DIRECTOR, here)
    ip_batch(WORKER, there)


def _fou_end(scenario: dict[str, Any]) -> str:
    number = scenario["tunnel_port"] & 0xFF
    return f"203.0.113.{number}" if scenario["outer"] == 4 else f"2001:db8:2::{number}"


def _real_server(scenario: dict[str, Any]) -> str:
    """Return the address by which IPVS reaches the worker in this scenario."""
    if scenario["kind"] == "ipvs-gue":
        return _WORKER_IP[scenario["outer"]]
    number = scenario["tunnel_port"] & 0xFF
    return f"192.0.2.{number}" if scenario["inner"] == 4 else f"2001:db8:e::{number}"


def _services(scenarios: list[dict[str, Any]]) -> None:
    rules = []
    for s in scenarios:
        service = f"{_bracketed(VIP[s['inner']])}:{s['service_port']}"
        server = f"{_bracketed(_real_server(s))}:{s['service_port']}"
        forward = "-g"
        if s["kind"] == "ipvs-gue":
            forward = f"-i --tun-type gue --tun-port {s['tunnel_port']} --tun-{s['checksum']}"
        rules += [f"-A -t {service} -s mh", f"-a -t {service} -r {server} {forward}"]
    run(["ip", "netns", "exec", DIRECTOR, "ipvsadm", "-R"], "\n".join(rules) + "\n")


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _merge_and_mirror() -> None:
    def features(namespace: str, device: str, *settings: str) -> None:
        run(["ip", "netns", "exec", namespace, "ethtool", "-K", device, *settings])

    features(CLIENT, "c0", "tso", "off")
    features(DIRECTOR, INGRESS, "gro", "on")
    # GRO waits a moment for the next segment: emulation is slower than any real wire.
    waiting = f"echo 200000 > /sys/class/net/{INGRESS}/gro_flush_timeout"
    run(["ip", "netns", "exec", DIRECTOR, "sh", "-c", waiting])
    run(
        ["tc", "-n", DIRECTOR, "-batch", "-"],
        f"qdisc add dev {EGRESS} clsact\n"
        f"filter add dev {EGRESS} egress matchall action mirred egress mirror dev mir0\n",
    )
