"""Numbers of the kernel and of protocols, for compiled code.

Field offsets count bytes from the first byte of the header and bear the field's name in the
kernel's struct. All are constants of the compiler and cost nothing at run time. The headers of
tunnels in UDP are rows of gso.headers.tunnels, except for GUE, which has a function of its own.
"""

cdef enum:  # include/linux/skbuff.h: skb_shinfo(skb)->gso_type, gso.GsoType
    SKB_GSO_TCPV4 = 1 << 0
    SKB_GSO_TCP_ECN = 1 << 2
    SKB_GSO_TCP_FIXEDID = 1 << 3
    SKB_GSO_TCPV6 = 1 << 4
    SKB_GSO_FCOE = 1 << 5
    SKB_GSO_GRE = 1 << 6
    SKB_GSO_GRE_CSUM = 1 << 7
    SKB_GSO_IPXIP4 = 1 << 8
    SKB_GSO_IPXIP6 = 1 << 9
    SKB_GSO_UDP_TUNNEL = 1 << 10
    SKB_GSO_UDP_TUNNEL_CSUM = 1 << 11
    SKB_GSO_PARTIAL = 1 << 12
    SKB_GSO_TUNNEL_REMCSUM = 1 << 13
    SKB_GSO_SCTP = 1 << 14
    SKB_GSO_ESP = 1 << 15
    SKB_GSO_UDP = 1 << 16
    SKB_GSO_UDP_L4 = 1 << 17
    SKB_GSO_FRAGLIST = 1 << 18
    SKB_GSO_TCP_ACCECN = 1 << 19
    SKB_GSO_ALL = (1 << 20) - 1
    SKB_GSO_TCP_FIXEDID_OUTER = 0x40000000      # 7.3, and
    SKB_GSO_TCP_FIXEDID_INNER = 0x80000000

    GSO_BY_FRAGS = 0xffff           # a gso_size that is not a size

cdef enum:  # limits
    GRO_LEGACY_MAX_SIZE = 65536     # include/linux/netdevice.h: larger packets are BIG TCP
    GRO_MAX_SIZE = 8 * 65535        # include/linux/netdevice.h
    GSO_MAX_SEGS = 65535            # include/linux/netdevice.h
    MAX_GRO_SKBS = 8                # net/core/gro.c: packets held in one bucket
    UDP_GRO_CNT_MAX = 64            # net/ipv4/udp_offload.c
    IP_TUNNEL_RECURSION_LIMIT = 5   # include/net/ip_tunnels.h
    VLAN_MAX_DEPTH = 8              # include/linux/if_vlan.h

cdef enum:  # Ethernet (include/uapi/linux/if_ether.h)
    ETH_HLEN = 14
    VLAN_HLEN = 4

    ETH_P_IP = 0x0800
    ETH_P_TEB = 0x6558
    ETH_P_8021Q = 0x8100
    ETH_P_IPV6 = 0x86DD
    ETH_P_MPLS_UC = 0x8847
    ETH_P_MPLS_MC = 0x8848
    ETH_P_PPP_SES = 0x8864
    ETH_P_8021AD = 0x88A8
    ETH_P_NSH = 0x894F

cdef enum:  # IP protocol numbers (IANA)
    IPPROTO_HOPOPTS = 0
    IPPROTO_IPIP = 4
    IPPROTO_TCP = 6
    IPPROTO_UDP = 17
    IPPROTO_IPV6 = 41
    IPPROTO_ROUTING = 43
    IPPROTO_FRAGMENT = 44
    IPPROTO_GRE = 47
    IPPROTO_DSTOPTS = 60
    IPPROTO_SCTP = 132

cdef enum:  # IPv4 (RFC 791; struct iphdr)
    IPV4_TOS = 1
    IPV4_TOT_LEN = 2
    IPV4_ID = 4
    IPV4_FRAG_OFF = 6
    IPV4_TTL = 8
    IPV4_PROTOCOL = 9
    IPV4_CHECK = 10
    IPV4_SADDR = 12
    IPV4_DADDR = 16
    IPV4_HLEN = 20                  # without options
    IPV4_ADDRESSES_LEN = 8          # of saddr and daddr
    IPV4_NO_OPTIONS = 0x45          # the first byte: version 4, ihl 5

    IP_DF = 0x4000                  # of frag_off
    IP_MF = 0x2000
    IP_OFFSET = 0x1fff

cdef enum:  # IPv6 (RFC 8200; struct ipv6hdr and its extension headers)
    IPV6_FLOW_LBL = 1               # its upper half byte
    IPV6_PAYLOAD_LEN = 4
    IPV6_NEXTHDR = 6
    IPV6_HOP_LIMIT = 7
    IPV6_SADDR = 8
    IPV6_DADDR = 24
    IPV6_HLEN = 40
    IPV6_ADDRESS_LEN = 16
    IPV6_ADDRESSES_LEN = 32         # of saddr and daddr

    IPV6_EXT_NEXTHDR = 0
    IPV6_EXT_HDRLEN = 1             # in units of 8 bytes, the first not counted
    IPV6_EXT_HLEN = 8               # of the shortest

    IPV6_TLV_AT = 2                 # the first option
    IPV6_TLV_JUMBO = 194
    IPV6_TLV_JUMBO_LEN = 4
    JUMBO_AT = 4                    # the length, 32 bits
    JUMBO_HLEN = 8

    IPV6_RT_TYPE = 2
    IPV6_RT_SEGMENTS_LEFT = 3
    IPV6_RT_ADDRESSES = 8
    IPV6_SRCRT_TYPE_0 = 0
    IPV6_SRCRT_TYPE_2 = 2           # RFC 6275
    IPV6_SRCRT_TYPE_4 = 4           # segment routing (RFC 8754)

    IPV6_FRAG_OFF = 2
    IPV6_FRAG_ID = 4
    IPV6_FRAG_HLEN = 8
    IP6_MF = 1                      # of the fragment header's offset field

