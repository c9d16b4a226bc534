# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Segmentation of many frames in one call, on as many threads as wanted.

One thread writes to memory that grows when it must. Several must know where each one's output
starts: if not all frames are like the first, they are all planned before.
"""

cimport cython
from cpython.long cimport PyLong_Check
from libc.stdint cimport int64_t, uint8_t

from gso.buffers._checksum cimport GSO_LINE, STREAM, gso_prefetch, simd
from gso.buffers._frames cimport Frames, Segments, as_frames
from gso.buffers._memory cimport Memory
from gso.buffers._per_frame cimport number_at, numbers, take_array, take_one
from gso.buffers._signals cimport (
    FRAME_WORK, PIECE, RELEASE_GIL, SEGMENT_WORK, check_signals, copy_bytes,
)
from gso.headers._arguments cimport (
    as_error, as_gso_size, as_gso_type, as_kernel, as_link, drop_ports, is_partial, take_ports,
)
from gso.headers._walk cimport drop_copy, fault, port_list
from gso.segmentation._plan cimport plan, plan_options, plan_size
from gso.segmentation._plan_reuse cimport next_plan, plan_key
from gso.segmentation._segment cimport (
    check_headers, headers_size, write_headers, write_plan,
)
from gso.segmentation._workers cimport announce, awake, share

import os
from bisect import bisect_left
from operator import index

import numpy as np

from gso.constants import Reason
from gso.errors import GsoError

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    AHEAD = 4  # frames
    LOOK = 32  # frames: how often the work done is added up
    HEADER_LINES = 4

    PASS_RAISED = -2
    PASS_FAULT = -1
    PASS_DONE = 0
    PASS_FULL = 1

# How far a pass over the frames has come
cdef struct position:
    Py_ssize_t frame
    Py_ssize_t segment
    Py_ssize_t byte


cdef class _Batch:
    """Arguments, input and output of the passes over a batch."""

    cdef Frames frames
    cdef plan_options j
    cdef port_list ports
    cdef bint keep                  # errors="pass"
    cdef numbers gso_size, gso_type
    cdef object sizes, types        # the arrays of both
    cdef bint headers_only          # the payload stays where it is: `pieces` says where
    cdef Memory data, end_memory, count_memory, piece_memory
    cdef bint grows                 # `data` is ours, not the caller's
    cdef uint8_t *out
    cdef int64_t *ends
    cdef int64_t *counts            # segments of each frame
    cdef int64_t *pieces            # offset in the batch and length of each payload
    cdef bint stream
    cdef bint stopped               # no caller waits for the result any more

    def __cinit__(self):
        self.ports.ports = self.ports.few
        self.data = Memory.__new__(Memory)
        self.end_memory = Memory.__new__(Memory)
        self.count_memory = Memory.__new__(Memory)
        self.piece_memory = Memory.__new__(Memory)

    def __dealloc__(self):
        drop_ports(&self.ports)

    cdef int take_out(self, object out) except -1:
        """Take the caller's memory for the segments, unless `out` is None."""
        cdef const uint8_t *begin
        cdef Frames frames = self.frames
        self.grows = out is None
        if self.grows:
            return 0
        self.data.borrow(out)
        begin = <const uint8_t *>self.data.p
        if frames.n and begin < frames.buf + frames.off[frames.n] \
                and frames.buf < begin + self.data.size:
            raise ValueError("out overlaps the frames")
        return 0

    cdef int make_room(self, const position *end) except -1:
        """Allocate room for the output up to `end`."""
        self.data.resize(end.byte)
        self.out = <uint8_t *>self.data.p
        self.end_memory.resize((end.segment + 1) * sizeof(int64_t))
        self.ends = <int64_t *>self.end_memory.p
        self.ends[0] = 0
        if self.headers_only:
            self.piece_memory.resize(end.segment * 2 * sizeof(int64_t))
            self.pieces = <int64_t *>self.piece_memory.p
        self.stream = end.byte >= STREAM
        return 0

    cdef Segments result(self, const position *end):
        """The segments written, up to `end`."""
        if end.byte < self.data.size - self.data.size // 4:
            # If less were given back, the C library would take new pages from the system for every
            # batch
            self.data.resize(end.byte)
        # The bytes after the output are not exported
        self.data.size = end.byte
        self.end_memory.size = (end.segment + 1) * sizeof(int64_t)
        self.piece_memory.size = end.segment * 2 * sizeof(int64_t)
        cdef Segments segments = Segments.__new__(Segments)
        segments.adopt(self.data, self.end_memory, end.segment)
        segments.counts = self.count_memory
        return segments

    cdef int check_initialised(self) except -1:
        if self.frames is None:
            raise TypeError("a _Batch is made by gso.segment_batch")
        return 0

    def measure(self, Py_ssize_t begin, Py_ssize_t end):
        """Count segments and bytes of the output of frames `begin` to `end`."""
        self.check_initialised()
        cdef position at = position(begin, 0, 0)
        cdef position limit = position(end, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX)
        cdef fault why
        cdef int state
        with nogil:
            announce()
            state = self.pass_over(&at, &limit, False, &why)
        if state == PASS_FAULT:
            raise as_error(&why, at.frame)
        return at.segment, at.byte

    def write(self, position at, position limit):
        """Write the frames between two places, known from :meth:`measure` or expected."""
        self.check_initialised()
        cdef fault why
        cdef int state
        with nogil:
            announce()
            state = self.pass_over(&at, &limit, True, &why)
        if state == PASS_FAULT:
            raise as_error(&why, at.frame)
        if state == PASS_FULL or at.byte != limit.byte or at.segment != limit.segment:
            raise GsoError(
                f"frame {at.frame}: changed while the batch was being segmented: output that was "
                f"to end at byte {limit.byte} is at {at.byte}",
                reason=Reason.LAYOUT, field="len", offset=at.byte, limit=limit.byte)

    cdef int pass_over(
        self, position *at, const position *end, bint write, fault *why
    ) except PASS_RAISED nogil:
        """Go on from `at` to `end`, and look for signals now and then.

        Returns PASS_DONE; PASS_FULL if there is no room for the output of the next frame, whose
        bytes are in `why.offset` and segments in `why.value`; or PASS_FAULT if it is refused.
        """
        cdef plan p
        cdef plan_key f
        cdef position looked = at[0], few = end[0]
        cdef int state = PASS_DONE
        f.known = False
        p.template.p = p.template.few
        try:
            while state == PASS_DONE and at.frame < end.frame:
                few.frame = min(at.frame + LOOK, end.frame)
                state = self.pass_few(&p, &f, at, &few, write, why)
                self.look(at, &looked)
        finally:
            drop_copy(&p.template)
        if write and self.stream:
            simd.stream_end()
        return state

    cdef inline int pass_few(
        self, plan *p, plan_key *f, position *at, const position *end, bint write, fault *why
    ) except PASS_RAISED nogil:
        """:meth:`pass_over` for a few frames; the caller frees the template of the last plan."""
        cdef const uint8_t *frame
        cdef Py_ssize_t i, size, count, length
        cdef bint refused
        while at.frame < end.frame:
            i = at.frame
            frame = self.frames.buf + self.frames.off[i]
            size = self.frames.off[i + 1] - self.frames.off[i]
            self.prefetch(i + AHEAD)
            refused = next_plan(
                p, f, why, &self.j, frame, size, number_at(&self.gso_size, i),
                <unsigned int>number_at(&self.gso_type, i)) < 0
            if self.headers_only and not refused:
                refused = check_headers(p, why) < 0
            count = 1 if refused else p.count
            length = self.output(p, size, refused)
            if refused and not self.keep:
                return PASS_FAULT
            if length > end.byte - at.byte or count > end.segment - at.segment:
                why.offset = length
                why.value = count
                return PASS_FULL
            if write:
                self.carry_out(p, at, refused)
                if self.headers_only:
                    self.number(at, count, length, 0 if refused else p.hlen)
                else:
                    self.number(at, count, length, 0 if refused else p.hlen + p.step)
            drop_copy(&p.template)
            at.segment += count
            at.byte += length
            at.frame += 1
        return PASS_DONE

    cdef int look(self, const position *at, position *looked) except -1 nogil:
        """Look for signals if there was much work since `looked`."""
        cdef Py_ssize_t work = self.frames.off[at.frame] - self.frames.off[looked.frame]
        work += (at.frame - looked.frame) * FRAME_WORK + at.byte - looked.byte
        work += (at.segment - looked.segment) * SEGMENT_WORK
        if work < PIECE:
            return 0
        looked[0] = at[0]
        return check_signals(&self.stopped)

    cdef inline Py_ssize_t output(
        self, const plan *p, Py_ssize_t size, bint refused
    ) noexcept nogil:
        """Bytes of output that a frame of `size` bytes makes."""
        if self.headers_only:
            return 0 if refused else headers_size(p)
        return size if refused else plan_size(p)

    cdef inline int carry_out(
        self, plan *p, const position *at, bint refused
    ) except -1 nogil:
        """Write the output of a frame."""
        cdef Py_ssize_t start = self.frames.off[at.frame]
        cdef Py_ssize_t size = self.frames.off[at.frame + 1] - start
        cdef const uint8_t *frame = self.frames.buf + start
        cdef uint8_t *out = self.out + at.byte
        cdef int64_t *pieces = self.pieces + 2 * at.segment
        if not self.headers_only:
            if refused:
                return copy_bytes(out, frame, size, &self.stopped)
            return write_plan(p, frame, size, out, self.stream)
        if refused:
            pieces[0], pieces[1] = start, size
            return 0
        return write_headers(p, frame, size, start, out, pieces)

    cdef inline void prefetch(self, Py_ssize_t i) noexcept nogil:
        """Fetch a frame's headers into the caches before they are read."""
        cdef int k
        if i < self.frames.n:
            for k in range(HEADER_LINES):
                gso_prefetch(self.frames.buf + self.frames.off[i] + k * GSO_LINE)

    cdef void number(
        self, const position *at, Py_ssize_t count, Py_ssize_t length, Py_ssize_t each
    ) noexcept nogil:
        """Note the number of segments of a frame, and where they end.

        All but one have `each` bytes: segments alone may end with a shorter one, headers alone may
        begin with a longer one.
        """
        cdef Py_ssize_t k
        cdef Py_ssize_t extra = length - count * each if self.headers_only else 0
        self.counts[at.frame] = count
        for k in range(count - 1):
            self.ends[at.segment + k + 1] = at.byte + extra + (k + 1) * each
        self.ends[at.segment + count] = at.byte + length


