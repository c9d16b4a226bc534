"""Segment, coalesce and validate packets exactly as the Linux kernel does."""

from gso._frames import Frames, Segments
from gso.capture import Capture, read_capture, write_capture
from gso.constants import L4, GsoType, Reason, Tunnel
from gso.errors import GsoError

__all__ = [
    "L4",
    "Capture",
    "Frames",
    "GsoError",
    "GsoType",
    "Reason",
    "Segments",
    "Tunnel",
    "read_capture",
    "write_capture",
]
