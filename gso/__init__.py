"""Segment, coalesce and validate packets exactly as the Linux kernel does."""

from gso._batch import segment_batch
from gso._checksum import (
    checksum,
    checksum_batch,
    checksum_update,
    copy_and_checksum,
    pseudo_header,
    simd_path,
)
from gso._frames import Frames, Segments
from gso._layout import LAYOUT_DTYPE, Layout, parse, parse_batch
from gso._segment import SegmentHeaders, segment, segment_headers
from gso.capture import Capture, read_capture, write_capture
from gso.constants import L4, GsoType, Reason, Tunnel
from gso.errors import GsoError

__all__ = [
    "L4",
    "LAYOUT_DTYPE",
    "Capture",
    "Frames",
    "GsoError",
    "GsoType",
    "Layout",
    "Reason",
    "SegmentHeaders",
    "Segments",
    "Tunnel",
    "checksum",
    "checksum_batch",
    "checksum_update",
    "copy_and_checksum",
    "parse",
    "parse_batch",
    "pseudo_header",
    "read_capture",
    "segment",
    "segment_batch",
    "segment_headers",
    "simd_path",
    "write_capture",
]
