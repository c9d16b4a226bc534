from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t


cdef packed struct PacketInfo:
    int64_t payload         # bytes after the TCP or UDP header
    int64_t length          # bytes of the innermost IP packet, or 0
    int32_t network         # where the innermost IP header starts, or -1
    int32_t hlen            # bytes of all headers before the payload
    uint16_t mss            # TCP: of a SYN's option, 0 without one
    uint8_t flags           # TCP: the eight of RFC 9293
    uint8_t timestamps      # whether TCP has the option
    uint8_t partial         # whether the checksum field holds the pseudo header's sum
    uint8_t blank           # IPv4 headers that lack their checksum, a bit each: BLANK_*
    uint8_t sure            # whether the innermost IP header's version and length can be right
    uint8_t plausible       # whether that header's checksum is right, or left to a device
    uint8_t fragment        # whether the innermost IP packet, or the outer one, is a fragment
    uint8_t carried         # IP protocol that the innermost IP header announces
    uint8_t tcp_hlen        # bytes of a TCP header with its options
    # The packets of a flow have these in common, in a row:
    uint8_t version         # of the innermost IP header
    uint16_t source_port
    uint16_t destination_port
    uint8_t[16] source
    uint8_t[16] destination
    uint8_t protocol        # 6, 17, or 0 for what cannot be segmented
    uint8_t[16] final       # where a routing header leads to; without one, the destination
