# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The per-packet loops of capture files: find records, gather their bytes, write them.

Nothing here keeps state or knows about files: callers pass a buffer and an array of
``RECORD_DTYPE``. Every length and offset that comes out of a file is checked before it is used.

Sources: draft-ietf-opsawg-pcap section 5 (pcap records), draft-ietf-opsawg-pcapng sections 4.3
(enhanced packet block), 4.4 (simple packet block) and appendix A (obsolete packet block).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from gso.constants import Reason
from gso.errors import GsoError

cdef extern from *:
    """
    typedef unsigned __int128 gso_u128;
    static inline uint16_t gso_swap16(uint16_t x) { return __builtin_bswap16(x); }
    static inline uint32_t gso_swap32(uint32_t x) { return __builtin_bswap32(x); }
    """
    ctypedef unsigned long long gso_u128
    uint16_t gso_swap16(uint16_t x) nogil
    uint32_t gso_swap32(uint32_t x) nogil

RECORD_DTYPE = np.dtype([
    ("block", np.int64), ("data", np.int64), ("options", np.int64), ("ticks", np.uint64),
    ("block_length", np.uint32), ("captured", np.uint32), ("original", np.uint32),
    ("options_length", np.uint32), ("interface", np.uint32), ("kind", np.uint32),
])

cdef enum:
    # Kinds of record: pcapng block types, and 0 for pcap; 1 for pcap before version 2.3, which has
    # the two lengths the other way round.
    PCAP = 0
    OLD_PCAP = 1
    OPB = 2
    SPB = 3
    EPB = 6
    # No kernel builds a packet of this size; a longer length in a file is a lie or damage, and
    # believing it would make a reader wait for, and allocate, gigabytes.
    LIMIT = 1 << 24
    PCAP_HEADER = 16
    EPB_HEADER = 28
    SPB_HEADER = 12
    OPT_END = 0
    OPT_FLAGS = 2
    OPT_HASH = 3
    OPT_QUEUE = 6
    OPT_VERDICT = 7

PCAP_RECORD = PCAP
OLD_PCAP_RECORD = OLD_PCAP
OBSOLETE_PACKET_BLOCK = OPB
SIMPLE_PACKET_BLOCK = SPB
ENHANCED_PACKET_BLOCK = EPB
MAX_BLOCK = LIMIT

cdef int64_t NOT_A_TIME = -<int64_t>0x7fffffffffffffff - 1

cdef enum Fault:
    FINE
    CAPTURED_TOO_LONG
    BLOCK_LENGTH
    TRAILER
    CAPTURED
    INTERFACE
    OPTION

cdef struct Trouble:
    Fault fault
    uint32_t value
    uint32_t limit
    uint32_t option         # its code, and where in the block it is
    uint32_t at


# The bytes of a frame, which may lie in two places
cdef struct Content:
    const uint8_t *head
    int64_t length
    const uint8_t *tail
    int64_t tail_length


cdef inline uint32_t load32(const uint8_t *at, bint swapped) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return gso_swap32(value) if swapped else value


cdef inline uint16_t load16(const uint8_t *at, bint swapped) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return gso_swap16(value) if swapped else value


cdef inline void store32(uint8_t *at, uint32_t value, bint swapped) noexcept nogil:
    if swapped:
        value = gso_swap32(value)
    memcpy(at, &value, 4)


cdef inline int64_t padded(int64_t length) noexcept nogil:
    return (length + 3) & ~<int64_t>3


# --- reading ---------------------------------------------------------------------------------


def scan_pcap(const uint8_t[::1] buffer, Py_ssize_t start, Py_ssize_t stop, bint swapped,
              Record[::1] records, int64_t origin=0, int minor=4, int header=PCAP_HEADER):
    """Find whole pcap records in ``buffer[start:stop]``.

    `minor` is that of version 2 of the format; before 2.3, the original length precedes the
    captured one; in 2.3 it may (as libpcap has it). `header` is the size of a record's header: 16
    bytes, or 24 in a "modified" file. `origin` is the file offset of ``buffer[0]``, for
    messages. Returns (records found, where the
    next record starts). It stops at a record that is not whole yet, and before a damaged one,
    which raises GsoError when it is the first.
    """
    cdef Trouble trouble
    cdef Py_ssize_t found
    if not 0 <= start <= stop <= buffer.shape[0]:
        raise IndexError(f"{start}:{stop} is not within a buffer of {buffer.shape[0]} bytes")
    with nogil:
        found = _scan_pcap(
            buffer, &start, stop, swapped, records, minor, header, &trouble)
    if not found and trouble.fault != FINE:
        _refuse(&trouble, origin + start)
    return found, start


