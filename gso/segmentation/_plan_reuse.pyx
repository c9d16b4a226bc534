# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Plans used again for the next frame of the same flow.

Bulk traffic comes in runs of super-packets that differ only in lengths, IDs, checksums and the
transport header. The headers of such a frame need not be walked, and most of them need not be
summed: the plan of the frame before is used again, with those fields taken from the new frame.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp, memcpy, memset

from gso.buffers._bytes cimport get16, load16
from gso.headers._numbers cimport (
    SKB_GSO_TCP_FIXEDID_OUTER, SKB_GSO_TCP_FIXEDID_INNER, IPV6_HLEN, GRE_CHECK, GRO_LEGACY_MAX_SIZE,
    IPPROTO_TCP, IPV4_CHECK, IPV4_ID, IPV4_TOT_LEN, IPV6_PAYLOAD_LEN, L4_PORTS_LEN, PPPOE_LENGTH,
    SKB_GSO_PARTIAL, SKB_GSO_TCP_FIXEDID, SKB_GSO_UDP, TCP_DOFF, TCP_DOFF_MASK, UDP_CHECK, UDP_DEST,
    UDP_LEN,
)
from gso.headers._ambiguous cimport may_be_tunnel
from gso.headers._walk cimport (
    FEW_BYTES, LAYER_IPV4, LAYER_IPV6, LAYER_PPPOE, LAYER_UDP, drop_copy, fault, layer, port,
    port_list,
)
from gso.segmentation._plan cimport (
    INNER_COMPLETE, INNER_PARTIAL, make_plan, plan, plan_options,
)

cdef extern from "alike.h" nogil:
    bint gso_alike(const uint8_t *a, const uint8_t *b, const uint8_t *same, size_t n)

cdef enum:
    HALF = FEW_BYTES // 2   # more than most headers have
    # Types whose plans are not used again
    PLAIN_ONLY = (SKB_GSO_PARTIAL | SKB_GSO_TCP_FIXEDID | SKB_GSO_UDP | SKB_GSO_TCP_FIXEDID_OUTER
                  | SKB_GSO_TCP_FIXEDID_INNER)


cdef void free_field(plan_key *key, Py_ssize_t offset, Py_ssize_t n) noexcept nogil:
    """Allow a field to differ."""
    memset(key.same + offset, 0, n)


cdef void free_layer(plan_key *key, const layer *one, bint sealed) noexcept nogil:
    """Allow the fields of a layer to differ that set_length() and stamp() write."""
    if one.kind == LAYER_IPV4:
        free_field(key, one.offset + IPV4_TOT_LEN, 4)         # and the ID
        free_field(key, one.offset + IPV4_CHECK, 2)
    elif one.kind == LAYER_IPV6:
        free_field(key, one.offset + IPV6_PAYLOAD_LEN, 2)
    elif one.kind == LAYER_UDP:
        free_field(key, one.offset + UDP_LEN, 4 if sealed else 2)     # and the checksum
    elif one.kind == LAYER_PPPOE:
        free_field(key, one.offset + PPPOE_LENGTH, 2)
    elif sealed:
        free_field(key, one.offset + GRE_CHECK, 4)            # and reserved1


cdef void remember_plan(
    plan_key *key, const plan *p, Py_ssize_t size, int64_t gso_size, unsigned int gso_type
) noexcept nogil:
    """Note what the next frame must have in common with this one, to be segmented by its plan."""
    cdef Py_ssize_t l4_header = p.h.l4_header
    cdef int k
    key.known = (
        gso_size and size <= GRO_LEGACY_MAX_SIZE and p.template.p == p.template.few
        and (p.inner == INNER_COMPLETE or p.inner == INNER_PARTIAL)
        and not gso_type & PLAIN_ONLY
    )
    for k in range(1, p.h.n):
        if p.sealed[k] and p.h.layers[k].offset - p.h.layers[k - 1].offset > IPV6_HLEN:
            # Behind extension headers the pseudo header may depend on the checksum field
            key.known = key.known and p.h.layers[k].kind != LAYER_UDP
    if not key.known:
        return
    key.gso_size = gso_size
    key.gso_type = gso_type
    key.words = (l4_header + (TCP_DOFF + 1 if p.h.l4 == IPPROTO_TCP else L4_PORTS_LEN) + 7) // 8
    memset(key.same, 0xff, key.words * 8)
    key.checks = 0
    for k in range(p.h.n):
        free_layer(key, &p.h.layers[k], p.sealed[k])
        if p.h.layers[k].kind == LAYER_UDP and p.sealed[k]:
            key.check_at[key.checks] = p.h.layers[k].offset + UDP_CHECK
            key.checks += 1
    free_field(key, l4_header, key.words * 8 - l4_header)
    if p.h.l4 == IPPROTO_TCP:
        key.same[l4_header + TCP_DOFF] = TCP_DOFF_MASK
    else:
        memset(key.same + l4_header + UDP_DEST, 0xff, 2)  # dest: it may be that of a tunnel


