"""Capture files: pcap and pcapng, read and written whole or in batches.

    capture = gso.read_capture("eth0.pcapng")
    gso.write_capture("copy.pcapng", capture.frames, timestamps=capture.timestamps)

    with gso.capture.Reader("huge.pcap") as reader:     # bounded memory
        for batch in reader:
            ...

The block scanner and the packet writer are compiled. No library for Python comes near the speed
of segmentation: of 1500 byte packets in memory, one core iterates over 0.8 GB/s of pcap and 0.5 of
pcapng with dpkt, 0.9 and 0.5 with scapy's raw readers, 0.1 of pcapng with python-pcapng; with the
reader here, 4.6 and 5.2 (benchmarks/test_capture.py). And those take lengths in the file on trust.

Nothing in a file is believed: a length that cannot be right raises GsoError with the numbers and
the byte offset. The one exception is the end: a file whose last record is cut off, as a capture
that is still being written or was interrupted has it, loses that record only, and `truncated`
tells so.
"""

from gso.capture.format import Interface
from gso.capture.reader import Reader, read_capture
from gso.capture.whole import Capture
from gso.capture.writer import Writer, write_capture

__all__ = ["Capture", "Interface", "Reader", "Writer", "read_capture", "write_capture"]