cdef Py_ssize_t _scan_pcap(const uint8_t[::1] buffer, Py_ssize_t *position, Py_ssize_t stop,
                           bint swapped, Record[::1] records, int minor, int hlen,
                           Trouble *trouble) noexcept nogil:
    cdef Py_ssize_t at = position[0], found = 0, room = records.shape[0]
    cdef const uint8_t *header
    cdef uint32_t captured, original
    cdef bint old
    cdef Record *record
    trouble.fault = FINE
    while found < room and stop - at >= hlen:
        header = &buffer[at]
        captured = load32(header + 8, swapped)
        original = load32(header + 12, swapped)
        old = minor < 3 or (minor == 3 and captured > original)
        if old:
            captured, original = original, captured
        if captured > LIMIT:
            trouble[0] = Trouble(CAPTURED_TOO_LONG, captured, LIMIT, 0, 0)
            break
        if stop - at - hlen < captured:
            break
        record = &records[found]
        record.block = at
        record.data = at + hlen
        record.options = at + PCAP_HEADER
        record.ticks = <uint64_t>load32(header, swapped) << 32 | load32(header + 4, swapped)
        record.block_length = hlen + captured
        record.captured = captured
        record.original = original
        record.options_length = hlen - PCAP_HEADER
        record.interface = 0
        record.kind = OLD_PCAP if old else PCAP
        at += hlen + captured
        found += 1
    position[0] = at
    return found


def scan_pcapng(const uint8_t[::1] buffer, Py_ssize_t start, Py_ssize_t stop, bint swapped,
                uint32_t interfaces, uint32_t snaplen, Record[::1] records, int64_t origin=0):
    """Find whole packet blocks in ``buffer[start:stop]`` of one pcapng section.

    `interfaces` is how many the section has described so far, `snaplen` the limit of its first
    one (simple packet blocks do not say how much they captured), `origin` the file offset of
    ``buffer[0]``. Returns (records found, where the next block starts). It stops at a block of
    another type, at one that is not whole yet, and before a damaged one, which raises GsoError
    when it is the first.
    """
    cdef Trouble trouble
    cdef Py_ssize_t found
    if not 0 <= start <= stop <= buffer.shape[0]:
        raise IndexError(f"{start}:{stop} is not within a buffer of {buffer.shape[0]} bytes")
    with nogil:
        found = _scan_pcapng(
            buffer, &start, stop, swapped, interfaces, snaplen, records, &trouble)
    if not found and trouble.fault != FINE:
        _refuse(&trouble, origin + start)
    return found, start


cdef Py_ssize_t _scan_pcapng(const uint8_t[::1] buffer, Py_ssize_t *position, Py_ssize_t stop,
                             bint swapped, uint32_t interfaces, uint32_t snaplen,
                             Record[::1] records, Trouble *trouble) noexcept nogil:
    cdef Py_ssize_t at = position[0], found = 0, room = records.shape[0]
    cdef const uint8_t *header
    cdef uint32_t kind, length, least
    cdef Record *record
    trouble.fault = FINE
    while found < room and stop - at >= 12:
        header = &buffer[at]
        kind = load32(header, swapped)
        if kind != EPB and kind != SPB and kind != OPB:
            break
        length = load32(header + 4, swapped)
        least = 16 if kind == SPB else 32
        if length < least or length > LIMIT or length % 4:
            trouble[0] = Trouble(BLOCK_LENGTH, length, least, 0, 0)
            break
        if stop - at < length:
            break
        if load32(header + length - 4, swapped) != length:
            trouble[0] = Trouble(TRAILER, load32(header + length - 4, swapped), length, 0, 0)
            break
        record = &records[found]
        record.block = at
        record.block_length = length
        record.kind = kind
        if not _packet_block(header, at, swapped, interfaces, snaplen, record, trouble):
            break
        at += length
        found += 1
    position[0] = at
    return found


