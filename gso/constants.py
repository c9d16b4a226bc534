"""Names and numbers of the kernel and the RFCs."""

from enum import Enum, IntEnum, IntFlag


class Tunnel(IntEnum):
    """The kind of tunnel that carries the inner packet."""

    NONE = 0
    IPIP = 1
    """IPv4 in IPv4 (RFC 2003)."""
    SIT = 2
    """IPv6 in IPv4 (RFC 4213)."""
    IP6TNL = 3
    """IPv4 or IPv6 in IPv6 (RFC 2473)."""
    GRE = 4
    """GRE (RFC 2784, 2890) with an IP packet, an Ethernet frame or MPLS inside."""
    FOU = 5
    """Foo over UDP: the UDP payload is the packet itself."""
    GUE = 6
    """Generic UDP encapsulation (draft-ietf-intarea-gue), versions 0 and 1."""
    VXLAN = 7
    """VXLAN (RFC 7348)."""
    VXLAN_GPE = 8
    """VXLAN generic protocol extension (draft-ietf-nvo3-vxlan-gpe)."""
    GENEVE = 9
    """Geneve (RFC 8926)."""
    MPLS = 10
    """An MPLS label stack (RFC 3032) directly on the link."""
    NSH = 11
    """A network service header (RFC 8300) directly on the link."""


class L4(IntEnum):
    """Innermost transport protocol, with its IP protocol number."""

    NONE = 0
    TCP = 6
    UDP = 17


class GsoType(IntFlag):
    """``skb_shinfo(skb)->gso_type``: the kernel's SKB_GSO_* bits (include/linux/skbuff.h)."""

    TCPV4 = 1 << 0
    DODGY = 1 << 1
    """The packet is from an untrusted source; has no effect on the segments."""
    TCP_ECN = 1 << 2
    """CWR is cleared after the first segment. Always done for TCP, flag or not."""
    TCP_FIXEDID = 1 << 3
    """All segments keep the innermost IPv4 ID. Linux 7.3 has the last two bits instead."""
    TCPV6 = 1 << 4
    FCOE = 1 << 5
    GRE = 1 << 6
    GRE_CSUM = 1 << 7
    IPXIP4 = 1 << 8
    IPXIP6 = 1 << 9
    UDP_TUNNEL = 1 << 10
    UDP_TUNNEL_CSUM = 1 << 11
    PARTIAL = 1 << 12
    """One segment of as many whole ``gso_size`` pieces as fit, then the remainder."""
    TUNNEL_REMCSUM = 1 << 13
    SCTP = 1 << 14
    """SCTP, cut where its sender says: ``gso_size`` is :data:`gso.GSO_BY_FRAGS`."""
    ESP = 1 << 15
    UDP = 1 << 16
    """UFO: a UDP datagram becomes IP fragments."""
    UDP_L4 = 1 << 17
    """USO: a UDP payload becomes datagrams of ``gso_size``."""
    FRAGLIST = 1 << 18
    """A list of whole frames, which are sent as they came."""
    TCP_ACCECN = 1 << 19
    """Accurate ECN: CWR is kept on every segment."""
    TCP_FIXEDID_OUTER = 1 << 30
    """Linux 7.3 (SKB_GSO_TCP_FIXEDID): all segments keep the ID of each IPv4 header that is not
    right below another IP header: the outer one, and that in a UDP or GRE tunnel too."""
    TCP_FIXEDID_INNER = 1 << 31
    """Linux 7.3 (SKB_GSO_TCP_FIXEDID_INNER): they keep the ID of IPv4 headers right below another
    IP header."""


GSO_BY_FRAGS = 0xFFFF
"""A ``gso_size`` that is no size: the super-packet is cut as a list says (SCTP)."""


class Context(IntFlag):
    """Where in the kernel an sk_buff was seen, as far as rules need to know."""

    TRANSMIT = 1 << 0
    """On its way to a device, from __dev_queue_xmit on: ``skb->dev`` is that device."""
    CHECKSUM_HELP = 1 << 1
    """In skb_checksum_help, which computes a checksum that the device cannot."""
    TUNNEL_SEGMENTER = 1 << 2
    """In a segmenter that takes what is at transport_header for a tunnel's header."""


class Reason(str, Enum):
    """Why a frame was refused: :attr:`gso.GsoError.reason`."""

    TRUNCATED = "truncated"
    """A header ends after the frame does."""
    BAD_HEADER = "bad_header"
    """A header field has a value that no header may have."""
    UNSUPPORTED = "unsupported"
    """A protocol or option that the kernel does not segment."""
    NOT_GSO = "not_gso"
    """The payload is not larger than gso_size: the kernel makes no segments of it."""
    GSO_TYPE = "gso_type"
    """gso_type contradicts the headers or itself."""
    GSO_SIZE = "gso_size"
    """gso_size is out of range."""
    CHECKSUM = "checksum"
    """The operation needs CHECKSUM_PARTIAL and the frame cannot have it."""
    TOO_LONG = "too_long"
    """A length does not fit in its header field."""
    LAYOUT = "layout"
    """The given layout does not belong to this frame."""
    AMBIGUOUS = "ambiguous"
    """A UDP payload on a port that is not known is a tunnel by all its fields: say what it is with
    `tunnel_ports`."""

    def __str__(self) -> str:
        return str(self.value)
