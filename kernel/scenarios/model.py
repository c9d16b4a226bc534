"""The form of a scenario.

Every line of set-up is an ``ip`` command without the ``ip``, or a whole command for toggles, with
these names in braces:

- ``{n}``: the scenario's number, from 10; ``{device}``: a device name that is free, ``t{n}``
- ``{here}`` and ``{there}``: outer addresses of director and worker
- ``{there_hex}``: the address ``{there}`` in hexadecimal digits
- ``{target}``: the inner address that the client connects to, an address of the worker
- ``{server}``: the inner address by which IPVS reaches the worker through a tunnel device
- ``{client_ip}``: the client's address, and ``{gateway}``: the director's next to it
- ``{service_port}``: the service's port; ``{port}``: a UDP port for the tunnel
- ``{mac}``: a MAC address for the worker's end of a tunnel that carries Ethernet
- ``{here_mac}``, ``{there_mac}``: MAC addresses of the director's and the worker's end of the wire;
  ``{ingress_mac}``: that of the director's end towards the client
- ``{egress}`` and ``{worker_device}``: the devices at the two ends of the wire
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import gso

Role = Literal["fault", "control", "open"]
"""The duty of the unpatched kernel in a scenario: to fail, to pass, or either."""
Family = Literal[4, 6]
Checksum = Literal["nocsum", "csum", "remcsum"]
Machine = Literal["client", "director", "worker"]


@dataclass(frozen=True)
class Traffic:
    """One exchange: so many bytes up, so many down; ``segmented``: the upload needs GSO.

    ``datagram``: bytes in each UDP datagram; 0 means TCP.
    """

    name: str
    upload: int
    download: int
    segmented: bool
    datagram: int = 0


@dataclass(frozen=True)
class Command:
    """A command for one of the machines, and the one that undoes it.

    ``push`` is no program of the machine: ``guest/programs.py`` pins a BPF program.
    """

    machine: Machine
    do: str
    undo: str


@dataclass(frozen=True)
class Scenario:
    """One way from client to worker through the director, what goes there, what must hold.

    ``reason`` says what is special about it, in terms of the kernel's code. What is expected of a
    kernel is no property of a scenario alone: see :class:`Roles`.
    """

    name: str
    kind: str
    reason: str
    outer: Family
    inner: Family
    tunnel: str
    """Name of the :class:`gso.Tunnel` on the wire."""

    traffic: tuple[Traffic, ...]
    checksum: Checksum = "nocsum"

    segmenter: str | None = "skb_udp_tunnel_segment"
    """The kernel function that must see the super-packets; ``None``: none may see any."""
    tnl_hlen: int | None = None
    """Length of the tunnel header that the segmenter must find; ``None``: it looks for none."""
    faulty_tnl_hlen: int | None = None
    """The length it finds with the fault."""

    protocol: Literal["tcp", "sctp"] = "tcp"
    """What its streams are; traffic that has datagrams is UDP whatever it says."""
    refusals: tuple[str, ...] = ()
    """Counters of the receiver, of :data:`gso.kernel.guest.complaints.COUNTED`, that must stand."""

    ipvs: str | None = None
    """How IPVS forwards, as options of ``ipvsadm -a``; ``None``: plain routing."""
    from_director: bool = False
    """Whether the client runs on the director itself."""
    client: tuple[str, ...] = ()
    director: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    during: tuple[Command, ...] = ()
    """Commands that change a machine while this scenario runs, and undo that afterwards."""
    egress: str = "up0"
    """The director's device on the wire, which segments."""
    worker_device: str = "dn0"
    """The worker's device on the wire."""
    vlan: bool = False
    """Whether the egress device adds VLAN ``{n}`` to each frame after segmentation."""
    partial: bool = False
    """Whether the egress device takes frames with unfinished checksums."""
    listed: bool = False
    """Whether its super-packets are lists of packets, which keep headers of their own."""
    mss: int = 1460
    """The client's TCP_MAXSEG; timestamps take 12 of it."""
    modules: tuple[str, ...] = ()
    default: bool = False
    """Whether it is run when nothing else is asked for."""

    number: int = 0
    service_port: int = 0
    tunnel_port: int = 0

    @property
    def groups(self) -> frozenset[str]:
        """The names of groups that select it."""
        named = {"all", self.kind}
        return frozenset(named | {"default"} if self.default else named)

    def matches(self, word: str) -> bool:
        """Say whether a name, a glob of names, or a group takes it."""
        return word in self.groups or fnmatchcase(self.name, word)

    @property
    def shown(self) -> bool:
        """Whether a packet socket shows its super-packets: it has no name for those of SCTP."""
        return self.protocol != "sctp"

    @property
    def tunnel_ports(self) -> dict[int, gso.Tunnel]:
        """The scenario's UDP port and its tunnel, for ``gso``; empty for tunnels without UDP."""
        over_udp = self.tunnel in ("FOU", "GUE", "VXLAN", "GENEVE")
        return {self.tunnel_port: gso.Tunnel[self.tunnel]} if over_udp else {}


@dataclass(frozen=True)
class Roles:
    """The duty of the unpatched kernel: in ``"fault"`` scenarios it must fail.

    Otherwise nothing was reproduced. In ``"control"`` scenarios it must pass; nothing is expected
    in ``"open"`` ones. ``fails``: names, globs and groups of those that must fail; ``others``: the
    role of all others, but of those in ``unknown`` and not in ``chosen`` nothing is expected.
    """

    fails: tuple[str, ...] = ()
    others: Role = "open"
    unknown: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()

    def of(self, scenario: Scenario) -> Role:
        """Return the role of a scenario."""
        if any(map(scenario.matches, self.fails)):
            return "fault"
        if any(map(scenario.matches, self.chosen)):
            return self.others
        return "open" if any(map(scenario.matches, self.unknown)) else self.others