cdef enum:  # TCP (RFC 9293; struct tcphdr)
    TCP_SEQ = 4
    TCP_ACK_SEQ = 8
    TCP_DOFF = 12                   # the upper half byte; with the flags a word of 16 bits
    TCP_FLAGS = 13
    TCP_WINDOW = 14
    TCP_CHECK = 16
    TCP_URG_PTR = 18
    TCP_HLEN = 20                   # without options
    TCP_MIN_DOFF = 5
    TCP_DOFF_MASK = 0xf0

    TCPHDR_FIN = 0x01
    TCPHDR_SYN = 0x02
    TCPHDR_RST = 0x04
    TCPHDR_PSH = 0x08
    TCPHDR_URG = 0x20
    TCPHDR_CWR = 0x80

    L4_PORTS_LEN = 4                # source and destination port, of UDP too

cdef enum:  # UDP (RFC 768; struct udphdr)
    UDP_DEST = 2
    UDP_LEN = 4
    UDP_CHECK = 6
    UDP_HLEN = 8

cdef enum:  # SCTP (RFC 9260; struct sctphdr, struct sctp_chunkhdr)
    SCTP_CHECK = 8                  # a CRC32c, its low byte first
    SCTP_HLEN = 12                  # the common header, before the chunks
    SCTP_CHUNK_LEN = 2              # without the padding
    SCTP_CHUNK_HLEN = 4
    SCTP_PAD = 4                    # chunks are padded to a multiple of it

cdef enum:  # GRE (RFC 2784, 2890; struct gre_base_hdr, then what the flags announce)
    GRE_PROTOCOL = 2
    GRE_CHECK = 4
    GRE_RESERVED1 = 6
    GRE_BASE_HLEN = 4
    GRE_CHECK_HLEN = 8              # with a checksum
    GRE_FIELD_LEN = 4               # checksum and reserved1, key, sequence number: each

    GRE_CSUM = 0x8000
    GRE_ROUTING = 0x4000
    GRE_KEY = 0x2000
    GRE_SEQ = 0x1000
    GRE_VERSION = 0x0007

cdef enum:  # GUE (draft-ietf-intarea-gue; include/net/gue.h)
    GUE_VERSION_SHIFT = 6           # the first byte: version, control bit, length of options
    GUE_CONTROL = 0x20
    GUE_HLEN_MASK = 0x1f            # in units of 4 bytes
    GUE_PROTO_CTYPE = 1
    GUE_FLAGS = 2
    GUE_PRIVATE_FLAGS = 4
    GUE_REMCSUM = 8                 # where the checksum starts, and where it is put: 16 bits each
    GUE_HLEN = 4                    # without options
    GUE_REMCSUM_HLEN = 12           # private flags, start and offset too

    GUE_FLAG_PRIV = 1
    GUE_PFLAG_REMCSUM = 0x80        # of the first byte of the private flags

cdef enum:  # VXLAN, VXLAN-GPE and Geneve (RFC 7348, 8926)
    UDP_TUNNEL_VNI = 4              # 24 bits; nothing is read after it but VXLAN's remote checksum
    UDP_TUNNEL_HLEN = 8             # without options

cdef enum:  # VXLAN's remote checksum offload (draft-herbert-vxlan-rco; include/net/vxlan.h)
    VXLAN_RCO = 7                   # the byte after the VNI: start / 2, and whose checksum it is
    VXLAN_RCO_UDP = 0x80            # UDP's, not TCP's
    VXLAN_MAX_REMCSUM_START = 0xfe

cdef enum:  # PPPoE session (RFC 2516; struct pppoe_hdr), PPP protocols (RFC 1332, 5072)
    PPPOE_SESSION = 2
    PPPOE_LENGTH = 4                # of the bytes after this field
    PPPOE_PROTOCOL = 6
    PPPOE_BASE_HLEN = 6
    PPPOE_SES_HLEN = 8              # with the PPP protocol

    PPPOE_SESSION_DATA = 0x1100     # version 1, type 1, code 0
    PPP_IP = 0x0021
    PPP_IPV6 = 0x0057
    PPP_ALLSTATIONS_UI = 0xff03     # address and control (RFC 1662)
    PPP_ADDRESS_LEN = 2
    PPP_LEAST = 2                   # a protocol, or one byte of it and one that follows
    CISCO_UNICAST = 0x0f00          # address and control of Cisco's HDLC
    CISCO_MULTICAST = 0x8f00

cdef enum:  # MPLS (RFC 3032)
    MPLS_BOTTOM = 2                 # the byte that has the bottom-of-stack bit
    MPLS_HLEN = 4

    MPLS_LS_S = 0x01

cdef enum:  # NSH (RFC 8300)
    NSH_LENGTH = 1
    NSH_NEXT_PROTOCOL = 3
    NSH_BASE_HLEN = 8

    NSH_LENGTH_MASK = 0x3f          # in units of 4 bytes

cdef enum:  # next protocol of NSH and VXLAN-GPE (include/net/tun_proto.h)
    TUN_P_IPV4 = 1
    TUN_P_IPV6 = 2
    TUN_P_ETHERNET = 3
    TUN_P_NSH = 4
    TUN_P_MPLS_UC = 5