cdef bint _packet_block(const uint8_t *header, Py_ssize_t at, bint swapped, uint32_t interfaces,
                        uint32_t snaplen, Record *record, Trouble *trouble) noexcept nogil:
    """Fill in what differs between the three packet blocks; False for a field that lies."""
    cdef int64_t room
    if record.kind == SPB:
        room = <int64_t>record.block_length - SPB_HEADER - 4
        record.original = load32(header + 8, swapped)
        record.captured = record.original
        if snaplen and record.captured > snaplen:
            record.captured = snaplen
        if padded(record.captured) > room:
            # Some writers cut the packet without announcing a snaplen: the block's length rules.
            record.captured = <uint32_t>room
        record.data = at + SPB_HEADER
        record.ticks = 0
        record.interface = 0
        record.options = record.data + room
        record.options_length = 0
    else:
        room = <int64_t>record.block_length - EPB_HEADER - 4
        if record.kind == OPB:
            record.interface = load16(header + 8, swapped)
        else:
            record.interface = load32(header + 8, swapped)
        record.ticks = <uint64_t>load32(header + 12, swapped) << 32 | load32(header + 16, swapped)
        record.captured = load32(header + 20, swapped)
        record.original = load32(header + 24, swapped)
        if padded(record.captured) > room:
            trouble[0] = Trouble(CAPTURED, record.captured, <uint32_t>room, 0, 0)
            return False
        record.data = at + EPB_HEADER
        record.options = record.data + padded(record.captured)
        record.options_length = <uint32_t>(room - padded(record.captured))
    if record.interface >= interfaces:
        trouble[0] = Trouble(INTERFACE, record.interface, interfaces, 0, 0)
        return False
    return _options_fit(header, record, swapped, trouble)


cdef bint _options_fit(const uint8_t *header, const Record *record, bint swapped,
                       Trouble *trouble) noexcept nogil:
    """Whether each of the packet's options ends within its block."""
    cdef int64_t at = record.options - record.block, rest = record.options_length, whole
    cdef uint16_t code, length
    while rest >= 4:
        code, length = load16(header + at, swapped), load16(header + at + 2, swapped)
        if code == OPT_END:
            break
        if length > rest - 4:
            trouble[0] = Trouble(OPTION, length, <uint32_t>(rest - 4), code, <uint32_t>at)
            return False
        whole = 4 + padded(length)
        at += whole
        rest -= whole
    return True


cdef object _refuse(Trouble *trouble, int64_t offset):
    value, limit = trouble.value, trouble.limit
    field, reason = "block total length", Reason.BAD_HEADER
    if trouble.fault == CAPTURED_TOO_LONG:
        field, reason = "captured length", Reason.TOO_LONG
        text = f"captured length {value} in the packet header, more than {limit}"
    elif trouble.fault == BLOCK_LENGTH and value > LIMIT:
        limit, reason = LIMIT, Reason.TOO_LONG
        text = f"block total length {value} is more than {limit}"
    elif trouble.fault == BLOCK_LENGTH and value < limit:
        text = f"block total length {value} is less than the {limit} bytes of its fixed fields"
    elif trouble.fault == BLOCK_LENGTH:
        limit = 4
        text = f"block total length {value} is not a multiple of 4"
    elif trouble.fault == TRAILER:
        text = f"block total length is {limit} at the block's start but {value} at its end"
    elif trouble.fault == CAPTURED:
        field = "captured length"
        text = f"captured length {value} does not fit into the block's {limit} bytes"
    elif trouble.fault == OPTION:
        field = "option length"
        offset += trouble.at
        text = f"option {trouble.option} of {value} bytes, but its block ends after {limit}"
    else:
        field = "interface ID"
        text = f"packet of interface {value}, but the section has described {limit} so far"
    raise GsoError(
        f"damaged capture at byte {offset}: {text}",
        reason=reason, field=field, offset=offset, limit=limit,
    )


def gather(const uint8_t[::1] buffer, const Record[::1] records, const uint32_t[::1] skips,
           uint8_t[::1] out, Py_ssize_t start=0):
    """Copy the records' packets one after another into `out` from `start` on; returns the end.

    The first ``skips[interface]`` bytes of each (a link-layer header, say) are left out.
    """
    cdef Py_ssize_t i, at = start
    cdef uint32_t skip, length
    if at < 0 or out.shape[0] - at < _gathered(records, skips):
        raise IndexError(f"{_gathered(records, skips)} bytes of packets, room for "
                         f"{out.shape[0] - at}")
    check_records(buffer, records)
    with nogil:
        for i in range(records.shape[0]):
            skip = min(skips[records[i].interface], records[i].captured)
            length = records[i].captured - skip
            if length:
                memcpy(&out[at], &buffer[records[i].data + skip], length)
            at += length
    return at


