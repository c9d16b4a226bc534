"""Plans used again for the next frame of the same flow."""

from libc.stdint cimport int64_t, uint8_t

from gso.headers._walk cimport FEW_BYTES, MAX_LAYERS, fault
from gso.segmentation._plan cimport plan, plan_options

# The bytes that a frame must share with the one before, so that its plan can be used again.
cdef struct plan_key:
    bint known                          # there is a plan that can be used again
    int64_t gso_size
    unsigned int gso_type
    Py_ssize_t words                    # of 8 bytes
    uint8_t same[FEW_BYTES]             # bits of the headers that must be equal
    int checks                          # UDP checksums that must not become 0, which says that
    int check_at[MAX_LAYERS]            # there is none, and where they are

# Make a plan as make_plan() does, from the plan of the frame before where that is possible.
cdef int next_plan(
    plan *p, plan_key *key, fault *why, const plan_options *options, const uint8_t *frame,
    Py_ssize_t size, int64_t gso_size, unsigned int gso_type
) noexcept nogil


# The plan for a call on one frame: the one that is kept from call to call, which comes again for
# the next frame of the same flow, or else `own`. Holding the GIL; give_plan() gives it back.
cdef plan *take_plan(plan *own, const plan_options *options) noexcept
cdef int fill_plan(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size,
    int64_t gso_size, unsigned int gso_type
) noexcept nogil
cdef void give_plan(plan *p) noexcept
