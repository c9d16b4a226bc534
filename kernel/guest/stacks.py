"""Random stacks of encapsulations, made of rules that are data, and the commands that build them.

::

    client  c0 -- d0  director  up0 -- dn0  worker
           (near leg)              (far leg)

Each leg carries layers, the lowest first. A layer is one of these, by the rule's ``place``:

- ``device``: a tunnel device at each end, with addresses of its own for what comes above
- ``route``: a route at the sender that encapsulates; the addresses above are those of ``lo``
- ``service``: IPVS on the director; nothing comes above it
- ``action``: something that is done to what leaves by the device below, by tc or nft; nothing
  changes for what comes above

A route of the near leg leads to the worker itself: the director takes the packet out of the tunnel
and forwards it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from typing import Any

CLIENT, DIRECTOR, WORKER = "client", "director", "worker"
SERVICE_PORT = 5000
_MTU = 2000  # of the cables; what is sent fits below all layers
MOST_LAYERS = 3
"""Layers of the far leg; the near one has one at the most."""
Rules = dict[str, dict[str, Any]]
Line = tuple[str, str]
"""A machine, and a whole command for it."""
FIRST_OFFLOAD = "tso off"
_TUNNEL_FEATURES = " ".join(
    f"tx-{name} off"
    for name in ("udp_tnl-segmentation", "udp_tnl-csum-segmentation", "gre-segmentation")
)
_NO_SEGMENTATION = "tso off tx-udp-segmentation off tx-sctp-segmentation off"
OFFLOADS = {
    FIRST_OFFLOAD: _NO_SEGMENTATION,
    "tx off": "tx off",
    "tunnel features off": _TUNNEL_FEATURES,
    "txvlan off": f"txvlan off {_NO_SEGMENTATION}",
}
"""Changes at the director's end of the far cable, where segmentation has to happen."""
RESTORED = " ".join(
    dict.fromkeys(f"{feature} on" for words in OFFLOADS.values() for feature in words.split()[::2])
)
"""What makes these changes undone."""
WHOLE = "whole"
_CUT = ((CLIENT, "ethtool -K c0 tx-udp-segmentation off"),)
ARRIVALS: dict[str, tuple[Line, ...]] = {
    WHOLE: (),
    "gro": _CUT,
    "gro list": (*_CUT, (DIRECTOR, "ethtool -K d0 rx-gro-list on")),
    "udp gro forwarding": (*_CUT, (DIRECTOR, "ethtool -K d0 rx-udp-gro-forwarding on")),
}
"""How super-packets come to the director: as the client made them, or cut, and merged again."""
_BIG = 185_000
_SMALL_SEGMENTS = (
    "nft add table inet mss",
    "nft add chain inet mss out { type filter hook output priority 0 ; }",
    "nft add rule inet mss out tcp flags & syn == syn tcp option maxseg size set 1200",
)


@dataclass(frozen=True)
class Traffic:
    """What is sent: commands that it needs, modules, and what ipvsadm calls its services."""

    lines: tuple[Line, ...] = ()
    modules: tuple[str, ...] = ()
    service: str = "-t"


TRAFFICS = {
    "tcp": Traffic(),
    "udp": Traffic(service="-u"),
    "sctp": Traffic(modules=("sctp",), service="--sctp-service"),
    # Before 6.13 no option of its sockets sets the size of segments.
    "mptcp": Traffic(
        tuple((WORKER, line) for line in _SMALL_SEGMENTS), ("nf_tables", "nft_exthdr")
    ),
    # Super-packets of more than 64 KiB, where no tunnel's device is in the way.
    "big tcp": Traffic(
        tuple(
            (machine, f"sizes {device} {_BIG}")
            for machine, device in ((CLIENT, "c0"), (DIRECTOR, "d0"), (DIRECTOR, "up0"))
        )
    ),
}
"""What a stack may carry."""
_OFTEN = (*("tcp",) * 4, *("udp",) * 3, "sctp", "mptcp", "big tcp")


