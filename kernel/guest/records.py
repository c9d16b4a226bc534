"""The binary records that host and guest exchange in files, and what is written in them.

Numbers are little-endian. What the kernel reads or writes itself is in the machine's own byte
order, which is little-endian too on every machine that the test bed boots.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

# --- everywhere ----------------------------------------------------------------------------------

LENGTH = struct.Struct("<I")
"""The length of the bytes that follow."""

VIRTIO_NET_HDR = struct.Struct("=BBHHHH")
"""struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset."""
NEEDS_CSUM = 1
"""VIRTIO_NET_HDR_F_NEEDS_CSUM, of the flags."""
GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4 = 1, 3, 4, 5
"""VIRTIO_NET_HDR_GSO_*, of gso_type."""
GSO_ECN = 0x80

CHECKSUM_PARTIAL = 3
"""A value of ip_summed, as the tracepoints of the network show it: include/linux/skbuff.h."""

SECTIONS = "sections.json"
"""The file that says where the modules of a machine are."""

# --- captures: NAME.frames -----------------------------------------------------------------------

FRAME = struct.Struct("<QI")
"""Time in nanoseconds and length of a frame; then its virtio_net_hdr and the frame."""
MOST_FRAMES = 200_000
"""Of a capture, many times what an exchange sends; a file of empty frames would have millions."""

# --- conformance of tunnels: packets.bin, outcome.bin, metadata.txt ------------------------------

PACKET = struct.Struct("<HHI")
"""Index of the device, Ethernet type and length; then virtio_net_hdr and frame."""
OUTCOME = struct.Struct("<iHI")
"""Errno of the sending, numbers of super-packets and of segments; then these, each with LENGTH."""
NO_DEVICE = -1
"""In place of the errno: this kernel has no such device."""
PROBED_OFFSETS = (
    *("mac_header", "network_header", "transport_header", "inner_mac_header"),
    *("inner_network_header", "inner_transport_header", "csum_start", "csum_offset"),
)
"""The sk_buff's fields in the lines of metadata.txt, in this order."""

# --- conformance of GRO: streams.bin, outcome.bin ------------------------------------------------

STREAM = struct.Struct("<HH")
"""Number of the device and number of frames; then the frames, each with LENGTH.

For a driver of our own each frame has a HANDED in front of it.
"""
MERGED = struct.Struct("<IIIB")
"""Length, gso_size, 16 bits of gso_type and ip_summed of a packet; then the packet.

The outcome of a stream is their number, as LENGTH, and the packets.
"""

POLL = struct.Struct("=IIII")
"""struct poll of receiver/receiver.c: features, sizes of IPv6 and IPv4, frames; then the frames."""
LISTS, UDP_FORWARDING = 1, 2
"""The features."""
HANDED = struct.Struct("=IHHHHBBBB")
"""struct frame of receiver/receiver.c; then the frame."""
RECEIVED = struct.Struct("=I")
"""struct answer: the number of packets, each after a PACKET_MADE."""
PACKET_MADE = struct.Struct("=IIIB")
"""struct packet: length, gso_size, gso_type, ip_summed."""

# --- conformance of gso_types: requests.bin, outcome.bin, and what segmenter/ takes and gives -----

ANSWERED = struct.Struct("<iI")
"""Errno where the module could not make the packet, and length of its answer, which follows."""
REQUEST = struct.Struct("=IHHHHHHHHHBBBBHIIIIIB3x")
"""struct request of segmenter/segmenter.c; then the frame, and frames each after a LISTED."""
LISTED = struct.Struct("=IHHH")
"""struct listed: length, network_header, transport_header, start."""
ANSWER = struct.Struct("=iI")
"""struct answer: what the kernel returned, and the number of segments, which follow."""
SEGMENT = struct.Struct("=IHHHBx")
"""struct segment: length, gso_size, csum_start, csum_offset, partial; then the segment."""


def frames(blob: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the time, the virtio_net_hdr and the bytes of each frame of a capture.

    Raises :class:`ValueError` or :class:`struct.error` for a damaged one, and for more frames than
    there is memory for.
    """
    at = count = 0
    while at < len(blob):
        time_ns, length = FRAME.unpack_from(blob, at)
        at += FRAME.size + VIRTIO_NET_HDR.size
        if (rest := len(blob) - at) < length:
            raise ValueError(f"a frame of {length} bytes has {max(rest, 0)}")
        count += 1
        if count > MOST_FRAMES:
            raise ValueError(f"there are more than {MOST_FRAMES} frames")
        yield time_ns, blob[at - VIRTIO_NET_HDR.size : at], blob[at : at + length]
        at += length


def with_length(data: bytes) -> bytes:
    """Return the data after its length."""
    return LENGTH.pack(len(data)) + data


def read_with_length(source: BinaryIO) -> bytes:
    """Read what :func:`with_length` made; empty at the end of the file."""
    head = source.read(LENGTH.size)
    return source.read(*LENGTH.unpack(head)) if head else b""
