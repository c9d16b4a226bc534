"""Tunnels on UDP ports that are not known, found in a whole capture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.capture.format import Int64s, Source
from gso.capture.packets import Packets
from gso.capture.reader import Reader
from gso.constants import L4
from gso.headers._layout import parse_batch
from gso.headers.links import BareLinkType
from gso.headers.tunnels import BY_PORT, TunnelPorts
from gso.rewriting._packet_info import packet_info
from gso.rewriting.ambiguous import tunnels_on_unknown_ports
from gso.rewriting.links import Link, link_frames, runs

_MOST_HEADS = 16
_MOST_FIRST_BYTES = 4
_HEAD = 4
_NO_HEADER = "fou"


@dataclass
class Port:
    """The packets to a UDP port, as far as they may be in a tunnel.

    Attributes:
        packets: those with a payload.
        tunnels: packets that are in a tunnel by all their fields, by its name.
        heads: the first four bytes of each payload.
        proven: the same of the packets in `tunnels`.
    """

    packets: int = 0
    tunnels: Counter[str] = field(default_factory=Counter)
    heads: set[bytes] = field(default_factory=set)
    proven: set[bytes] = field(default_factory=set)

    @property
    def hopeless(self) -> bool:
        """Whether the payloads begin in too many ways for any tunnel."""
        first = {head[:1] for head in self.heads}
        return len(self.heads) > _MOST_HEADS and len(first) > _MOST_FIRST_BYTES

    @property
    def agreed(self) -> str | None:
        """The tunnel that all packets may be in, and some are; None without one.

        A packet that carries no TCP or UDP, as ARP, does not prove a tunnel. It agrees where it
        begins like one that does: with the same flags, or, where there is no header, the same
        version of IP.
        """
        if len(self.tunnels) != 1:
            return None
        (name,) = self.tunnels
        size = 1 if name == _NO_HEADER else _HEAD
        proven = {head[:size] for head in self.proven}
        return name if {head[:size] for head in self.heads} <= proven else None


class FoundTunnels:
    """Gathers what the packets of a capture say of UDP ports; `told` are ports that are known."""

    def __init__(self, told: TunnelPorts | None) -> None:
        self._told = dict(told or {})
        self._ports: dict[int, Port] = {}
        self._closed = np.zeros(1 << 16, np.bool_)
        self._closed[list(self._told | BY_PORT)] = True

    @property
    def ports(self) -> dict[int, Port]:
        """The ports with packets that are in a tunnel by all their fields."""
        return {number: port for number, port in sorted(self._ports.items()) if port.tunnels}

    @property
    def agreed(self) -> dict[int, str]:
        """The tunnel on each port whose packets all agree."""
        return {number: port.agreed for number, port in self.ports.items() if port.agreed}

    def look(self, frames: Frames, info: npt.NDArray[np.void], kind: BareLinkType) -> None:
        """Take account of these frames; `info` is of PACKET_INFO_DTYPE."""
        ports = info["destination_port"]
        open_ = (info["protocol"] == L4.UDP) & (info["payload"] > 0) & ~self._closed[ports]
        which = np.flatnonzero(open_)
        if not len(which):
            return
        heads = _heads(frames, info, which)
        self._count(ports[which], heads)
        found = tunnels_on_unknown_ports(frames[which], self._told, kind)
        for i, (number, name) in found.items():
            self._ports[number].tunnels[name] += 1
            self._ports[number].proven.add(heads[i].tobytes())
        for number in np.unique(ports[which]).tolist():
            if self._ports[number].hopeless and not self._ports[number].tunnels:
                self._closed[number] = True
                del self._ports[number]

    def _count(self, ports: npt.NDArray[np.uint16], heads: npt.NDArray[np.uint8]) -> None:
        pairs = np.empty((len(ports), 2 + _HEAD), np.uint8)
        pairs[:, :2] = ports.astype(">u2").view(np.uint8).reshape(-1, 2)
        pairs[:, 2:] = heads
        unique, counts = np.unique(pairs, axis=0, return_counts=True)
        for pair, count in zip(unique, counts.tolist(), strict=True):
            number = int(pair[0]) << 8 | int(pair[1])
            port = self._ports.setdefault(number, Port())
            port.packets += count
            port.heads.add(pair[2:].tobytes())


def _heads(frames: Frames, info: npt.NDArray[np.void], which: Int64s) -> npt.NDArray[np.uint8]:
    """The first four bytes of the payloads of these frames, zeros where there are fewer."""
    places = frames.offsets[which] + info["hlen"][which]
    reach = np.arange(_HEAD)
    heads = np.take(frames.data, places[:, np.newaxis] + reach, mode="clip")
    heads[reach >= info["payload"][which][:, np.newaxis]] = 0
    return np.asarray(heads, np.uint8)


def find_tunnels(source: Source, told: TunnelPorts | None = None) -> FoundTunnels:
    """Read a whole capture for tunnels on UDP ports; raises GsoError where it is damaged."""
    found = FoundTunnels(told)
    with Reader(source) as reader:
        for part in reader.packets():
            for packets, link in runs(part):
                _look(found, packets, link, told)
    return found


def _look(found: FoundTunnels, packets: Packets, link: Link, told: TunnelPorts | None) -> None:
    if link.kind is None:
        return
    frames = link_frames(packets, link)
    layouts = parse_batch(frames, link_type=link.kind, tunnel_ports=told, errors="mark")
    whole = packets.records["captured"] >= packets.records["original"]
    which = np.flatnonzero(whole)
    found.look(frames[which], packet_info(frames, layouts)[which], link.kind)