cdef bint is_array(object values) except -1:
    # An IntFlag is an integer, and has a length too
    return values is not None and not PyLong_Check(values) and hasattr(values, "__len__")


def segment_batch(frames, gso_size, *, Py_ssize_t threads=1, gso_type=None,
                  out=None, link_type="ethernet", tunnel_ports=None, checksum="complete",
                  errors="raise", kernel="6.12"):
    """:func:`segment` each frame of a batch, of whatever kinds they are.

    Args:
        frames: the super-packets: :class:`Frames`, or a list of buffers.
        gso_size: an integer, or one for each frame (array of shape (len(frames),)).
        threads: how many threads may share the work, without the GIL; little work has fewer.
        gso_type: a :class:`GsoType` or None for all, or an array with one for each frame.
        out: a writable buffer to put the segments in, which must not overlap the frames. The
            result refers to it. None: new memory.
        link_type, tunnel_ports, checksum, kernel: as for :func:`segment`.
        errors: "raise" GsoError for the first frame that is refused, or "pass" such frames on
            unchanged.

    Returns :class:`Segments`: the segments of all frames, in order, with their ``parent``.

    Raises GsoError with the number of the frame in its message, and ValueError if `out` is too
    small. Then `out` may hold segments of some frames.
    """
    if threads < 1:
        raise ValueError(f"threads is at least 1, got {threads}")
    cdef _Batch batch = _arguments(
        as_frames(frames), gso_size, gso_type, link_type, tunnel_ports, checksum, errors, kernel)
    batch.take_out(out)
    threads = _worth(batch.frames, threads)
    if threads > 1:
        return _on_threads(batch, threads)
    return _on_one(batch)


