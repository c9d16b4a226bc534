"""UDP payloads on ports that are not known, which are a tunnel by all their fields."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.headers._layout import parse_batch
from gso.headers.tunnels import BY_PORT, BY_TUNNEL, TunnelPorts
from gso.rewriting._packet_info import packet_info

_MOST_PORTS = 64
"""Ports to look at in one step; the parser goes through them one by one."""


def tunnels_on_unknown_ports(
    frames: Frames,
    info: npt.NDArray[np.void],
    tunnel_ports: TunnelPorts | None,
    link_type: Literal["ethernet", "raw"],
) -> dict[int, tuple[int, str]]:
    """Which frames may be tunnels: index to UDP destination port and name of the tunnel.

    The innermost packets that are known carry UDP; `info` is of PACKET_INFO_DTYPE. A tunnel is
    taken for one only where its header has no bit that it cannot have, and where it carries an IP
    packet with TCP or UDP whose version, lengths and header checksum are right. Ports that
    `tunnel_ports` names, or that are known, are not looked at.
    """
    told = tunnel_ports or {}
    ports = info["destination_port"]
    heads = _heads(frames, info)
    unknown = [port for port in np.unique(ports).tolist() if port not in told | BY_PORT.keys()]
    found: dict[int, tuple[int, str]] = {}
    for start in range(0, len(unknown), _MOST_PORTS):
        some = unknown[start : start + _MOST_PORTS]
        among = np.isin(ports, some)
        for tunnel, row in BY_TUNNEL.items():
            mask, value = np.array(row.fixed, np.uint64)
            which = np.flatnonzero(among & (heads & mask == value))
            guess = dict(told) | dict.fromkeys(some, tunnel)
            for i in _inside(frames[which], guess, link_type).tolist():
                found.setdefault(int(which[i]), (int(ports[which[i]]), row.name))
    return found


def _heads(frames: Frames, info: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """The first eight bytes of each payload; what lies behind a shorter one means nothing."""
    places = (frames.offsets[:-1] + info["hlen"])[:, np.newaxis] + np.arange(8)
    heads = np.take(frames.data, places, mode="clip") if len(frames.data) else places
    return np.ascontiguousarray(heads, np.uint8).view(">u8").ravel().astype(np.uint64)


def looks_like(port: int, name: str) -> str:
    """What to say of packets that are left alone because they may be in this tunnel."""
    return f"UDP port {port} looks like {name}, say --tunnel-port {port}={name} (or {port}=none)"


def _inside(
    frames: Frames,
    tunnel_ports: TunnelPorts,
    link_type: Literal["ethernet", "raw"],
) -> npt.NDArray[np.int64]:
    """The frames that carry a packet in a tunnel, if the ports are the tunnel's."""
    layouts = parse_batch(frames, link_type=link_type, tunnel_ports=tunnel_ports, errors="mark")
    info = packet_info(frames, layouts)
    inside = layouts["inner_network_header"] > layouts["transport_header"]
    return np.flatnonzero(inside & (info["protocol"] != 0) & (info["plausible"] != 0))