def without_words(const uint8_t[::1] buffer, const Record[::1] records, uint32_t start, words):
    """The packets whose 16 bits at byte `start` are none of `words`: numbers, int64 of shape (m,).

    Bytes that a packet has not are 0.
    """
    cdef Py_ssize_t i, n = records.shape[0], m = 0
    cdef int k, count = len(words)
    cdef uint16_t word
    cdef uint16_t[::1] listed = np.array(words, np.uint16)
    cdef const uint8_t *at
    cdef int64_t[::1] out
    found = np.empty(n, np.int64)
    out = found
    check_records(buffer, records)
    with nogil:
        for i in range(n):
            word = 0
            if records[i].captured > start:
                at = &buffer[records[i].data + start]
                word = at[0] << 8
                if records[i].captured - start > 1:
                    word |= at[1]
            for k in range(count):
                if word == listed[k]:
                    break
            else:
                out[m] = i
                m += 1
    return found[:m]


cdef int64_t _gathered(const Record[::1] records, const uint32_t[::1] skips) except -1:
    cdef int64_t total = 0
    cdef Py_ssize_t i
    for i in range(records.shape[0]):
        if records[i].interface >= <uint64_t>skips.shape[0]:
            raise IndexError(f"interface {records[i].interface} of {skips.shape[0]}")
        total += records[i].captured - min(skips[records[i].interface], records[i].captured)
    return total


cdef int check_records(const uint8_t[::1] buffer, const Record[::1] records) except -1:
    """Raise IndexError for records, which callers may have changed, that leave the buffer."""
    cdef Py_ssize_t i
    cdef int64_t size = buffer.shape[0]
    cdef const Record *record
    for i in range(records.shape[0]):
        record = &records[i]
        if (
            not 0 <= record.block <= size - <int64_t>record.block_length
            or not 0 <= record.data <= size - <int64_t>record.captured
            or not 0 <= record.options <= size - <int64_t>record.options_length
        ):
            raise IndexError(f"record {i} is not within a buffer of {size} bytes")
    return 0


def nanoseconds(const Record[::1] records, const uint64_t[::1] numerators,
                const uint64_t[::1] denominators, const int64_t[::1] offsets,
                int64_t[::1] out):
    """Timestamps of pcapng records in ns since 1970: ticks * numerator // denominator + offset.

    The three tables are indexed by interface, the offsets are in seconds. A time that 64 bits of
    nanoseconds cannot hold (beyond the year 2262) becomes the least number, which is NumPy's "not a
    time" (NaT).
    """
    cdef Py_ssize_t i
    cdef uint32_t k
    cdef gso_u128 value, limit = <gso_u128>1 << 63
    cdef int64_t shift, longest = <int64_t>1 << 32  # seconds that still fit, as nanoseconds
    for i in range(records.shape[0]):
        k = records[i].interface
        if k >= <uint64_t>min(numerators.shape[0], denominators.shape[0], offsets.shape[0]):
            raise IndexError(f"interface {k} of {numerators.shape[0]}")
    if out.shape[0] < records.shape[0]:
        raise IndexError(f"{records.shape[0]} records, room for {out.shape[0]}")
    with nogil:
        for i in range(records.shape[0]):
            k = records[i].interface
            value = <gso_u128>records[i].ticks * numerators[k] / denominators[k]
            shift = offsets[k]
            out[i] = NOT_A_TIME
            if value >= limit or shift > longest or shift < -longest:
                continue
            shift *= 1000000000
            if shift <= 0 or value + <gso_u128>shift < limit:
                out[i] = <int64_t>value + shift


# --- writing ---------------------------------------------------------------------------------


