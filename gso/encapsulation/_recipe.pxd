"""A tunnel's headers and what is to be done with them, for each frame of a call."""

from libc.stdint cimport int32_t, uint8_t, uint32_t

from gso.buffers._per_frame cimport numbers
from gso.encapsulation._link cimport link_header

cdef enum:
    OUTER_ROOM = 384            # IPv6, an encapsulation limit, UDP, Geneve with all its options

cdef enum sealing:
    SEAL_COMPLETE, SEAL_PARTIAL

# gso.encapsulation.outer.Outer
cdef struct template:
    uint8_t data[OUTER_ROOM]
    int32_t size
    int32_t version
    int32_t udp
    int32_t gre_check
    int32_t protocol
    int32_t carries
    int32_t length
    int32_t sequence
    int32_t remcsum
    bint own_ecn

cdef struct recipe:
    template plain
    template remote             # with remote checksum offload, for packets that can have it
    bint with_remote
    bint ethernet               # what is inside
    bint v4_inside
    bint v6_inside
    bint sealed                 # the UDP or GRE header has a checksum
    sealing seal
    bint inherit_ttl
    bint inherit_tos
    bint inherit_df
    # What follows is of the call, not of the tunnel.
    bint raw
    bint big                    # lengths that do not fit are 0 (iph_set_totlen, udp_set_len)
    bint stream                 # the result does not stay in the caches
    link_header link
    numbers source_ports
    numbers ids
    numbers labels
    uint32_t sequence           # of the first frame


# What is the same in all calls for a tunnel.
cdef class Prepared:
    cdef recipe r


# The arguments are those of _prepared().
cdef Prepared prepare(tuple arguments)
# Returns what keeps the memory alive that `taken` points to.
cdef object take_numbers(numbers *taken, str name, object value, Py_ssize_t n, Py_ssize_t high)