def segment_batch_vouched(
    Frames frames not None, const int64_t[::1] gso_size not None,
    const int64_t[::1] gso_type not None, *, link_type, checksum, kernel
):
    """:func:`segment_batch` of frames whose virtio headers say that they are CHECKSUM_PARTIAL.

    The values in the checksum fields are believed, as the kernel does, even if they are wrong. Both
    arrays are the caller's own, and hold what a virtio header can.
    """
    if not gso_size.shape[0] == frames.n == gso_type.shape[0]:
        raise ValueError(
            f"{frames.n} frames, {gso_size.shape[0]} sizes, {gso_type.shape[0]} types")
    cdef _Batch batch = _arguments(
        frames, 0, None, link_type, None, checksum, "raise", kernel)
    if frames.n:
        batch.gso_size.values, batch.gso_type.values = &gso_size[0], &gso_type[0]
        batch.gso_size.step = batch.gso_type.step = 1
    batch.j.believe = True
    batch.take_out(None)
    return _on_one(batch)


cdef int check_types(object array) except -1:
    """Refuse a number that alone is refused, too: the kernel's field has 32 bits."""
    if array.size:
        as_gso_type(array.min())
        as_gso_type(array.max())
    return 0


cdef _Batch _arguments(
    Frames frames, gso_size, gso_type, link_type, tunnel_ports, checksum, errors, kernel
):
    """A batch with the arguments that both functions have."""
    if errors not in ("raise", "pass"):
        raise ValueError(f'errors is "raise" or "pass", not {errors!r}')
    cdef _Batch batch = _Batch()
    batch.frames = frames
    batch.keep = errors == "pass"
    batch.j.partial = is_partial(checksum)
    batch.j.believe = False
    batch.j.kernel = as_kernel(kernel)
    batch.j.link = as_link(link_type)
    batch.j.stop = &batch.stopped
    batch.j.layout = NULL
    batch.j.ports = &batch.ports
    take_ports(&batch.ports, tunnel_ports)
    if is_array(gso_size):
        batch.sizes = take_array(&batch.gso_size, gso_size, frames.n, "gso_size")
    else:
        take_one(&batch.gso_size, as_gso_size(gso_size))
    if is_array(gso_type):
        batch.types = take_array(&batch.gso_type, gso_type, frames.n, "gso_type")
        check_types(batch.types)
    else:
        take_one(&batch.gso_type, as_gso_type(gso_type))
    batch.count_memory.resize(frames.n * sizeof(int64_t))
    batch.counts = <int64_t *>batch.count_memory.p
    return batch


