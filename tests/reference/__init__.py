"""The library again in plain Python: slow, obvious, and the oracle for the compiled code.

It shares nothing with it but the enums and GsoError. It was checked on the kernel's own output.
"""

from reference.checksums import checksum, ones_sum
from reference.coalescing import coalesce
from reference.frame_lists import segment_list
from reference.sctp import crc32c, segment_sctp
from reference.segments import segment
from reference.vnet import segment_vnet
from reference.walk import Walk

__all__ = [
    "Walk",
    "checksum",
    "coalesce",
    "crc32c",
    "ones_sum",
    "segment",
    "segment_list",
    "segment_sctp",
    "segment_vnet",
]
