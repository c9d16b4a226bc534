"""virtio network headers, and the segmentation of packets that follow one.

With a virtio header, TAP devices, packet sockets and virtual machines say which work on a packet is
left to be done: a checksum, segmentation. The checks are those of virtio_net_hdr_to_skb and, for
the tunnel fields, virtio_net_hdr_tnl_to_skb (include/linux/virtio_net.h), in their order.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias, get_args

from gso.buffers._checksum import checksum as internet_checksum
from gso.buffers._frames import Frames
from gso.constants import L4, GsoType, Reason, Tunnel
from gso.errors import GsoError
from gso.headers._layout import Layout, parse_announced
from gso.headers.links import check_device_link
from gso.headers.vnet import (
    GSO_BY_FRAGS,
    KINDS,
    TCP_MIN_GSO_SIZE,
    UDP_MAX_SEGMENTS,
    VirtioNetFlags,
    VirtioNetGso,
)
from gso.segmentation._segment import segment, segment_vouched
from gso.versions import Fact, KernelVersion, facts_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.links import DeviceLinkType

ByteOrder: TypeAlias = Literal["little", "big", "native"]
Source: TypeAlias = Literal["tap", "packet", "read"]
"""The way of a packet with a virtio header: written to a TUN or TAP device or to a packet socket,
or read from one of them."""

_ORDERS = {"little": "<", "big": ">", "native": "="}
_BASIC = "BBHHHH"
SIZES = (10, 12, 20, 24)

_ETH_HLEN = 14
_ETH_P_IP = (b"\x08\x00", b"\x86\xdd")
_ETH_P_OF = {
    int(VirtioNetGso.TCPV4): (b"\x08\x00",),
    int(VirtioNetGso.TCPV6): (b"\x86\xdd",),
}
_VERSIONS = {int(VirtioNetGso.TCPV4): 4, int(VirtioNetGso.TCPV6): 6}
_ETH_P_TAGS = (b"\x81\x00", b"\x88\xa8")
_PPPOE_SESSION = b"\x88\x64\x11\x00"  # the Ethernet type, then version 1, type 1 and code 0
_IP_HLEN = {4: 20, 6: 40}
_UDP_HLEN = 8
_MOST_TCP_OPTIONS = 40

_TUNNELS = VirtioNetGso.UDP_TUNNEL_IPV4 | VirtioNetGso.UDP_TUNNEL_IPV6


@dataclass(frozen=True)
class VirtioNetHeader:
    """``struct virtio_net_hdr`` and its longer forms (virtio 1.x, section 5.1.6).

    ====  ======================================  ==============================================
    size  struct                                  has
    ====  ======================================  ==============================================
    10    virtio_net_hdr                          up to csum_offset: TUN, TAP and packet sockets
    12    virtio_net_hdr_v1                       num_buffers too
    20    virtio_net_hdr_v1_hash                  hash_value and hash_report too
    24    virtio_net_hdr_v1_hash_tunnel           all
    ====  ======================================  ==============================================

    Attributes:
        flags: :class:`VirtioNetFlags`; bits without a name are kept.
        gso_type: :class:`VirtioNetGso`, likewise.
        hdr_len: bytes of headers, a hint.
        gso_size: payload bytes per segment.
        csum_start: where the checksum starts; offsets count from the first byte of the packet.
        csum_offset: where, from there, it is put.
        num_buffers: how many receive buffers the packet fills.
        hash_value: of the receiver's flow hash.
        hash_report: which kind of hash that is (VIRTIO_NET_HASH_REPORT_*).
        outer_th_offset: where the outer UDP header is.
        inner_nh_offset: where the packet in the UDP tunnel has its IP header.
    """

    flags: int = 0
    gso_type: int = 0
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    num_buffers: int = 0
    hash_value: int = 0
    hash_report: int = 0
    outer_th_offset: int = 0
    inner_nh_offset: int = 0

    @classmethod
    def unpack(
        cls, buffer: Buffer, size: int | None = None, *, byteorder: ByteOrder = "little"
    ) -> VirtioNetHeader:
        """Read the header at the start of `buffer`.

        Args:
            size: 10, 12, 20 or 24. None: the length of `buffer` if that is one of these, else 10.
            byteorder: "little" (virtio 1.x, and all x86 and arm64 machines), "big" or "native":
                that of a legacy device. Hash and tunnel fields are always little-endian.

        Raises GsoError (TRUNCATED) if the buffer is shorter, ValueError for another size.
        """
        view = memoryview(buffer).cast("B")
        if size is None:
            size = len(view) if len(view) in SIZES else SIZES[0]
        _check_size(size)
        if len(view) < size:
            _refuse(
                Reason.TRUNCATED,
                "virtio_net_hdr",
                size,
                len(view),
                f"a virtio header of {size} bytes, but there are {len(view)}",
            )
        order = _order(byteorder)
        values = struct.unpack_from(order + _BASIC, view)
        if size >= 12:
            values += struct.unpack_from(order + "H", view, 10)
        if size >= 20:
            values += struct.unpack_from("<IH", view, 12)
        if size >= 24:
            values += struct.unpack_from("<HH", view, 20)
        return cls(*values)

    def pack(self, size: int | None = None, *, byteorder: ByteOrder = "little") -> bytes:
        """The header's bytes.

        Args:
            size: 10, 12, 20 or 24. None: the shortest that has a place for all that is not 0.
            byteorder: as for :meth:`unpack`.

        Raises ValueError if a field does not fit: its place, or the size.
        """
        least = self._least_size()
        size = least if size is None else size
        _check_size(size)
        if size < least:
            raise ValueError(f"the header has fields that need {least} bytes, not {size}")
        order = _order(byteorder)
        values = astuple(self)
        try:
            packed = struct.pack(order + _BASIC, *values[:6])
            packed += struct.pack(order + "H", values[6])
            packed += struct.pack("<IHHHH", *values[7:9], 0, *values[9:])
        except struct.error as error:
            raise ValueError(f"{self}: a field is out of range: {error}") from None
        return packed[:size]

    def _least_size(self) -> int:
        if self.outer_th_offset or self.inner_nh_offset:
            return 24
        if self.hash_value or self.hash_report:
            return 20
        return 12 if self.num_buffers else 10


def _check_size(size: int) -> None:
    if size not in SIZES:
        raise ValueError(f"a virtio header has {', '.join(map(str, SIZES))} bytes, not {size}")


def _order(byteorder: str) -> str:
    if byteorder not in _ORDERS:
        raise ValueError(f'byteorder is "little", "big" or "native", not {byteorder!r}')
    return _ORDERS[byteorder]


def _refuse(reason: Reason, field: str, offset: int, limit: int, message: str) -> NoReturn:
    raise GsoError(message, reason=reason, field=field, offset=offset, limit=limit)


def segment_vnet(
    buffer: Buffer,
    *,
    header_size: int = 10,
    byteorder: ByteOrder = "little",
    link_type: DeviceLinkType = "ethernet",
    checksum: Literal["complete", "partial"] = "complete",
    source: Source = "tap",
    kernel: KernelVersion = "6.12",
) -> Frames:
    """Segment a packet with a virtio header in front, as the kernel does one from a TAP device.

    Unlike in :func:`gso.segment`, the virtio header says everything: what the packet is, where its
    innermost checksum starts, and whether it is in a UDP tunnel (with the 24-byte form; the port
    means nothing here). Without GSO, or with a packet that is too small for it, NEEDS_CSUM has
    that checksum completed and the packet is else unchanged.

    Args:
        buffer: header and packet. Offsets in the header and in errors count from the packet's
            first byte.
        header_size: 10, 12, 20 or 24 (TUNSETVNETHDRSZ, PACKET_VNET_HDR_SZ).
        byteorder: as for :meth:`VirtioNetHeader.unpack`.
        link_type: "ethernet" (TAP, packet sockets, virtio-net) or "raw" (TUN).
        checksum: as for :func:`gso.segment`; "partial" completes none.
        source: "tap" (TUN and TAP devices) or "packet" (packet sockets). They differ where a header
            without NEEDS_CSUM asks for segmentation: packet sockets look for the transport header,
            and before 7.3 not after a VLAN tag; TAP devices do not, and count 40 bytes of headers
            (60 for TCPV6) to tell whether the packet is too small for GSO. "read": the kernel wrote
            the header itself, for who reads from either; that of a UDP tunnel on a TUN device has
            an `outer_th_offset` that would be refused if it were written back (seen in 6.18).
        kernel: as for :func:`gso.segment`. With 7.3 a TAP device looks for the transport header
            as a packet socket does, both do so after VLAN tags, and the IP version must be that of
            the type. 6.1 refuses UDP_L4, takes a csum_start in the IP header, and counts no IP
            header where it does not look for the transport header.

    Returns :class:`Frames`, without virtio headers.

    Raises GsoError for what the kernel refuses (tunnels: 6.17 and later). A payload that the header
    calls datagrams is cut as such, whatever it looks like: the sender knows.

    Kernel: virtio_net_hdr_to_skb, virtio_net_hdr_tnl_to_skb, skb_checksum_help.
    """
    view = memoryview(buffer).cast("B")
    header = VirtioNetHeader.unpack(view, header_size, byteorder=byteorder)
    return segment_described(
        view[header_size:],
        header,
        link_type=link_type,
        checksum=checksum,
        source=source,
        kernel=kernel,
    )


def completed_sum(part: memoryview) -> int:
    """The checksum of what starts at csum_start. Not only UDP sends 0 as 0xffff here."""
    return internet_checksum(part) or 0xFFFF


def segment_described(
    frame: memoryview,
    header: VirtioNetHeader,
    *,
    link_type: DeviceLinkType,
    checksum: Literal["complete", "partial"],
    source: Source = "tap",
    kernel: KernelVersion = "6.12",
) -> Frames:
    """Segment a packet whose virtio header was read: see :func:`segment_vnet`."""
    if source not in get_args(Source):
        raise ValueError(f"source is one of {', '.join(get_args(Source))}, not {source!r}")
    check_device_link(link_type)
    return _Packet(header, frame, link_type, source, kernel).segments(checksum)


class _Packet:
    """A packet and its virtio header."""

    def __init__(
        self,
        header: VirtioNetHeader,
        frame: memoryview,
        link_type: DeviceLinkType,
        source: Source,
        kernel: KernelVersion,
    ) -> None:
        self.kernel, self.facts = kernel, facts_of(kernel)
        self.dissects = source != "tap" or bool(self.facts & Fact.VNET_DISSECTS)
        self.written = source != "read"
        self.header = header
        self.frame = frame
        self.link_type: DeviceLinkType = link_type
        self.needs_csum = bool(header.flags & VirtioNetFlags.NEEDS_CSUM)
        self.tunnel = header.gso_type & _TUNNELS
        self.kind = header.gso_type & ~(VirtioNetGso.ECN | _TUNNELS)
        self.inner_version = 6 if self.kind == VirtioNetGso.TCPV6 else 4

    def segments(self, checksum: Literal["complete", "partial"]) -> Frames:
        header = self.header
        self.check_hdr_len()
        self.check_type()
        if self.tunnel:
            self.check_tunnel()
        if self.needs_csum:
            self.check_csum()
        if not self.kind:
            return self.one(checksum)
        layout = self.dissect() if self.dissects and not self.needs_csum else None
        start = self.transport(layout)
        size = self.check_size(start)
        uncounted = start + (0 if self.kind == VirtioNetGso.UDP else KINDS[self.kind][2])
        if len(self.frame) - uncounted <= size:
            return self.one(checksum)  # "Too small packets are not really GSO ones"
        if layout is None or layout.payload > len(self.frame):
            layout = self.parse()
        self.check_layout(layout)
        gso_type = KINDS[self.kind][0]
        if self.tunnel:
            outer = header.flags & VirtioNetFlags.UDP_TUNNEL_CSUM
            gso_type |= GsoType.UDP_TUNNEL_CSUM if outer else GsoType.UDP_TUNNEL
        run = segment_vouched if self.needs_csum else segment
        return run(
            self.frame,
            size,
            gso_type=gso_type,
            layout=layout,
            link_type=self.link_type,
            checksum=checksum,
            kernel=self.kernel,
        )

    def one(self, checksum: str) -> Frames:
        """The packet unsegmented, its checksum completed (skb_checksum_help)."""
        if not self.needs_csum or checksum == "partial":
            return Frames.from_list([self.frame])
        packet = bytearray(self.frame)
        at = self.header.csum_start + self.header.csum_offset
        value = completed_sum(self.frame[self.header.csum_start :])
        packet[at : at + 2] = value.to_bytes(2, "big")
        return Frames.from_list([packet])

    def check_hdr_len(self) -> None:
        """Check that the packet has all its headers (tun_get_user, packet_snd)."""
        header, size = self.header, len(self.frame)
        length = header.hdr_len
        if self.needs_csum:
            length = max(length, header.csum_start + header.csum_offset + 2)
        if length > size:
            _refuse(
                Reason.TRUNCATED,
                "hdr_len",
                length,
                size,
                f"the virtio header asks for {length} bytes of headers, the packet has {size}",
            )

    def check_type(self) -> None:
        kind, gso_type = self.kind, self.header.gso_type
        kinds = list(KINDS)
        if self.facts & Fact.VNET_BEFORE_USO:
            kinds.remove(int(VirtioNetGso.UDP_L4))
        if kind and kind not in kinds:
            known = ", ".join(map(str, kinds))
            self.bad_type(gso_type, f"is not NONE (0) or one of {known} with bits added")
        if kind and self.header.gso_size == 0:
            _refuse(Reason.GSO_SIZE, "gso_size", 0, 1, "gso_size is 0, it must be 1 or more")
        if not kind and gso_type & VirtioNetGso.ECN:
            self.bad_type(gso_type, "has ECN without a kind of segmentation")

    def bad_type(self, gso_type: int, problem: str) -> NoReturn:
        _refuse(
            Reason.GSO_TYPE,
            "gso_type",
            gso_type,
            int(VirtioNetGso.UDP_L4),
            f"virtio gso_type {gso_type:#04x} {problem}",
        )

    def check_tunnel(self) -> None:
        header, gso_type = self.header, self.header.gso_type
        if self.tunnel == _TUNNELS:
            self.bad_type(gso_type, "has an outer IPv4 and an outer IPv6 header")
        if self.kind in (VirtioNetGso.NONE, VirtioNetGso.UDP):
            self.bad_type(gso_type, "has a UDP tunnel that carries neither TCP segments nor USO")
        if not self.needs_csum:
            self.bad_checksum("flags", header.flags, 1, "a UDP tunnel needs NEEDS_CSUM")
        outer = _IP_HLEN[6 if self.tunnel == VirtioNetGso.UDP_TUNNEL_IPV6 else 4]
        # An Ethernet header is counted in what is written to TUN devices, too, which have none
        outer += _ETH_HLEN if self.written or self.link_type == "ethernet" else 0
        self.check_offset("outer_th_offset", header.outer_th_offset, outer)
        inner = header.outer_th_offset + _UDP_HLEN
        self.check_offset("inner_nh_offset", header.inner_nh_offset, inner)
        self.check_inner_transport()
        if self.kind == VirtioNetGso.UDP_L4 and header.inner_nh_offset < len(self.frame):
            self.inner_version = 6 if self.frame[header.inner_nh_offset] >> 4 == 6 else 4
            self.check_inner_transport()

    def check_inner_transport(self) -> None:
        least = self.header.inner_nh_offset + _IP_HLEN[self.inner_version]
        self.check_offset("csum_start", self.header.csum_start, least)

    def check_offset(self, name: str, value: int, least: int) -> None:
        if value < least:
            _refuse(
                Reason.BAD_HEADER,
                name,
                value,
                least,
                f"{name} is {value}, the headers in front of it end at byte {least} or later",
            )

    def bad_checksum(self, field: str, offset: int, limit: int, message: str) -> NoReturn:
        _refuse(Reason.CHECKSUM, field, offset, limit, message)

    def check_csum(self) -> None:
        header, size = self.header, len(self.frame)
        least = KINDS[self.kind][2] if self.kind else 0
        end = header.csum_start + max(least, header.csum_offset + 2)
        if end > size:
            _refuse(
                Reason.TRUNCATED,
                "csum_start",
                header.csum_start,
                size,
                f"the transport header that csum_start {header.csum_start} names ends at byte "
                f"{end}, the packet has {size}",
            )
        network = 40 if self.kind == VirtioNetGso.TCPV6 else 20
        if header.csum_start < network and not self.facts & Fact.VNET_BEFORE_USO:
            self.bad_checksum(
                "csum_start",
                header.csum_start,
                network,
                f"csum_start is {header.csum_start}, inside an IP header of {network} bytes",
            )

    def parse(self) -> Layout:
        inner = self.header.inner_nh_offset if self.tunnel else 0
        return parse_announced(self.frame, inner, self.inner_version, link_type=self.link_type)

    def parse_to_options(self) -> Layout:
        """Parse the packet, of whose TCP options the kernel reads nothing here: they may be cut."""
        try:
            return self.parse()
        except GsoError as error:
            if error.field != "doff" or error.reason is not Reason.TRUNCATED:
                raise
        padded = bytes(self.frame) + bytes(_MOST_TCP_OPTIONS)
        return parse_announced(padded, 0, self.inner_version, link_type=self.link_type)

    def dissect(self) -> Layout:
        """Check that the packet's headers are those of its gso_type, as without NEEDS_CSUM."""
        layout = self.parse_to_options()
        l4 = KINDS[self.kind][1]
        ethertype = bytes(self.frame[12:14])
        if self.facts & Fact.VNET_DISSECTS:
            tagged = self.behind_tags()
            known = tagged[:2] != _PPPOE_SESSION[:2] or tagged == _PPPOE_SESSION
        else:
            known = self.frame[12:16] == _PPPOE_SESSION
            known = known or ethertype in _ETH_P_OF.get(self.kind, _ETH_P_IP)
        if self.link_type == "ethernet" and not known:
            # skb_flow_dissect_flow_keys_basic looks for a VLAN tag where the IP header is
            self.bad_type(
                self.header.gso_type,
                f"is for IP, the packet is of type 0x{ethertype.hex()}, and without NEEDS_CSUM the "
                "kernel looks no further",
            )
        if layout.tunnel in (Tunnel.MPLS, Tunnel.NSH):
            self.bad_type(
                self.header.gso_type,
                f"is for {l4.name}, and without NEEDS_CSUM the kernel does not look into "
                f"{layout.tunnel.name}",
            )
        if layout.l4 != l4:
            self.bad_type(self.header.gso_type, f"is for {l4.name}, the packet is {layout.l4.name}")
        version = _VERSIONS.get(self.kind, layout.inner_version)
        if self.facts & Fact.VNET_DISSECTS and layout.inner_version != version:
            self.bad_type(
                self.header.gso_type,
                f"is for IPv{version}, the packet is IPv{layout.inner_version}",
            )
        return layout

    def behind_tags(self) -> bytes:
        """The Ethernet type after all VLAN tags, and the two bytes that follow."""
        at = 12
        while self.frame[at : at + 2] in _ETH_P_TAGS:
            at += 4
        return bytes(self.frame[at : at + 4])

    def undissected(self) -> int:
        """Where a transport header is taken to start that nothing tells of: after an IP header."""
        start = 0 if self.facts & Fact.VNET_BEFORE_USO else _IP_HLEN[self.inner_version]
        end = start + KINDS[self.kind][2]
        if end > len(self.frame):
            _refuse(
                Reason.TRUNCATED,
                "gso_type",
                end,
                len(self.frame),
                f"headers of virtio gso_type {self.header.gso_type:#04x} take {end} bytes or more, "
                f"the packet has {len(self.frame)}",
            )
        return start

    def transport(self, layout: Layout | None) -> int:
        """Where the innermost transport header starts."""
        if layout is None:
            return self.header.csum_start if self.needs_csum else self.undissected()
        start = layout.inner_transport_header
        if start is None:
            start = layout.transport_header
        assert start is not None  # there is an L4 header
        return start

    def check_size(self, start: int) -> int:
        """Check gso_size; returns it as the kernel changes it."""
        header, size = self.header, self.header.gso_size
        _, l4, thlen, field = KINDS[self.kind]
        if self.needs_csum and self.kind != VirtioNetGso.UDP and header.csum_offset != field:
            self.bad_checksum(
                "csum_offset",
                header.csum_offset,
                field,
                f"csum_offset is {header.csum_offset}, the checksum of {l4.name} is at {field}",
            )
        if self.kind == VirtioNetGso.UDP_L4:
            if not self.needs_csum:
                self.bad_checksum("flags", header.flags, 1, "UDP_L4 needs NEEDS_CSUM")
            most = size * UDP_MAX_SEGMENTS
            payload = len(self.frame) - start - thlen
            if payload > most:
                _refuse(
                    Reason.GSO_SIZE,
                    "gso_size",
                    payload,
                    most,
                    f"a payload of {payload} bytes needs more than {UDP_MAX_SEGMENTS} segments "
                    f"of gso_size {size}",
                )
            if header.gso_type & VirtioNetGso.ECN:
                self.bad_type(header.gso_type, "has ECN for UDP")
        elif l4 is L4.TCP and not self.facts & Fact.VNET_BEFORE_USO:
            size = max(size, TCP_MIN_GSO_SIZE)
        if size == GSO_BY_FRAGS:
            _refuse(
                Reason.GSO_SIZE,
                "gso_size",
                size,
                GSO_BY_FRAGS - 1,
                f"gso_size {size} is more than {GSO_BY_FRAGS - 1}",
            )
        return size

    def check_layout(self, layout: Layout) -> None:
        """The checks of the segmenter itself (inet_gso_segment, tcp_gso_segment)."""
        header = self.header
        if self.tunnel and layout.inner_network_header is None:
            self.bad_type(header.gso_type, "has a UDP tunnel, the packet has no UDP header")
        if layout.l4 is L4.NONE or not self.needs_csum or self.kind == VirtioNetGso.UDP:
            return  # the segmenter says why, or there is nothing to say
        start = self.transport(layout)
        if start != header.csum_start:
            self.bad_checksum(
                "csum_start",
                header.csum_start,
                start,
                f"csum_start is {header.csum_start}, but the transport header is at byte {start}",
            )
