"""The devices that packets are sent into: tunnels of every kind, and the segmenting device itself.

Each is made of commands for ``ip`` and ``tc``; {here4}, {here6}, {there4} and {there6} stand for
the outer addresses, of which each device has its own far end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

from gso import Tunnel

# The tunnels on UDP ports that are not IANA's.
PORTS: dict[int, Tunnel | tuple[Tunnel, int]] = {
    5555: Tunnel.FOU,
    5557: (Tunnel.FOU, 47),
    9899: (Tunnel.FOU, 132),  # RFC 6951
    5501: Tunnel.GUE,
    4791: Tunnel.VXLAN,
    6083: Tunnel.GENEVE,
    **dict.fromkeys(range(7010, 7100), Tunnel.GENEVE),
}

# The segmenting device: frames are handed to it as they are.
DIRECT = "wire0"
# What is written to this TAP device goes to the segmenting device as it is.
TAP = "tap0"
STRAIGHT = (DIRECT, TAP)


@dataclass(frozen=True)
class Device:
    """``link``: what it takes, Ethernet frames or packets; of these IP versions, with VLAN tags."""

    name: str
    kind: str
    link: Literal["ethernet", "raw"] = "ethernet"
    versions: tuple[int, ...] = (4, 6)
    tags: bool = True
    ip: tuple[str, ...] = ()
    tc: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The kind without its options, for tables."""
        if " in " in self.kind:
            return "two levels"
        return self.kind.split("-")[0].rstrip("0123456789")

    @property
    def tunnels(self) -> bool:
        """Say whether it encapsulates; otherwise it adds no more than tags."""
        return self.family not in ("none", "none via mirror", "vlan", "qinq", "tap")


def devices() -> list[Device]:
    """Return all devices, the simplest first; those that others stand on come before them."""
    found = [Device(DIRECT, "none"), Device("out0", "none via mirror", tags=False)]
    # A redirected frame with tags in it no longer finds its way.
    first_tunnel = len(found) + sum(1 for _ in _links())
    for kind, link, versions, ip, tc in (*_links(), *_ip(), *_gre(), *_udp(), *_foo(), *_nested()):
        number = len(found)
        name = f"t{number}"
        words = {
            "name": name,
            "here4": "10.0.0.1",
            "here6": "fd00::1",
            "there4": f"10.0.1.{number}",
            "there6": f"fd00::1:{number}",
            "n": number,
        }
        found.append(
            Device(
                name,
                kind,
                link,
                versions,
                number >= first_tunnel,
                tuple(line.format(**words) for line in (*ip, _UP)),
                tuple(line.format(**words) for line in tc),
            )
        )
    found.append(Device(TAP, "tap-device", ip=(_UP.format(name=TAP),), tc=_TO_WIRE))
    return found


_Link = Literal["ethernet", "raw"]
_Row = tuple[str, _Link, tuple[int, ...], tuple[str, ...], tuple[str, ...]]
_UP = "link set {name} up"
_ENDS = {4: "local {here4} remote {there4}", 6: "local {here6} remote {there6}"}
_TO_WIRE = (
    f"qdisc add dev {TAP} clsact",
    f"filter add dev {TAP} ingress matchall action mirred egress redirect dev {DIRECT}",
)
_TO_MIRROR = "action mirred ingress redirect dev mir0"


def _egress(*actions: str) -> tuple[str, ...]:
    return (
        "qdisc add dev {name} clsact",
        f"filter add dev {{name}} egress matchall {' '.join(actions)}",
    )


def _links() -> Iterator[_Row]:
    """VLAN and MPLS on the link."""
    vlan = "link add link {under} name {{name}} type vlan proto {proto} id {{n}}"
    yield "vlan", "ethernet", (4, 6), (vlan.format(under="out0", proto="802.1q"),), ()
    yield "vlan-ad", "ethernet", (4, 6), (vlan.format(under="out0", proto="802.1ad"),), ()
    first = vlan.format(under="out0", proto="802.1ad").replace("{name}", "{name}o")
    second = vlan.format(under="{name}o", proto="802.1q")
    yield "qinq", "ethernet", (4, 6), (first, "link set {name}o up", second), ()
    dummy = "link add {name} type veth peer name {name}p"
    push = "action mpls push label {label} tc 3 ttl 64"
    one, two = push.format(label=100), push.format(label=200)
    yield "mpls", "ethernet", (4, 6), (dummy,), _egress(one, "pipe", _TO_MIRROR)
    yield "mpls-2", "ethernet", (4, 6), (dummy,), _egress(one, "pipe", two, "pipe", _TO_MIRROR)
    vlan_push = "action vlan push protocol 802.1q id 9"
    yield (
        "mpls-vlan",
        "ethernet",
        (4, 6),
        (dummy,),
        _egress(one, "pipe", vlan_push, "pipe", _TO_MIRROR),
    )
    yield (
        "qinq-tc",
        "ethernet",
        (4, 6),
        (dummy,),
        _egress(vlan_push, "pipe", "action vlan push protocol 802.1ad id 4", "pipe", _TO_MIRROR),
    )


