"""Faults of a packet that its drop reason tells, where no rule can."""

from __future__ import annotations

from typing import NamedTuple

from gso.rules import Severity

__all__ = ["TOLD", "Told"]


class Told(NamedTuple):
    """The meaning of a drop reason for its packets."""

    rule: str
    severity: Severity
    message: str
    kernel_outcome: str
    likely_cause: str


_CHECKSUM = (
    "The protocol's receive function drops the packet and counts it: TcpInCsumErrors, "
    "UdpInCsumErrors, IcmpInCsumErrors or IpInHdrErrors in nstat.",
    "The sender, or what forwarded the packet, did not complete the checksum, or changed the "
    "packet and not the checksum: offloads of a virtual device, NAT, an outer checksum that "
    "segments of a tunnel packet kept from the whole. gso validate of captures at both ends "
    "shows where it became wrong.",
)

TOLD = {
    "SKB_BAD_GSO": Told(
        "bad-gso",
        Severity.ERROR,
        "the packet was dropped before segmentation: its transport header is not where its "
        "offsets say, or it has no payload",
        "Since 6.12.114 __dev_queue_xmit looks at the transport header of a GSO packet, the inner "
        "one where encapsulation is 1 (qdisc_pkt_len_init). Where there is none it frees the "
        "packet with reason SKB_BAD_GSO, and no segmenter runs.",
        "transport_header or inner_transport_header is wrong, or gso_type names another protocol. "
        "Record the offsets to know which.",
    ),
    "PKT_TOO_BIG": Told(
        "packet-too-big",
        Severity.WARNING,
        "the packet was dropped as it is longer than the MTU of its way, and may not be cut",
        "ip_forward and ip6_forward send an ICMP message to the sender and drop the packet; other "
        "devices drop it without a word.",
        "The sender does not know the MTU: ICMP messages are filtered on their way to it, or an "
        "encapsulator after it adds headers. Lower the MTU inside the tunnel, or clamp the MSS.",
    ),
    "TCP_CSUM": Told(
        "receive-checksum",
        Severity.ERROR,
        "the packet was dropped by its receiver: its TCP checksum is wrong",
        *_CHECKSUM,
    ),
    "UDP_CSUM": Told(
        "receive-checksum",
        Severity.ERROR,
        "the packet was dropped by its receiver: its UDP checksum is wrong",
        *_CHECKSUM,
    ),
    "ICMP_CSUM": Told(
        "receive-checksum",
        Severity.ERROR,
        "the packet was dropped by its receiver: its ICMP checksum is wrong",
        *_CHECKSUM,
    ),
    "IP_CSUM": Told(
        "receive-checksum",
        Severity.ERROR,
        "the packet was dropped by its receiver: the checksum of its IPv4 header is wrong",
        *_CHECKSUM,
    ),
}
"""By the names of reasons."""
