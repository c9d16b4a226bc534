"""Segment, coalesce and validate packets exactly as the Linux kernel does."""

from gso.buffers._checksum import (
    checksum,
    checksum_batch,
    checksum_update,
    copy_and_checksum,
    pseudo_header,
    simd_path,
)
from gso.buffers._frames import Frames, Segments
from gso.buffers._memory import memory_limit, trim_memory
from gso.capture import Capture, read_capture, write_capture
from gso.coalescing._coalesce import Coalesced, coalesce
from gso.constants import GSO_BY_FRAGS, L4, GsoType, Reason, Tunnel
from gso.diagnosis import Case
from gso.drawing.described import Description, describe
from gso.drawing.diagnosed import Diagnosis, diagnose
from gso.encapsulation._decapsulate import decapsulate
from gso.encapsulation._encapsulate import encapsulate
from gso.encapsulation.sizes import mss, overhead
from gso.errors import GsoError
from gso.headers._layout import LAYOUT_DTYPE, Layout, parse, parse_batch
from gso.headers.vnet import VNET_DTYPE, VirtioNetFlags, VirtioNetGso
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from gso.rules import (
    RULES,
    SKB_DTYPE,
    Finding,
    Findings,
    Rule,
    Severity,
    SkbState,
    explain,
    skb_array,
    validate,
    validate_batch,
)
from gso.segmentation._batch import SegmentHeadersBatch, segment_batch, segment_headers_batch
from gso.segmentation._segment import SegmentHeaders, segment, segment_headers
from gso.segmentation.virtio import VirtioNetHeader, segment_vnet
from gso.segmentation.vnet_batch import segment_vnet_batch
from gso.traces.reader import TraceReader, read_trace
from gso.traces.trace import Trace

__all__ = [
    "GSO_BY_FRAGS",
    "L4",
    "LAYOUT_DTYPE",
    "RULES",
    "SKB_DTYPE",
    "VNET_DTYPE",
    "Capture",
    "Case",
    "Coalesced",
    "Description",
    "Diagnosis",
    "Finding",
    "Findings",
    "Frames",
    "GsoError",
    "GsoType",
    "Layout",
    "Reason",
    "Rule",
    "SegmentHeaders",
    "SegmentHeadersBatch",
    "Segments",
    "Severity",
    "SkbState",
    "Trace",
    "TraceReader",
    "Tunnel",
    "VirtioNetFlags",
    "VirtioNetGso",
    "VirtioNetHeader",
    "checksum",
    "checksum_batch",
    "checksum_update",
    "coalesce",
    "coalesce_capture",
    "copy_and_checksum",
    "decapsulate",
    "describe",
    "diagnose",
    "encapsulate",
    "explain",
    "memory_limit",
    "mss",
    "overhead",
    "parse",
    "parse_batch",
    "pseudo_header",
    "read_capture",
    "read_trace",
    "segment",
    "segment_batch",
    "segment_capture",
    "segment_headers",
    "segment_headers_batch",
    "segment_vnet",
    "segment_vnet_batch",
    "simd_path",
    "skb_array",
    "trim_memory",
    "validate",
    "validate_batch",
    "write_capture",
]

__version__: str