def packed_size(const Record[::1] records, const int64_t[::1] offsets, const int64_t[::1] first,
                const uint32_t[::1] skips, const int64_t[:, ::1] tails=None):
    """The most bytes that `pack` may need for the same arguments."""
    cdef Py_ssize_t i
    cdef int64_t total = 0, each, segments, payload, k
    _check_plan(records, offsets, first, skips)
    if tails is not None and (tails.shape[0] != offsets.shape[0] - 1 or tails.shape[1] != 2):
        raise ValueError(
            f"{tails.shape[0]} x {tails.shape[1]} tails for {offsets.shape[0] - 1} frames")
    with nogil:
        for i in range(records.shape[0]):
            segments = first[i + 1] - first[i]
            if not segments:
                total += records[i].block_length
                if records[i].kind == SPB:
                    total += EPB_HEADER - SPB_HEADER
                continue
            payload = offsets[first[i + 1]] - offsets[first[i]]
            if tails is not None:
                for k in range(first[i], first[i + 1]):
                    payload += tails[k, 1]
            each = EPB_HEADER + 4 + 3 + skips[records[i].interface]
            if records[i].options_length:
                each += <int64_t>records[i].options_length + 4
            total += payload + segments * each
    return total


def pack(const uint8_t[::1] buffer, const Record[::1] records, const uint8_t[::1] data,
         const int64_t[::1] offsets, const int64_t[::1] first, const uint32_t[::1] skips,
         bint swapped, uint8_t[::1] out, bint spell_out=False, const uint8_t[::1] behind=None,
         const int64_t[:, ::1] tails=None):
    """Write records as they go into a file, each as itself or as the frames that replace it.

    Frames ``first[i]`` to ``first[i + 1]`` of (data, offsets) replace record i, with its
    timestamp and interface and with the first ``skips[interface]`` bytes of its packet before
    each; its options go to the first of them (to the others only those that describe the
    reception: flags, queue, verdict). Without any, the record is copied unchanged; but with
    `spell_out`, a simple packet block that was cut becomes an enhanced one, which says how many
    bytes it has whatever the interface's limit is. With `tails` frame k goes on with as many bytes
    of `behind` as ``tails[k]`` says, offset and length. Returns the number of bytes written;
    GsoError if the arguments contradict each other.
    """
    cdef Py_ssize_t at = 0, need
    if tails is not None:
        _check_tails(behind, tails)
    need = packed_size(records, offsets, first, skips, tails)
    if out.shape[0] < need:
        raise IndexError(f"packing may need {need} bytes, room for {out.shape[0]}")
    check_records(buffer, records)
    if offsets[offsets.shape[0] - 1] > data.shape[0]:
        raise IndexError(f"offsets reach {offsets[offsets.shape[0] - 1]}, data {data.shape[0]}")
    if not out.shape[0]:
        return 0
    with nogil:
        at = _pack(buffer, records, data, offsets, first, skips, swapped, spell_out, behind, tails,
                   &out[0])
    return at


cdef int _check_tails(const uint8_t[::1] behind, const int64_t[:, ::1] tails) except -1:
    cdef Py_ssize_t k
    cdef int64_t size = behind.shape[0] if behind is not None else 0
    for k in range(tails.shape[0]):
        if not (0 <= tails[k, 0] <= size and 0 <= tails[k, 1] <= size - tails[k, 0]):
            raise IndexError(f"tail {k} has {tails[k, 1]} bytes from {tails[k, 0]} of {size}")
    return 0


cdef int _check_plan(const Record[::1] records, const int64_t[::1] offsets,
                     const int64_t[::1] first, const uint32_t[::1] skips) except -1:
    cdef Py_ssize_t i
    if first.shape[0] != records.shape[0] + 1:
        raise ValueError(f"{records.shape[0]} records but {first.shape[0]} frame numbers")
    if first[0] < 0 or not offsets.shape[0] or first[records.shape[0]] > offsets.shape[0] - 1:
        raise IndexError("frame numbers leave the frames")
    for i in range(offsets.shape[0]):
        if offsets[i] < 0 or (i and offsets[i] < offsets[i - 1]):
            raise ValueError(f"offset {i} is less than the one before")
    for i in range(records.shape[0]):
        if first[i + 1] < first[i]:
            raise ValueError(f"frame number {i + 1} is less than the one before")
        if records[i].interface >= <uint64_t>skips.shape[0]:
            raise IndexError(f"interface {records[i].interface} of {skips.shape[0]}")
        if records[i].captured < skips[records[i].interface] and first[i + 1] > first[i]:
            raise ValueError(f"record {i} is shorter than the link header to be kept")
    return 0


