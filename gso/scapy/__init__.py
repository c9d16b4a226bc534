"""Packets and packet lists of scapy, for all functions of this library.

    import gso.scapy
    from gso.scapy import GUE
    from scapy.all import IP, TCP, UDP, Ether, rdpcap

    big = Ether() / IP() / UDP() / GUE() / IP() / TCP() / bytes(2896)
    gso.scapy.segment(big, 1448)             # a PacketList of two

    frames = gso.scapy.to_frames(rdpcap("tunnel.pcap"))
    gso.scapy.to_packets(gso.segment_batch(frames, 1448, errors="pass"))

Importing this module binds :class:`GUE` to UDP port 6080, and loads scapy's layers of what this
library segments. It needs scapy (``pip install pygso[scapy]``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scapy.config import conf
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import UDP
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw
from scapy.plist import PacketList
from scapy.utils import EDecimal

from gso.buffers._frames import Frames
from gso.capture import Capture, Interface
from gso.constants import Tunnel
from gso.headers import tunnels
from gso.link_types import link_name, link_number
from gso.scapy.gue import CARRIED, FOU, GUE, GUE_PORT
from gso.segmentation._segment import segment as segment_frame

__all__ = ["FOU", "GUE", "bind_ports", "segment", "to_capture", "to_frames", "to_packets"]

_LAYERS = {
    Tunnel.FOU: FOU,
    Tunnel.GUE: GUE,
    Tunnel.VXLAN: VXLAN,
    Tunnel.VXLAN_GPE: VXLAN,
    Tunnel.GENEVE: GENEVE,
}
_NANOSECONDS = 10**9


def bind_ports(tunnel_ports: Mapping[int, Any]) -> None:
    """Let scapy dissect tunnels on these UDP destination ports.

    Args:
        tunnel_ports: as of :func:`gso.parse`: ``{5501: "gue", 5557: ("fou", 47), 8472: None}``.

    Raises:
        ValueError: scapy has no layer for a port's tunnel.
    """
    for port, kind in tunnel_ports.items():
        # In front of what scapy knows by a source port: such a packet may come from any
        UDP.payload_guess = [({"dport": port}, _layer(kind)), *UDP.payload_guess]


def _layer(kind: Any) -> type[Packet]:
    row = tunnels.on_port(kind)
    if row is None:
        return Raw
    if row.tunnel not in _LAYERS:
        raise ValueError(f"scapy has no layer for {row.name}")
    if isinstance(kind, tuple):
        number = int(kind[1])
        if number not in CARRIED:
            raise ValueError(f"FOU with IP protocol {number}: not one of {sorted(CARRIED)}")
        return CARRIED[number]
    return _LAYERS[row.tunnel]


def to_frames(packets: Packet | Iterable[Packet]) -> Frames:
    """Build packets into a batch: one, a list of them, or a PacketList."""
    return Frames.from_list([packets] if isinstance(packets, Packet) else packets)


def to_packets(
    frames: Frames | Capture | Iterable[Any], *, link_type: str | int = "ethernet"
) -> PacketList:
    """Dissect frames.

    Args:
        frames: a batch, buffers, or a capture. A capture's times, comments, interfaces and lengths
            on the wire come along, and it says itself what its frames start with.
        link_type: a name or ``LINKTYPE_`` number of what frames start with.
    """
    if isinstance(frames, Capture):
        return PacketList(list(_captured(frames)), "capture")
    layer = conf.l2types[link_number(link_type)]
    return PacketList([layer(bytes(frame)) for frame in frames], "frames")


def _captured(capture: Capture) -> Iterable[Packet]:
    interfaces = [(conf.l2types[link_number(i.link_type)], i.name) for i in capture.interfaces]
    for i, frame in enumerate(capture.frames):
        layer, name = interfaces[capture.interface_ids[i]]
        packet = layer(bytes(frame))
        packet.time = EDecimal(int(capture.timestamps[i])) / _NANOSECONDS
        packet.wirelen = int(capture.original_lengths[i])
        packet.sniffed_on = name or None
        comment = capture.comments[i]
        packet.comment = comment.encode() if comment else None
        yield packet


def to_capture(packets: Packet | Iterable[Packet]) -> Capture:
    """Build packets into a capture, with their times, comments, interfaces and lengths on the wire.

    Raises:
        ValueError: captures have no link type for a packet's first layer.
    """
    packets = [packets] if isinstance(packets, Packet) else list(packets)
    interfaces: dict[Interface, int] = {}
    ids = [interfaces.setdefault(_interface(one), len(interfaces)) for one in packets]
    frames = to_frames(packets)
    on_wire = np.array([one.wirelen or 0 for one in packets], np.int64)
    return Capture(
        frames,
        np.array([int(EDecimal(one.time) * _NANOSECONDS) for one in packets], np.int64),
        tuple(interfaces) or (Interface(),),
        np.array(ids, np.int64),
        np.maximum(on_wire, frames.lengths),
        [_comment(one) for one in packets],
    )


def _interface(packet: Packet) -> Interface:
    layers = conf.l2types.layer2num
    number = next((layers[kind] for kind in type(packet).__mro__ if kind in layers), None)
    if number is None:
        raise ValueError(f"captures have no link type for packets that start with {packet.name}")
    return Interface(link_name(number), name=str(packet.sniffed_on or ""))


def _comment(packet: Packet) -> str | None:
    return packet.comment.decode(errors="replace") if packet.comment else None


def segment(packet: Packet, gso_size: int, **options: Any) -> PacketList:
    """Segment a super-packet; :func:`gso.segment` says how, and what `options` there are.

    Its segments have its time. A packet of more than 65,535 bytes needs its length fields given
    (``IP(len=0)``): scapy cannot compute them.
    """
    link_type = _interface(packet).link_type
    layer = conf.l2types[link_number(link_type)]
    options.setdefault("link_type", link_type)
    made = [layer(bytes(one)) for one in segment_frame(packet, gso_size, **options)]
    for one in made:
        one.time = packet.time
    return PacketList(made, f"segments of {packet.name}")


# In front, too: a source port left at scapy's default is that of DNS.
bind_ports({GUE_PORT: "gue"})
