"""The traffic that is sent through the scenarios."""

from __future__ import annotations

from gso.kernel.scenarios.model import Traffic

MSS = 1448

BULK = Traffic("bulk", upload=100_000, download=64, segmented=True)
RESPONSE = Traffic("response", upload=200, download=100_000, segmented=False)

SMALL = Traffic("small", upload=200, download=64, segmented=False)

TCP = (
    BULK,
    # The packet of the incident: GRO merges it from one full segment and twelve bytes.
    Traffic("incident", upload=MSS + 12, download=64, segmented=True),
    SMALL,
    RESPONSE,
)

# The streams of SCTP: the sender makes super-packets, and no GRO does.
SCTP = (BULK, SMALL)

# The smallest datagrams: their headers and seven bytes.
TINY = (Traffic("tiny", upload=7, download=7, segmented=False, datagram=7),)

# Where nothing may be merged or cut: the same exchanges, and no segmenter may run.
TCP_UNSEGMENTED = (
    Traffic("bulk", upload=100_000, download=64, segmented=False),
    RESPONSE,
)

# As QUIC does it: datagrams of one size, handed to the kernel many at a time (UDP_SEGMENT).
UDP = (
    Traffic("uso", upload=24_000, download=1_200, segmented=True, datagram=1_200),
    Traffic("datagram", upload=1_200, download=1_200, segmented=False, datagram=1_200),
    Traffic("quic", upload=240_000, download=240_000, segmented=True, datagram=1_200),
)

TRAFFIC = (*TCP, *UDP, *TINY)
