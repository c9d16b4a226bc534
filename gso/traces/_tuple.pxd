"""The flow of a packet from its first bytes, as pwru prints its tuple."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef extern from "arpa/inet.h" nogil:
    ctypedef unsigned int socklen_t
    enum: AF_INET
    enum: AF_INET6
    const char *inet_ntop(int family, const void *source, char *target, socklen_t size)

cdef extern from "stdio.h" nogil:
    int snprintf(char *target, size_t size, const char *format, ...)

cdef enum:
    FLOW_ROOM = 160


cdef inline uint32_t word(const uint8_t *data, int64_t at) noexcept nogil:
    return <uint32_t>data[at] << 8 | data[at + 1]


cdef inline bint is_ipv4(const uint8_t *data, int64_t size) noexcept nogil:
    """Whether this is an IPv4 header with a right checksum; other bytes may begin like one."""
    cdef uint32_t total = 0
    cdef int64_t i, length = (data[0] & 15) * 4
    if size < 20 or data[0] >> 4 != 4 or length < 20 or length > size:
        return False
    for i in range(0, length, 2):
        total += word(data, i)
    total = (total & 0xffff) + (total >> 16)
    return (total & 0xffff) + (total >> 16) == 0xffff


cdef inline bint is_ipv6(const uint8_t *data, int64_t size) noexcept nogil:
    return size >= 40 and data[0] >> 4 == 6 and (
        data[6] in (4, 6, 17, 41, 47, 58)) and data[7] != 0


cdef inline int64_t flow_of(const uint8_t *data, int64_t size, char *text) noexcept nogil:
    """Write "address:port->address:port(protocol)" into FLOW_ROOM bytes; return its length.

    The bytes should begin with an Ethernet or an IP header of TCP or UDP; 0 if they do not.
    """
    cdef char[46] source
    cdef char[46] target
    cdef int64_t at = 0, ports
    cdef uint8_t protocol
    cdef bint v6
    if not is_ipv4(data, size) and not is_ipv6(data, size):
        if size < 14:
            return 0
        at = 12
        while at + 4 < size and word(data, at) in (0x8100, 0x88a8):
            at += 4
        if at + 2 > size or word(data, at) not in (0x0800, 0x86dd):
            return 0
        at += 2
    v6 = data[at] >> 4 == 6
    if not (is_ipv6(data + at, size - at) if v6 else is_ipv4(data + at, size - at)):
        return 0
    protocol = data[at + 6] if v6 else data[at + 9]
    ports = at + (40 if v6 else (data[at] & 15) * 4)
    if protocol not in (6, 17) or ports + 4 > size:
        return 0
    if inet_ntop(AF_INET6 if v6 else AF_INET, data + at + (8 if v6 else 12), source, 46) == NULL:
        return 0
    if inet_ntop(AF_INET6 if v6 else AF_INET, data + at + (24 if v6 else 16), target, 46) == NULL:
        return 0
    return snprintf(
        text, FLOW_ROOM, b"[%s]:%u->[%s]:%u(%s)" if v6 else b"%s:%u->%s:%u(%s)", source,
        word(data, ports), target, word(data, ports + 2), <char *>b"tcp" if protocol == 6
        else <char *>b"udp")
