# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Frames that continue the flow of the frame before them.

Bulk traffic comes in runs of super-packets that differ in lengths, IDs, checksums and the transport
header only. Of such a frame the headers need not be walked, nor most of them summed: the plan of
the one before serves, with those fields taken over.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from gso.buffers._checksum cimport get16, load16
from gso.segmentation._plan cimport (
    COMPLETE, IPPROTO_TCP, PARTIAL, SKB_GSO_PARTIAL, SKB_GSO_TCP_FIXEDID, SKB_GSO_UDP, job,
    make_plan, plan,
)
from gso.headers._walk cimport FEW_BYTES, GRO_LEGACY_MAX_SIZE, IP4, IP6, UDP, fault, layer

cdef enum:
    HALF = FEW_BYTES // 2   # more than most headers have


cdef void free_field(flow *f, Py_ssize_t offset, Py_ssize_t n) noexcept nogil:
    """A field may differ."""
    memset(f.same + offset, 0, n)


cdef void free_layer(flow *f, const layer *one, bint sealed) noexcept nogil:
    """What set_length() and stamp() put into a layer may differ."""
    if one.kind == IP4:
        free_field(f, one.offset + 2, 4)        # tot_len, id
        free_field(f, one.offset + 10, 2)       # check
    elif one.kind == IP6:
        free_field(f, one.offset + 4, 2)        # payload_len
    elif one.kind == UDP:
        free_field(f, one.offset + 4, 4 if sealed else 2)   # len, check
    elif sealed:
        free_field(f, one.offset + 4, 4)        # GRE: checksum, reserved1


cdef void learn(
    flow *f, const plan *p, Py_ssize_t size, int64_t gso_size, unsigned int gso_type
) noexcept nogil:
    """What a sequel of this frame must have in common with it."""
    cdef Py_ssize_t l4_header = p.h.l4_header
    cdef int k
    f.known = (
        gso_size and size <= GRO_LEGACY_MAX_SIZE and p.template.p == p.template.few
        and (p.inner == COMPLETE or p.inner == PARTIAL)
        and not gso_type & (SKB_GSO_PARTIAL | SKB_GSO_TCP_FIXEDID | SKB_GSO_UDP)
    )
    if not f.known:
        return
    f.gso_size = gso_size
    f.gso_type = gso_type
    f.words = (l4_header + (12 + 1 if p.h.l4 == IPPROTO_TCP else 4) + 7) // 8
    memset(f.same, 0xff, f.words * 8)
    for k in range(p.h.n):
        free_layer(f, &p.h.layers[k], p.sealed[k])
    free_field(f, l4_header, f.words * 8 - l4_header)
    if p.h.l4 == IPPROTO_TCP:
        f.same[l4_header + 12] = 0xf0  # doff
    else:
        memset(f.same + l4_header + 2, 0xff, 2)  # dest: it may be that of a tunnel


cdef bint is_sequel(const plan *p, const flow *f, const uint8_t *head) noexcept nogil:
    """Do these headers differ from those of the plan in what may differ only?"""
    cdef uint64_t one, other, same, differ = 0
    cdef const uint8_t *check
    cdef Py_ssize_t i
    cdef int k
    for i in range(f.words):
        memcpy(&one, head + i * 8, 8)
        memcpy(&other, p.template.p + i * 8, 8)
        memcpy(&same, f.same + i * 8, 8)
        differ |= (one ^ other) & same
    if differ:
        return False
    for k in range(p.h.n):
        # A checksum of 0 is none
        check = head + p.h.layers[k].offset + 6
        if p.h.layers[k].kind == UDP and p.sealed[k] and load16(check) == 0:
            return False
    return True


cdef bint read_sequel(
    plan *p, const flow *f, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Make the plan that of this frame, if it is a sequel."""
    # A copy, as the frame's memory may change under our eyes
    cdef uint8_t head[FEW_BYTES]
    cdef Py_ssize_t length = size - p.h.payload
    cdef int k
    if size < FEW_BYTES or size > GRO_LEGACY_MAX_SIZE or length <= f.gso_size:
        return False
    if p.hlen <= HALF:
        memcpy(head, frame, HALF)
    else:
        memcpy(head, frame, FEW_BYTES)
    if not is_sequel(p, f, head):
        return False
    if p.prepared:
        memcpy(p.template.p + p.h.l4_header, head + p.h.l4_header, p.hlen - p.h.l4_header)
        for k in range(p.stamps):
            p.stamp[k].ident = get16(head + p.stamp[k].offset + 4)
    else:
        memcpy(p.template.p, head, p.hlen)
    p.payload = frame + p.hlen
    p.length = length
    p.count = (length + p.step - 1) // p.step
    return True


cdef int next_plan(
    plan *p, flow *f, fault *why, const job *j, const uint8_t *frame, Py_ssize_t size,
    int64_t gso_size, unsigned int gso_type
) noexcept nogil:
    """:func:`make_plan`, given the plan of the frame before and its flow."""
    if (
        f.known and gso_size == f.gso_size and gso_type == f.gso_type
        and read_sequel(p, f, frame, size)
    ):
        return 0
    f.known = False
    if make_plan(p, why, j, frame, size, gso_size, gso_type) < 0:
        return -1
    learn(f, p, size, gso_size, gso_type)
    return 0