@dataclass(frozen=True)
class Layer:
    """One encapsulation: its rule, IP versions below and above, and the options it has."""

    kind: str
    outer: int
    inner: int
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{' '.join((self.kind, *self.options))} ({self.inner} in {self.outer})"


@dataclass(frozen=True)
class Stack:
    """A way from client to worker; ``inner``: the IP version of what is sent.

    ``local``: it is sent by the director itself, and the near leg is not used. ``arrival``: how
    super-packets come to the director that are not.
    """

    near: tuple[Layer, ...]
    far: tuple[Layer, ...]
    inner: int
    offload: str = FIRST_OFFLOAD
    traffic: str = "tcp"
    local: bool = False
    arrival: str = WHOLE

    @classmethod
    def of(cls, data: dict[str, Any]) -> Stack:
        """Return the stack of what :func:`as_data` returned."""
        legs = {
            leg: tuple(Layer(**{**one, "options": tuple(one["options"])}) for one in data[leg])
            for leg in ("near", "far")
        }
        return cls(**{**data, **legs})

    def __str__(self) -> str:
        def leg(layers: tuple[Layer, ...]) -> str:
            return " under ".join(map(str, layers)) or "nothing"

        way = "sent by the director" if self.local else f"through {leg(self.near)}"
        merged = "" if self.arrival == WHOLE else f", {self.arrival}"
        return f"{self.traffic}/{self.inner} {way}{merged}, then {leg(self.far)}; {self.offload}"


def as_data(stack: Stack) -> dict[str, Any]:
    """Return the stack as plain data."""
    return asdict(stack)


def draw(rules: Rules, seed: str) -> Stack:
    """Return the random stack of this seed.

    Faults lie where two layers each think that a packet is theirs, so most stacks have two or
    more; and a layer's ``group`` is drawn before its kind, lest the many kinds that change no
    header outnumber those that encapsulate.
    """
    chance = random.Random(seed)
    lowest = sorted({version for rule in rules.values() for version in rule["outer"]})
    far, inner = _leg(rules, chance, chance.choice(lowest), chance.choice((1, 2, 2, MOST_LAYERS)))
    local = chance.random() < 0.2 and not _forwards(far, rules)
    near: tuple[Layer, ...] = ()
    if not local and chance.random() < 0.6:
        choices = [
            rule for rule in rules.values() if inner in rule["inner"] and _decapsulated(rule)
        ]
        if choices:
            rule = _drawn(choices, chance)
            near = (_layer(rule, chance, chance.choice(_versions(rule, inner)), inner),)
    return Stack(
        *(near, far, inner, chance.choice(list(OFFLOADS))),
        traffic=chance.choice(_OFTEN),
        local=local,
        arrival=WHOLE if local or chance.random() < 0.5 else chance.choice(list(ARRIVALS)),
    )


_SELDOM = ("encryption", "passing", "rewriting")
"""Groups whose layers put no header before a packet that segmentation has to know of."""