def _ip() -> Iterator[_Row]:
    """IP in IP."""
    four, six = _ENDS[4], _ENDS[6]
    yield "ipip", "raw", (4,), ("link add {name} type ipip " + four,), ()
    yield "ipip-nopmtu", "raw", (4,), ("link add {name} type ipip " + four + " ttl 9 tos 0x2c",), ()
    yield "sit", "raw", (6,), ("link add {name} type sit " + four,), ()
    yield "sit-any", "raw", (4, 6), ("link add {name} type sit mode any " + four,), ()
    for mode, versions in (("ip6ip6", (6,)), ("ipip6", (4,)), ("any", (4, 6))):
        add = "link add {name} type ip6tnl mode " + mode + " " + six
        yield f"ip6tnl-{mode}", "raw", versions, (add + " encaplimit none",), ()
        yield f"ip6tnl-{mode}-limit", "raw", versions, (add + " encaplimit 4",), ()
    inherit = "link add {name} type ip6tnl mode any " + six + " tclass inherit flowlabel inherit"
    yield "ip6tnl-inherit", "raw", (4, 6), (inherit,), ()


def _gre() -> Iterator[_Row]:
    """GRE with IP packets, Ethernet frames and MPLS inside."""
    for outer, types in ((4, ("gre", "gretap")), (6, ("ip6gre", "ip6gretap"))):
        for type_ in types:
            link: _Link = "ethernet" if "tap" in type_ else "raw"
            options = ["", "key 77", "ocsum", "key 88 ocsum", "oseq"]
            if outer == 6:
                options = [f"{o} encaplimit none".strip() for o in options] + ["encaplimit 3"]
            for option in options:
                kind = "-".join([type_, *option.replace("encaplimit none", "").split()])
                add = f"link add {{name}} type {type_} {_ENDS[outer]} {option}"
                yield kind, link, (4, 6), (add,), ()
    mpls = _egress("action mpls push label 300")
    yield "gre-mpls", "raw", (4, 6), ("link add {name} type gre " + _ENDS[4],), mpls
    yield "ip6gre-mpls", "raw", (4, 6), ("link add {name} type ip6gre " + _ENDS[6],), mpls
    yield "gre-mpls-csum", "raw", (4, 6), ("link add {name} type gre ocsum " + _ENDS[4],), mpls


def _udp() -> Iterator[_Row]:
    """VXLAN and Geneve."""
    for outer in (4, 6):
        there = f"remote {{there{outer}}}"
        local = f"local {{here{outer}}} {there}"
        for csum in (
            ("udpcsum", "noudpcsum") if outer == 4 else ("noudp6zerocsumtx", "udp6zerocsumtx")
        ):
            vxlan = f"link add {{name}} type vxlan id {{n}} {local} dstport 4789 nolearning {csum}"
            geneve = f"link add {{name}} type geneve id {{n}} {there} dstport 6081 {csum}"
            yield f"vxlan{outer}-{csum}", "ethernet", (4, 6), (vxlan,), ()
            yield f"vxlan{outer}-{csum}-remcsum", "ethernet", (4, 6), (vxlan + " remcsumtx",), ()
            yield f"geneve{outer}-{csum}", "ethernet", (4, 6), (geneve,), ()
            inherit = geneve.replace("6081", "6083") + " innerprotoinherit"
            yield f"geneve{outer}-{csum}-l3", "raw", (4, 6), (inherit,), ()
        gbp = (
            f"link add {{name}} type vxlan id {{n}} {local} dstport 4791 nolearning gbp df inherit"
        )
        yield f"vxlan{outer}-gbp", "ethernet", (4, 6), (gbp,), ()
    yield from _metadata()


