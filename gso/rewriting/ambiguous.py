"""UDP payloads on ports that are not known, which are a tunnel by all their fields."""

from __future__ import annotations

from gso.buffers._frames import Frames
from gso.buffers._spans import Spans
from gso.headers._ambiguous import guess_tunnels
from gso.headers.links import BareLinkType
from gso.headers.tunnels import TunnelPorts


def tunnels_on_unknown_ports(
    frames: Frames | Spans, tunnel_ports: TunnelPorts | None, link_type: BareLinkType
) -> dict[int, tuple[int, str]]:
    """Which frames may be tunnels: index to UDP destination port and name of the tunnel.

    Ports that `tunnel_ports` names, or that are known, are not looked at.
    """
    guesses = guess_tunnels(frames, link_type=link_type, tunnel_ports=tunnel_ports)
    return {index: (port, name) for index, port, name in guesses}


def looks_like(port: int, name: str) -> str:
    """The note for packets that are left alone because they may be in this tunnel."""
    return f"UDP port {port} looks like {name}, say --tunnel-port {port}={name} (or {port}=none)"