cdef bint same_plan(const plan *p, const plan_key *key, const uint8_t *head) noexcept nogil:
    """Whether these headers equal those of the plan, except in fields that may differ."""
    cdef int k
    if not gso_alike(head, p.template.p, key.same, key.words * 8):
        return False
    for k in range(key.checks):
        if load16(head + key.check_at[k]) == 0:
            return False
    return True


cdef bint reuse_plan(
    plan *p, const plan_key *key, const port_list *ports, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Make the plan that of this frame, if it can be used again; return whether it can."""
    # A copy, as another thread may change the frame's memory meanwhile
    cdef uint8_t head[FEW_BYTES]
    cdef Py_ssize_t length = size - p.h.payload
    cdef int k
    if size < FEW_BYTES or size > GRO_LEGACY_MAX_SIZE or length <= key.gso_size:
        return False
    if p.hlen <= HALF:
        memcpy(head, frame, HALF)
    else:
        memcpy(head, frame, FEW_BYTES)
    if not same_plan(p, key, head):
        return False
    if p.guarded and may_be_tunnel(ports, frame + p.h.payload, length):
        return False
    if p.prepared:
        memcpy(p.template.p + p.h.l4_header, head + p.h.l4_header, p.hlen - p.h.l4_header)
        for k in range(p.stamps):
            p.stamp[k].ident = get16(head + p.stamp[k].offset + IPV4_ID)
    else:
        memcpy(p.template.p, head, p.hlen)
    p.payload = frame + p.hlen
    p.length = length
    p.count = (length + p.step - 1) // p.step
    return True


cdef int next_plan(
    plan *p, plan_key *key, fault *why, const plan_options *options, const uint8_t *frame,
    Py_ssize_t size, int64_t gso_size, unsigned int gso_type
) noexcept nogil:
    """Make a plan as make_plan() does, from the plan of the frame before where possible."""
    if (
        key.known and gso_size == key.gso_size and gso_type == key.gso_type
        and reuse_plan(p, key, options.ports, frame, size)
    ):
        return 0
    key.known = False
    if make_plan(p, why, options, frame, size, gso_size, gso_type) < 0:
        return -1
    remember_plan(key, p, size, gso_size, gso_type)
    return 0


# ---- kept from call to call -----------------------------------------------------------------

cdef enum:
    # Where no frame continues the flow of the one before, to note what the next one should have in
    # common with it is in vain: of so many calls, so many try.
    ROUND = 16
    TRIES = 2

cdef plan _plan
cdef plan_key _key
cdef plan_options _options      # of the call before,
cdef port_list _ports           # and its ports
cdef bint _lent = False
cdef unsigned int _missed = 0   # calls since a plan was last used again
_key.known = False


cdef plan *take_plan(plan *own, const plan_options *options) noexcept:
    """The plan that is kept from call to call, or `own` where that is not to be used.

    It may be with another call: of another thread, or one that a signal's handler interrupted. And
    what a layout, a virtio header or many ports have decided is for their call only.
    """
    global _lent, _missed
    if (
        _lent or options.layout is not NULL or options.believe
        or options.ports.ports != options.ports.few
    ):
        own.template.p = own.template.few
        return own
    if _missed % ROUND >= TRIES:
        _missed += 1
        own.template.p = own.template.few
        return own
    _lent = True
    if not same_options(options):
        _key.known = False
        remember_options(options)
    return &_plan


cdef bint same_options(const plan_options *options) noexcept:
    """Whether headers mean the same as in the call before, and the same is to be made of them."""
    return (
        options.partial == _options.partial and options.kernel == _options.kernel
        and options.link == _options.link and options.ports.n == _ports.n
        and memcmp(options.ports.few, _ports.few, _ports.n * sizeof(port)) == 0
    )


cdef void remember_options(const plan_options *options) noexcept:
    global _options
    _options = options[0]
    _ports.n = options.ports.n
    memcpy(_ports.few, options.ports.few, sizeof(_ports.few))


cdef int fill_plan(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size,
    int64_t gso_size, unsigned int gso_type
) noexcept nogil:
    """Make the plan that take_plan() returned, as make_plan() does."""
    global _missed
    if p != &_plan:
        return make_plan(p, why, options, frame, size, gso_size, gso_type)
    if next_plan(p, &_key, why, options, frame, size, gso_size, gso_type) < 0:
        return -1
    # What make_plan() has made is not prepared yet.
    _missed = 0 if p.prepared else _missed + 1
    return 0


cdef void give_plan(plan *p) noexcept:
    """End the use of a plan that take_plan() returned."""
    global _lent
    drop_copy(&p.template)
    if p == &_plan:
        _lent = False