def _metadata() -> Iterator[_Row]:
    """Devices that are told by the packet where to send it: options of Geneve, VXLAN-GPE."""
    key = "action tunnel_key set src_ip {here4} dst_ip {there4} id {n} dst_port"
    key6 = key.replace("4}", "6}")
    geneve = "link add {name} type geneve external dstport 70{n}"
    long = ",".join(f"0102:{i:02x}:{'1122334455667788' * 4}" for i in range(1, 4))
    choices = {"": "", "-opt": "geneve_opts 0102:80:11223344", "-opts": f"geneve_opts {long}"}
    for k, outer in ((key, 4), (key6, 6)):
        for name, options in choices.items():
            for csum in ("csum", "nocsum"):
                tc = _egress(f"{k} 70{{n}} {options} {csum}")
                yield f"geneve{outer}-{csum}-external{name}", "ethernet", (4, 6), (geneve,), tc
    gpe = "link add {name} type vxlan external gpe dstport 4790"
    yield "vxlan-gpe", "raw", (4, 6), (gpe,), _egress(f"{key} 4790")


def _foo() -> Iterator[_Row]:
    """FOU and GUE, with IP, GRE and Ethernet in GRE inside."""
    inner: tuple[tuple[str, _Link, tuple[int, ...], int, int], ...] = (
        ("ipip", "raw", (4,), 4, 5555),
        ("sit", "raw", (6,), 4, 5555),
        ("ip6tnl mode any", "raw", (4, 6), 6, 5555),
        ("gre", "raw", (4, 6), 4, 5557),
        ("gre key 5", "raw", (4, 6), 4, 5557),
        ("gre ocsum", "raw", (4, 6), 4, 5557),
        ("gre oseq", "raw", (4, 6), 4, 5557),
        ("gretap", "ethernet", (4, 6), 4, 5557),
        ("gretap key 6", "ethernet", (4, 6), 4, 5557),
        ("ip6gre", "raw", (4, 6), 6, 5557),
        ("ip6gretap key 6", "ethernet", (4, 6), 6, 5557),
    )
    ports = [("fou", 0, ""), ("gue", 6080, ""), ("gue", 6080, " encap-remcsum"), ("gue", 5501, "")]
    for what, link, versions, outer, fou in inner:
        for (encap, own, remcsum), csum in product(ports, ("csum", "nocsum")):
            if remcsum and "ocsum" in what:
                continue  # the kernel leaves the checksum of GRE undone around a fragment
            limit = " encaplimit none" if outer == 6 else ""
            port = own or fou
            add = (
                f"link add {{name}} type {what} {_ENDS[outer]}{limit} encap {encap} "
                f"encap-sport auto encap-dport {port} {csum.replace('csum', 'encap-csum')}{remcsum}"
            )
            kind = f"{encap}{port}-{what}-{csum}{remcsum[6:]}".replace(" ", "-")
            yield kind, link, versions, (add,), ()


def _nested() -> Iterator[_Row]:
    """Two levels of tunnel, and tunnels over a VLAN device."""
    gue = "encap gue encap-sport auto encap-dport 6080 encap-csum"
    under = {
        "vlan": "link add link out0 name {name}u type vlan id 1{n}",
        "ipip": "link add {name}u type ipip " + _ENDS[4],
        "gre": "link add {name}u type gre " + _ENDS[4],
        "gretap": "link add {name}u type gretap " + _ENDS[4],
        "gue": f"link add {{name}}u type ipip {_ENDS[4]} {gue}",
        "vxlan": "link add {name}u type vxlan id {n} dstport 4789 nolearning " + _ENDS[4],
    }
    there = "remote 10.1.{n}.2"
    ends = "local 10.1.{n}.1 " + there
    over: dict[str, tuple[_Link, tuple[int, ...], str]] = {
        "vxlan": ("ethernet", (4, 6), f"vxlan id 5{{n}} dstport 4789 nolearning {ends}"),
        "geneve": ("ethernet", (4, 6), f"geneve id 5{{n}} dstport 6081 udpcsum {there}"),
        "gre": ("raw", (4, 6), f"gre key 4 {ends}"),
        "gre-csum": ("raw", (4, 6), f"gre ocsum {ends}"),
        "ipip": ("raw", (4,), f"ipip {ends}"),
        "gue": ("raw", (4,), f"ipip {ends} {gue}"),
    }
    for (below, add_below), (above, (link, versions, add)) in product(under.items(), over.items()):
        lines = [add_below, "link set {name}u up", "addr add 10.1.{n}.1/24 dev {name}u"]
        if below in ("vlan", "gretap", "vxlan"):
            neighbour = "lladdr 02:00:00:00:00:09 dev {name}u nud permanent"
            lines.append(f"neigh add 10.1.{{n}}.2 {neighbour}")
        yield f"{above} in {below}", link, versions, (*lines, f"link add {{name}} type {add}"), ()