def _drawn(choices: list[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    """Return a rule: a group first, by its weight, then one of the group."""
    groups = sorted({rule["group"] for rule in choices})
    (group,) = chance.choices(groups, [1 if one in _SELDOM else 3 for one in groups])
    return chance.choice([rule for rule in choices if rule["group"] == group])


def _leg(
    rules: Rules, chance: random.Random, outer: int, count: int
) -> tuple[tuple[Layer, ...], int]:
    layers: list[Layer] = []
    ether, acted = True, False
    while len(layers) < count:
        fitting = [
            rule
            for rule in rules.values()
            if outer in rule["outer"]
            and (ether or not rule.get("on_ether"))
            and not (acted and rule["place"] == "action")
        ]
        if not fitting:
            break
        rule = _drawn(fitting, chance)
        inner = chance.choice(_above(rule, outer))
        layers.append(_layer(rule, chance, outer, inner))
        outer = inner
        acted = rule["place"] == "action"
        if rule["place"] == "service" or rule.get("forwards"):
            break
        if rule["place"] != "action":
            ether = bool(rule.get("ether"))
    return tuple(layers), outer


def _decapsulated(rule: dict[str, Any]) -> bool:
    """Say whether a layer can end at the director, which forwards what was in it."""
    route = rule["place"] == "route" and rule.get("near", True) and not rule.get("forwards")
    return rule["place"] == "device" or route


def _forwards(far: tuple[Layer, ...], rules: Rules) -> bool:
    """Say whether the stack does something to forwarded packets alone."""
    return any(rules[layer.kind].get("forwards") for layer in far)


def _above(rule: dict[str, Any], outer: int) -> list[int]:
    """Return the IP versions that it may carry over this one."""
    return [outer] if rule.get("same") else list(rule["inner"])


def _versions(rule: dict[str, Any], inner: int) -> list[int]:
    return [inner] if rule.get("same") else list(rule["outer"])


def _layer(rule: dict[str, Any], chance: random.Random, outer: int, inner: int) -> Layer:
    options = tuple(
        name
        for name, option in rule.get("options", {}).items()
        if outer in option.get("outer", (4, 6)) and chance.random() < 0.4
    )
    return Layer(rule["kind"], outer, inner, options)


def simpler(stack: Stack, rules: Rules) -> Iterator[Stack]:
    """Yield stacks that have one thing less, the largest things first."""
    if stack.near:
        yield replace(stack, near=())
    for at in range(len(stack.far)):
        less = stack.far[:at] + stack.far[at + 1 :]
        inner = less[-1].inner if less else stack.inner
        if _fits(less, rules):
            yield replace(
                stack, far=less, inner=inner, near=() if inner != stack.inner else stack.near
            )
    yield from (replace(stack, near=layers) for layers in _plainer(stack.near))
    yield from (replace(stack, far=layers) for layers in _plainer(stack.far))
    if stack.traffic != "tcp":
        yield replace(stack, traffic="tcp")
    if stack.offload != FIRST_OFFLOAD:
        yield replace(stack, offload=FIRST_OFFLOAD)
    if stack.arrival != WHOLE:
        yield replace(stack, arrival=WHOLE)
    if stack.local:
        yield replace(stack, local=False)


def _plainer(layers: tuple[Layer, ...]) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers with one option less."""
    for at, layer in enumerate(layers):
        for option in layer.options:
            left = tuple(name for name in layer.options if name != option)
            yield (*layers[:at], replace(layer, options=left), *layers[at + 1 :])


def _fits(layers: tuple[Layer, ...], rules: Rules) -> bool:
    """Say whether each layer can be on the one below."""
    ether, below = True, None
    for layer in layers:
        rule = rules[layer.kind]
        if (rule.get("on_ether") and not ether) or (below and layer.outer != below.inner):
            return False
        if rule["place"] != "action":
            ether = bool(rule.get("ether"))
        below = layer
    return True


def contains(stack: Stack, part: Stack) -> bool:
    """Say whether all of ``part`` is in the stack: its layers in their order, and what it needs."""
    return needs(stack, part) and all(
        _within(getattr(stack, leg), getattr(part, leg)) for leg in ("near", "far")
    )


def _within(layers: tuple[Layer, ...], part: tuple[Layer, ...]) -> bool:
    left = iter(layers)
    return all(any(_covers(layer, wanted) for layer in left) for wanted in part)


def _covers(layer: Layer, wanted: Layer) -> bool:
    same = (layer.kind, layer.outer, layer.inner) == (wanted.kind, wanted.outer, wanted.inner)
    return same and set(wanted.options) <= set(layer.options)


def needs(stack: Stack, part: Stack) -> bool:
    """Say whether the stack has the traffic, offload and sender that ``part`` cannot be without."""
    return (
        part.traffic in ("tcp", stack.traffic)
        and part.offload in (FIRST_OFFLOAD, stack.offload)
        and part.arrival in (WHOLE, stack.arrival)
        and (stack.local or not part.local)
    )


def explains(earlier: Stack, stack: Stack) -> bool:
    """Say whether what was found in an earlier stack explains the same complaint of another."""
    return contains(stack, earlier) or (needs(stack, earlier) and similar(stack, earlier))


def similar(one: Stack, other: Stack) -> bool:
    """Say whether two stacks have the same kinds of layers over the same IP versions."""

    def names(stack: Stack) -> list[tuple[str, int]]:
        return [(layer.kind, layer.outer) for layer in (*stack.near, *stack.far)]

    return names(one) == names(other)


# --- commands -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ground:
    """The ground of a layer: a device and an address of each version at both ends."""

    devices: tuple[str, str]
    addresses: dict[int, tuple[str, str]]
    mtu: int
    back: str  # the route by which answers come back, as words of ip route; empty: by the device
    mac: str = ""  # the sender's, where this carries Ethernet
    through: str = ""  # what a route to what is behind has before its gateway; empty or ends in " "

    def way_back(self, family: int) -> str:
        """Return the receiver's route to what the sender has, as words of ip route."""
        return self.back or f"via {self.addresses[family][0]} dev {self.devices[1]}"


@dataclass(frozen=True)
class Way:
    """The commands of a stack, and between which addresses it carries.

    ``cables`` come first; of the other ``lines`` the worker's, then the director's, are best first.
    ``listens``: where the worker listens, if that is not the ``target``.
    """

    cables: tuple[Line, ...]
    lines: tuple[Line, ...]
    source: str
    target: str
    modules: tuple[str, ...]
    listens: str


def way(stack: Stack, rules: Rules) -> Way:
    """Return the commands that build the stack in three empty namespaces."""
    lines = list(_ends())
    far_lines: list[Line] = []
    near, far = (
        _cable(number, *ends) for number, ends in enumerate((("c0", "d0"), ("up0", "dn0")), 1)
    )
    serves = ""
    for number, layer in enumerate(stack.far, len(stack.near) + 1):
        names = (DIRECTOR, WORKER), number, stack.traffic
        if rules[layer.kind].get("serves"):
            serves = far.addresses[layer.outer][1]
        far = _build(far_lines, rules[layer.kind], layer, far, *names)
    source, target = far.addresses[stack.inner]
    for number, layer in enumerate(stack.near, 1):
        names = (CLIENT, DIRECTOR), number, stack.traffic
        near = _build(lines, rules[layer.kind], layer, near, *names, beyond=target)
    lines += far_lines
    if not stack.local:
        source, gateway = near.addresses[stack.inner]
        if gateway != target:
            route = f"{near.through}via {gateway} dev {near.devices[0]}"
            lines.append((CLIENT, f"ip route add {target} {route}"))
        lines.append((WORKER, f"ip route add {source} {far.way_back(stack.inner)}"))
    traffic = TRAFFICS[stack.traffic]
    lines += (*traffic.lines, *ARRIVALS[stack.arrival])
    lines.append((DIRECTOR, f"ethtool -K up0 {OFFLOADS[stack.offload]}"))
    kinds = [layer.kind for layer in (*stack.near, *stack.far)]
    modules = [*traffic.modules, *(name for kind in kinds for name in rules[kind]["modules"])]
    return Way(
        *(tuple(_cables()), tuple(lines), source, target),
        tuple(dict.fromkeys(modules)),
        serves or target,
    )


def _cable(number: int, near: str, far: str) -> _Ground:
    addresses = {
        4: (f"192.168.{number}.1", f"192.168.{number}.2"),
        6: (f"fd0{number}::1", f"fd0{number}::2"),
    }
    return _Ground((near, far), addresses, _MTU, "", f"02:00:00:00:0{number}:01")


_SETTINGS = (
    *("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"),
    *("net.ipv4.conf.all.accept_local=1", "net.ipv4.ip_forward=1"),
    *("net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.default.accept_dad=0"),
)


_ENDS = (((CLIENT, "c0"), (DIRECTOR, "d0")), ((DIRECTOR, "up0"), (WORKER, "dn0")))
"""The ends of each cable."""


def _cables() -> Iterator[Line]:
    """Yield settings, and then what makes the cables: all at the director, in one go."""
    for machine in (CLIENT, WORKER, DIRECTOR):
        for setting in _SETTINGS:
            yield machine, f"sysctl -qw {setting}"
    for number, pair in enumerate(_ENDS, 1):
        made = {
            machine: f"{device} address {_cable_mac(number, end)} mtu {_MTU}"
            for end, (machine, device) in enumerate(pair, 1)
        }
        own = made.pop(DIRECTOR)
        ((machine, peer),) = made.items()
        yield DIRECTOR, f"ip link add {own} type veth peer name {peer} netns {machine}"


def _ends() -> Iterator[Line]:
    for machine in (CLIENT, DIRECTOR, WORKER):
        yield machine, "ip link set lo up"
    for number, pair in enumerate(_ENDS, 1):
        for end, (machine, device) in enumerate(pair, 1):
            yield machine, f"ip link set {device} up"
            yield machine, f"ip addr add 192.168.{number}.{end}/24 dev {device}"
            yield machine, f"ip addr add fd0{number}::{end}/64 dev {device} nodad"
            neighbour = f"lladdr {_cable_mac(number, 3 - end)} dev {device} nud permanent"
            for address in (f"192.168.{number}.{3 - end}", f"fd0{number}::{3 - end}"):
                yield machine, f"ip neigh replace {address} {neighbour}"


def _cable_mac(number: int, end: int) -> str:
    return f"02:00:00:00:0{number}:0{end}"


def _build(  # noqa: PLR0917
    lines: list[Line],
    rule: dict[str, Any],
    layer: Layer,
    ground: _Ground,
    machines: tuple[str, str],
    number: int,
    traffic: str,
    beyond: str = "",
) -> _Ground:
    """Add the commands of one layer, and return what the next one stands on.

    ``beyond``: the address that a route leads to where that is not the layer's own end.
    """
    above = _above_layer(rule, layer, ground, number)
    beyond = beyond if rule["place"] == "route" else ""
    if beyond:
        above = replace(above, addresses={layer.inner: (above.addresses[layer.inner][0], beyond)})
    for end in (1, 0):
        names = _names(layer, ground, above, number, end, traffic)
        side = _SIDES[end]
        words = [
            rule["options"][name].get(side, rule["options"][name].get("both", ""))
            for name in layer.options
        ]
        names["options"] = " ".join(words).format_map(names)

        def filled(*keys: str, names: dict[str, Any] = names) -> list[str]:
            found = [line for key in keys for line in rule.get(key, [])]
            return [" ".join(line.format_map(names).split()) for line in found]

        commands = filled(f"{side}{layer.outer}", side)
        commands += [] if end and beyond else _addressing(rule, names)
        if rule["place"] in ("route", "service") and end == 1:
            commands += _way_back(ground, above, names["target"])
        for encapsulation in filled(f"{side}{layer.outer}_through", f"{side}_through"):
            route = f"{encapsulation} dev {names['device']}"
            commands.append(f"ip route replace {names['target']} {route}")
            if end:
                above = replace(above, back=route)
            else:
                above = replace(above, through=f"{encapsulation} ")
        commands += filled(f"{side}{layer.outer}_after", f"{side}_after")
        lines += [(machines[end], command) for command in commands]
    return above


def _way_back(ground: _Ground, above: _Ground, target: str) -> Iterator[str]:
    """Yield the receiver's commands for its answers to what the sender has on ``lo``."""
    if _GATEWAY in above.back and ground.mac:
        neighbour = f"{_GATEWAY} lladdr {ground.mac} dev {ground.devices[1]}"
        yield f"ip neigh replace {neighbour} nud permanent"
    yield f"ip route add {target} {above.back}"


_SIDES = ("sender", "receiver")
_GATEWAY = "fe80::ffff"
"""The sender, to a receiver that has a route for IPv6 and no address of the sender but of IPv4."""


def _above_layer(rule: dict[str, Any], layer: Layer, ground: _Ground, number: int) -> _Ground:
    """Return what the layer offers to the next one."""
    if rule["place"] == "action":
        return ground
    own = {
        4: (f"10.{number}.0.1", f"10.{number}.0.2"),
        6: (f"fd0a:{number}::1", f"fd0a:{number}::2"),
    }
    addresses = {layer.inner: own[layer.inner]}
    mtu = ground.mtu - rule["overhead"] - {4: 20, 6: 40}[layer.outer]
    if rule["place"] == "device":
        mac = _mac(number, 0) if rule.get("ether") else ""
        return _Ground((f"t{number}", f"t{number}"), addresses, mtu, "", mac)
    return _Ground(ground.devices, addresses, mtu, _back(layer, ground))


def _back(layer: Layer, ground: _Ground) -> str:
    """Return the receiver's route to what is above a route, as words of ip route."""
    back = ground.back or f"via {ground.addresses[layer.outer][0]} dev {ground.devices[1]}"
    if layer.inner == 6 and back.startswith("via ") and ":" not in back:
        return f"via {_GATEWAY} dev {ground.devices[1]}"
    if layer.inner == 4 and ":" in back:
        return re.sub("^via (?!inet6)", "via inet6 ", back)
    return back.replace("via inet6 ", "via ")


def _mac(number: int, end: int) -> str:
    """Return the MAC address of a layer's device."""
    return f"02:00:00:0a:0{number}:0{end + 1}"


def _names(  # noqa: PLR0917
    layer: Layer,
    ground: _Ground,
    above: _Ground,
    number: int,
    end: int,
    traffic: str,
) -> dict[str, Any]:
    """Return what a rule's commands may name, at one end."""
    local, remote = ground.addresses[layer.outer][end], ground.addresses[layer.outer][1 - end]
    source, target = above.addresses[layer.inner][end], above.addresses[layer.inner][1 - end]
    return {
        "n": number,
        "device": above.devices[end],
        "under": ground.devices[end],
        "mtu": above.mtu,
        "port": 6000 + number,
        "service": SERVICE_PORT,
        "transport": TRAFFICS[traffic].service,
        "local": local,
        "remote": remote,
        "source": source,
        "target": target,
        "remote_bracketed": _bracketed(remote),
        "target_bracketed": _bracketed(target),
        "mac": _mac(number, end),
        "other_mac": _mac(number, 1 - end),
        "local_hex": _hex(local),
        "remote_hex": _hex(remote),
        "ether_type": {4: "0800", 6: "86dd"}[layer.inner],
        "inner": layer.inner,
        "length": {4: 32, 6: 128}[layer.inner],
        "subnet": {4: 24, 6: 64}[layer.inner],
        "nodad": {4: "", 6: " nodad"}[layer.inner],
        "ip": {4: "ip", 6: "ipv6"}[layer.outer],
        "inner_ip": {4: "ipv4", 6: "ipv6"}[layer.inner],
        "any": {4: "0.0.0.0/0", 6: "::/0"}[layer.inner],
        "in4": {4: "ipip", 6: "sit"}[layer.inner],
        "ipproto": {4: 4, 6: 41}[layer.inner],
        "ipproto_hex": {4: "04", 6: "29"}[layer.inner],
    }


def _addressing(rule: dict[str, Any], names: dict[str, Any]) -> list[str]:
    """Return the commands that give an end its address."""
    if rule["place"] == "action":
        return []
    if rule["place"] != "device":
        return ["ip addr add {source}/{length} dev lo{nodad}".format_map(names)]
    lines = ["ip link set {device} up", "ip addr add {source}/{subnet} dev {device}{nodad}"]
    if rule.get("ether"):
        lines.append("ip neigh replace {target} lladdr {other_mac} dev {device} nud permanent")
    return [line.format_map(names) for line in lines]


def _hex(address: str) -> str:
    return ip_address(address).packed.hex()


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
