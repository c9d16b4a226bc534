"""Judge the bytes of a frame as they may be on a wire: lengths, checksums, size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, SupportsBytes

from gso.buffers.taken import frame_bytes
from gso.headers.checks import Check, Status, check
from gso.headers.ends import packet_ends
from gso.headers.faults import header_faults
from gso.headers.fields import read_headers
from gso.headers.header import Header
from gso.headers.tunnels import TunnelPorts
from gso.rules.findings import Finding, Findings
from gso.rules.table import Severity
from gso.versions import REFERENCE, KernelVersion

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FRAME_RULES", "validate_frame"]

FRAME_RULES = (
    "frame-length",
    "frame-checksum",
    "frame-partial-checksum",
    "frame-header",
    "frame-mtu",
    "gre-sequence",
)
# The rules that judge a frame only if an MTU says that it is to be segmented
_WITH_MTU = ("frame-mtu", "gre-sequence")


def validate_frame(
    frame: Buffer | SupportsBytes,
    *,
    link_type: str = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    mtu: int | None = None,
    complete: bool = True,
    kernel: KernelVersion = REFERENCE,
) -> Findings:
    """Judge one frame: header lengths, length fields, checksums and, with `mtu`, its size.

    The arguments are those of `gso.validate`; `complete` is False for a frame that the capture cut.
    """
    data = frame_bytes(frame)
    options = {"link_type": link_type, "tunnel_ports": tunnel_ports}
    headers = read_headers(data, **options)  # type: ignore[arg-type]
    ends = packet_ends(headers, data)
    found = [_bad(*fault) for fault in header_faults(headers, data, complete=complete)]
    checks = check(data, complete=complete, kernel=kernel, **options)  # type: ignore[arg-type]
    found += [finding for one in checks for finding in _field(one, kernel)]
    if mtu is not None:
        found += _oversize(headers, ends, mtu)
    lacking: dict[str, tuple[str, ...]] = {}
    if mtu is None:
        lacking |= dict.fromkeys(_WITH_MTU, ("mtu",))
    if not complete:
        lacking["frame-length"] = ("the bytes that the capture cut off",)
    judged = [rule for rule in FRAME_RULES if rule not in lacking]
    return Findings(found, judged, lacking.copy)


def _field(one: Check, kernel: KernelVersion) -> Iterator[Finding]:
    where = f"{one.header} {one.name} at {one.offset}"
    values = {"offset": one.offset, "value": one.value}
    if one.expected is not None:
        values["expected"] = one.expected
    if one.status is Status.PARTIAL:
        yield Finding(
            "frame-partial-checksum",
            Severity.WARNING,
            f"{where} is 0x{one.value:04x}, the sum of the pseudo header alone",
            values,
            "none on the sending host: a device completes it (CHECKSUM_PARTIAL). A receiver that "
            "gets it over a wire drops the packet and counts InCsumErrors.",
            "The capture was made on the sending host, before the device; or a segmenter did not "
            "finish the checksum.",
        )
    elif one.status is Status.MISSING:
        yield Finding(
            "frame-checksum",
            Severity.ERROR,
            f"{where} is 0, which UDP over IPv6 allows in tunnels only",
            values,
            "udp6_csum_init: the receiver drops the packet and counts InCsumErrors, unless the "
            "socket asked for packets without a checksum.",
            "The sender left the checksum out as IPv4 allows; or the port is a tunnel's: see "
            "--tunnel-port.",
        )
    elif one.status is Status.BLANK:
        yield Finding(
            "frame-partial-checksum",
            Severity.WARNING,
            f"{where} is 0, should be {one.shown(one.expected or 0)}",
            values,
            "none on the sending host: a device fills it in. A receiver that gets it over a wire "
            "drops the packet: InHdrErrors for IPv4, InCsumErrors for TCP, SctpChecksumErrors for "
            "SCTP.",
            "The capture was made on the sending host, whose system leaves checksums blank for the "
            "device (Windows does, and Linux for SCTP); or a program left it out.",
        )
    elif one.status is Status.WRONG and one.name == "checksum":
        yield Finding(
            "frame-checksum",
            Severity.ERROR,
            f"{where} is {one.shown(one.value)}, should be {one.shown(one.expected or 0)}",
            values,
            "the receiver drops the packet: InHdrErrors for IPv4, InCsumErrors for TCP and UDP, "
            "SctpChecksumErrors for SCTP.",
            "A header was changed without its checksum, or the frame was damaged.",
        )
    elif one.status is Status.WRONG and one.expected is None:
        yield Finding(
            "frame-length",
            Severity.ERROR,
            f"{where} is {one.value}, and nothing is right there in Linux {kernel}: its packet is "
            "longer than 65535 bytes",
            values,
            "none on the host of the capture if its kernel has such packets, as 7.3 has. Others "
            "trim the packet to that length or drop it (InTruncatedPkts, InHdrErrors).",
            "A capture of a newer kernel, whose BIG TCP has no jumbo header and may be in tunnels: "
            "say so (--kernel 7.3); or the sender made a longer packet than the field can tell.",
        )
    elif one.status is Status.WRONG:
        yield Finding(
            "frame-length",
            Severity.ERROR,
            f"{where} is {one.value}, should be {one.expected}",
            values,
            "the receiver trims the packet to that length or drops it (InTruncatedPkts, "
            "InHdrErrors; for UDP InErrors).",
            "A super-packet was captured before it was segmented, or a segment kept the length of "
            "the packet it was cut from: GSO_PARTIAL leaves this in the last one (b10b446ce7ad "
            '"udp: gso: Use single MSS length in UDP header for GSO_PARTIAL", 7.0).',
        )


def _bad(header: Header, message: str) -> Finding:
    return Finding(
        "frame-header",
        Severity.ERROR,
        message,
        {"offset": header.offset},
        "ip_rcv, ip6_rcv or the transport protocol drops the packet and counts InHdrErrors or "
        "InErrs; inet_gso_segment and tcp_gso_segment return -EINVAL.",
        "The frame was cut or damaged, or the headers before it are of another kind: see "
        "--tunnel-port.",
    )


def _oversize(headers: list[Header], ends: list[int], mtu: int) -> Iterator[Finding]:
    levels = zip(headers, ends, strict=True)
    ip = (end - one.offset for one, end in levels if one.protocol.name in ("ipv4", "ipv6"))
    length = next(ip, 0)
    if length <= mtu:
        return
    yield Finding(
        "frame-mtu",
        Severity.ERROR,
        f"the IP packet has {length} bytes, more than the MTU of {mtu}",
        {"length": length, "mtu": mtu},
        "no device sends it: ip_forward answers with ICMP, drivers drop it.",
        "The packet still has to be segmented or fragmented.",
    )
    for header in headers:
        if header.protocol.name == "gre" and header.values.get("sequence present"):
            yield _repeated(header)


def _repeated(header: Header) -> Finding:
    number = header.values.get("sequence number", 0)
    return Finding(
        "gre-sequence",
        Severity.WARNING,
        f"GRE at {header.offset} has the sequence number {number}, and the packet is larger than "
        "the MTU",
        {"offset": header.offset, "value": number},
        "gre_gso_segment repeats the header: every segment has the same number, and a peer whose "
        "device looks at numbers (iseq) drops all but the first (rx_fifo_errors).",
        "The packet was captured before it was segmented, on a device whose routes ask for "
        "sequence numbers.",
    )