cdef Py_ssize_t _worth(Frames frames, Py_ssize_t threads) except -1:
    """Return how many of the threads have enough to do to be worth their start."""
    if threads == 1 or not frames.n:
        return 1
    cdef Py_ssize_t work = frames.off[frames.n] + frames.n * FRAME_WORK
    cdef Py_ssize_t each = _THREAD_WORK if awake() < threads - 1 else _THREAD_WORK // 8
    threads = max(min(threads, frames.n, work // max(each, 1)), 1)
    return min(threads, len(os.sched_getaffinity(0))) if threads > 1 else 1


# To wake a thread, and to plan each frame twice, takes as long as to segment some megabytes: below
# this, two threads that had to be woken were slower than one.
_THREAD_WORK = max(int(os.environ.get("GSO_THREAD_WORK", 4 << 20)), 1)


def segment_headers_batch(frames, gso_size, *, gso_type=None,
                          link_type="ethernet", tunnel_ports=None, checksum="complete",
                          errors="raise", kernel="6.12"):
    """:func:`segment_headers` of each frame of a batch.

    ``iovecs(i)`` of the result is segment `i` as a header and a piece of the frame, for
    ``socket.sendmsg``: no payload is copied.

    Args:
        frames: the super-packets, as for :func:`segment_batch`; the result refers to them.
        gso_size, gso_type, link_type, tunnel_ports, checksum, kernel: as for
            :func:`segment_batch`.
        errors: "raise" GsoError for the first frame that is refused, or "pass" such frames on: as
            one segment, which has an empty header and the whole frame as its payload.

    Returns :class:`SegmentHeadersBatch`. Raises GsoError with the number of the frame.
    """
    cdef _Batch batch = _arguments(
        as_frames(frames), gso_size, gso_type, link_type, tunnel_ports, checksum, errors, kernel)
    batch.headers_only = batch.grows = True
    cdef SegmentHeadersBatch result = SegmentHeadersBatch.__new__(SegmentHeadersBatch)
    result.headers = _on_one(batch)
    result.frames = batch.frames
    result.pieces = batch.piece_memory
    return result


@cython.auto_pickle(False)
cdef class SegmentHeadersBatch:
    """Headers of the segments of many frames, and where each one's payload is.

    ``len()`` is the number of segments.
    """

    cdef readonly Segments headers
    """The headers, one for each segment, with `parent`: the number of its frame."""
    cdef readonly Frames frames
    """The frames, whose bytes the payloads are."""
    cdef Memory pieces

    def __init__(self):
        raise TypeError("SegmentHeadersBatch comes from gso.segment_headers_batch")

    @property
    def payload(self):
        """Offset in ``frames.data`` and length of each payload: int64 array of shape (n, 2)."""
        return np.frombuffer(self.checked().pieces, np.int64).reshape(-1, 2)

    @property
    def parent(self):
        """Which frame each segment came from: read-only int64 array of shape (n,)."""
        return self.checked().headers.parent

    def iovecs(self, i):
        """Segment `i`: read-only memoryviews of its header and of its payload.

        ``socket.sendmsg(headers.iovecs(i))`` sends it. Raises IndexError.
        """
        self.checked()
        header = self.headers.one(index(i))
        cdef Py_ssize_t k = index(i)
        cdef const int64_t *piece = <const int64_t *>self.pieces.p
        piece += 2 * (k if k >= 0 else k + self.headers.n)
        return [header, self.frames.memory()[piece[0]:piece[0] + piece[1]]]

    cdef SegmentHeadersBatch checked(self):
        """Raise TypeError for an object made without its function."""
        if self.headers is None:
            raise TypeError("SegmentHeadersBatch comes from gso.segment_headers_batch")
        return self

    def __len__(self):
        return self.checked().headers.n

    def __repr__(self):
        return f"<gso.SegmentHeadersBatch: {len(self)} segments>"

    def __reduce__(self):
        raise TypeError("SegmentHeadersBatch refers to frames, and is not pickled")


cdef Segments _on_one(_Batch batch):
    """Write frame after frame, and make more room for the one that does not fit."""
    cdef Py_ssize_t n = batch.frames.n, size = batch.frames.off[n] if n else 0
    cdef position at = position(0, 0, 0)
    cdef position end = position(n, size // 512 + n + 16, size + size // 8 + 1024)
    cdef fault why
    cdef int state
    if batch.headers_only:
        end.byte = size // 8 + n * 128 + 1024
    if not batch.grows:
        end.byte = batch.data.size
    batch.make_room(&end)
    while True:
        if size < RELEASE_GIL:
            state = batch.pass_over(&at, &end, True, &why)
        else:
            with nogil:
                state = batch.pass_over(&at, &end, True, &why)
        if state == PASS_FAULT:
            raise as_error(&why, at.frame)
        if state == PASS_DONE:
            return batch.result(&at)
        if at.segment + why.value > end.segment:
            end.segment = at.segment + at.segment // 2 + why.value
        if at.byte + why.offset > end.byte:
            # The caller's memory must suffice; ours gets room for the next frames, too
            end.byte = at.byte + why.offset
            end.byte += at.byte // 2 if batch.grows else 0
        batch.make_room(&end)


cdef Segments _on_threads(_Batch batch, int threads):
    """Write as many pieces of the batch as there are threads, each to its own place."""
    cdef Py_ssize_t n = batch.frames.n
    offsets = batch.frames.offsets
    cuts = [bisect_left(offsets, offsets[n] * i // threads, 0, n) for i in range(threads)] + [n]
    places = _expected(batch, cuts)
    if places is not None:
        try:
            return _written(batch, places)
        except GsoError:  # not all frames are like the first
            batch.stopped = False
    return _written(batch, _measured(batch, cuts))


cdef list _expected(_Batch batch, list cuts):
    """Where the output of each piece starts and ends if all frames are like the first.

    None if they are not: their lengths differ, or what is asked for them.
    """
    cdef const int64_t *off = batch.frames.off
    cdef numbers size = batch.gso_size, kind = batch.gso_type
    cdef Py_ssize_t i
    for i in range(1, batch.frames.n):
        if (off[i + 1] - off[i] != off[1] or number_at(&size, i) != number_at(&size, 0)
                or number_at(&kind, i) != number_at(&kind, 0)):
            return None
    segments, length = batch.measure(0, 1)
    if not batch.grows and length > batch.data.size // batch.frames.n:
        return None  # whoever gave the memory may know better
    return [position(cut, cut * segments, cut * length) for cut in cuts]


cdef list _measured(_Batch batch, list cuts):
    """Where the output of each piece starts and ends: all frames are planned for that."""
    cdef position end = position(0, 0, 0)
    places, last = [end], len(cuts) - 1
    sizes = share(batch.measure, cuts[:last], cuts[1:], &batch.stopped)
    for cut, size in zip(cuts[1:], sizes, strict=True):
        end = position(cut, end.segment + size[0], end.byte + size[1])
        places.append(end)
    return places


cdef Segments _written(_Batch batch, list places):
    cdef Py_ssize_t last = len(places) - 1
    cdef position end = places[last]
    batch.make_room(&end)
    share(batch.write, places[:last], places[1:], &batch.stopped)
    return batch.result(&end)