cdef Py_ssize_t _pack(const uint8_t[::1] buffer, const Record[::1] records,
                      const uint8_t[::1] data, const int64_t[::1] offsets,
                      const int64_t[::1] first, const uint32_t[::1] skips, bint swapped,
                      bint spell_out, const uint8_t[::1] behind,
                      const int64_t[:, ::1] tails, uint8_t *out) noexcept nogil:
    cdef Py_ssize_t i, at = 0
    cdef int64_t k
    cdef const Record *record
    cdef Record whole
    cdef const uint8_t *base = &buffer[0] if buffer.shape[0] else NULL
    cdef const uint8_t *frames = &data[0] if data.shape[0] else NULL
    cdef Content frame
    for i in range(records.shape[0]):
        record = &records[i]
        if (spell_out and first[i] == first[i + 1] and record.kind == SPB
                and record.captured < record.original):
            whole = record[0]
            whole.kind = EPB
            frame = Content(base + record.data, record.captured, NULL, 0)
            at += _pack_one(base, &whole, &frame, 0, True, swapped, out + at)
        elif first[i] == first[i + 1] and record.block_length:
            memcpy(out + at, base + record.block, record.block_length)
            at += record.block_length
        for k in range(first[i], first[i + 1]):
            frame = Content(frames + offsets[k], offsets[k + 1] - offsets[k], NULL, 0)
            if tails is not None and tails[k, 1]:
                frame.tail, frame.tail_length = &behind[tails[k, 0]], tails[k, 1]
            at += _pack_one(base, record, &frame, skips[record.interface], k == first[i], swapped,
                            out + at)
    return at


cdef Py_ssize_t _pack_one(const uint8_t *base, const Record *record, const Content *frame,
                          uint32_t skip, bint leader, bint swapped, uint8_t *out) noexcept nogil:
    cdef uint32_t captured = skip + <uint32_t>(frame.length + frame.tail_length)
    cdef uint32_t original = max(record.original, captured)
    cdef uint32_t high = <uint32_t>(record.ticks >> 32), low = <uint32_t>record.ticks
    cdef Py_ssize_t at
    if record.kind == PCAP or record.kind == OLD_PCAP:
        store32(out, high, swapped)
        store32(out + 4, low, swapped)
        store32(out + 8, captured if record.kind == PCAP else original, swapped)
        store32(out + 12, original if record.kind == PCAP else captured, swapped)
        at = PCAP_HEADER
        if record.options_length:
            # A "modified" file has these between the lengths and the packet.
            memcpy(out + at, base + record.options, record.options_length)
            at += record.options_length
    elif record.kind == SPB:
        store32(out, SPB, swapped)
        store32(out + 8, original, swapped)
        at = SPB_HEADER
    else:
        store32(out, EPB, swapped)
        store32(out + 8, record.interface, swapped)
        store32(out + 12, high, swapped)
        store32(out + 16, low, swapped)
        store32(out + 20, captured, swapped)
        store32(out + 24, original, swapped)
        at = EPB_HEADER
    if skip:
        memcpy(out + at, base + record.data, skip)
        at += skip
    if frame.length:
        memcpy(out + at, frame.head, frame.length)
        at += frame.length
    if frame.tail_length:
        memcpy(out + at, frame.tail, frame.tail_length)
        at += frame.tail_length
    if record.kind == PCAP or record.kind == OLD_PCAP:
        return at
    while at % 4:
        out[at] = 0
        at += 1
    if record.options_length and record.kind != SPB:
        # A record that is in no file is not replaced: its options are those of the frame.
        at += _pack_options(base + record.options, record.options_length, leader,
                            record.block_length == 0, swapped, out + at)
    store32(out + 4, <uint32_t>(at + 4), swapped)
    store32(out + at, <uint32_t>(at + 4), swapped)
    return at + 4


cdef Py_ssize_t _pack_options(const uint8_t *options, int64_t size, bint leader, bint own,
                              bint swapped, uint8_t *out) noexcept nogil:
    """Copy the options that are still true of a frame that replaces the packet, or is its `own`.
    """
    cdef int64_t at = 0, whole
    cdef Py_ssize_t written = 0
    cdef uint16_t code
    while size - at >= 4:
        code = load16(options + at, swapped)
        whole = 4 + padded(load16(options + at + 2, swapped))
        if code == OPT_END or whole > size - at:
            break
        # A hash is of the whole packet's bytes, so no segment has it.
        if code in (OPT_FLAGS, OPT_QUEUE, OPT_VERDICT) or (leader and (own or code != OPT_HASH)):
            memcpy(out + written, options + at, whole)
            written += whole
        at += whole
    if written:
        memset(out + written, 0, 4)  # opt_endofopt
        written += 4
    return written
