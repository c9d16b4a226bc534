"""Segment, coalesce and validate packets exactly as the Linux kernel does."""

from gso._frames import Frames, Segments
from gso.constants import L4, GsoType, Reason, Tunnel
from gso.errors import GsoError

__all__ = ["L4", "Frames", "GsoError", "GsoType", "Reason", "Segments", "Tunnel"]
