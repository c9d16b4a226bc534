# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Packets in the kernel's own sentences about them; see `gso.traces._kernel_words`."""

from libc.stdint cimport INT32_MIN, int16_t, int32_t, int64_t
from libc.string cimport memcpy

from gso.traces._dmesg_lines cimport PART_END, word_before
from gso.traces._kernel_words cimport (
    BAD_SUM, PANIC, TUN_TYPE, UDP_SUM, WRONG_HEADER, Words, function_in,
)
from gso.traces._names cimport intern
from gso.traces._text cimport find, is_blank, skip_token, starts
from gso.skb._skb cimport Skb

cdef enum:
    GSO_TCPV4 = 1


cdef class SentenceReader(SkbDumpReader):
    """Puts what the kernel says of a packet into the row of its event."""

    cdef void _function(self, const char *p, const char *end) noexcept nogil:
        """Read the function in "at net/core/dev.c:3258 skb_checksum_help+0x7c/0x114"."""
        cdef const char *stop
        cdef const char *at = function_in(p, end, &stop)
        if at != NULL:
            self.row.function = max(-1, intern(&self.names, at, stop - at))

    cdef void _complaint(self, const char *p, const char *end) noexcept nogil:
        """Read the sk_buff of skb_warn_bad_offload as it was printed before v5.3."""
        cdef Skb *row = &self.row.skb
        cdef int64_t value = 0
        self.part = PART_END
        self.row.function = intern(&self.names, b"skb_warn_bad_offload", 20)
        self._device_before(p, find(p, end, b": caps=(", 8) - 7)
        self._number(p, end, b") len=", 6, &row.len)
        self._number(p, end, b" data_len=", 10, &row.data_len)
        self._number(p, end, b" gso_size=", 10, &row.gso_size)
        self._gso_type(p, end, b" gso_type=", 10)
        # Before v4.14 bits after the first one meant others; the line does not tell the version.
        if row.gso_type != GSO_TCPV4:
            row.gso_type = INT32_MIN
        if self._get(p, end, b" ip_summed=", 11, &value):
            row.ip_summed = <int16_t>(value & 3)

    cdef void _sentence(self, const Words *words, const char *p, const char *at,
                        const char *end) noexcept nogil:
        """Read the fields that a sentence about a packet has; its words end at `at`."""
        cdef const char *start = at - words.size
        cdef const char *stop
        cdef int64_t value = 0
        self.report = (REPORT_PANIC if words.sentence == PANIC
                       else REPORT_SUM if words.sentence == BAD_SUM else REPORT_STACK)
        if words.sentence == PANIC:
            self._number(at, end, b"len:", 4, &self.row.skb.len)
            stop = find(at, end, b" dev:", 5)
            if stop != NULL and stop[0] != c"<":
                self.row.device = max(-1, intern(&self.names, stop, skip_token(stop, end) - stop))
        elif words.sentence == UDP_SUM:
            self._addresses(at, end)
            start = word_before(p, start)           # "UDP: ", "UDP-Lite: "
        elif words.sentence == WRONG_HEADER:
            self.row.device = max(-1, intern(&self.names, at, skip_token(at, end) - at))
            start = word_before(p, word_before(p, start))
            if self._get(start, end, b"protocol ", 9, &value, 16):
                self.row.skb.protocol = <int32_t>(value & 0xffff)
        else:
            self._device_before(p, start)
            if words.sentence == TUN_TYPE:
                self._gso_type(at - 7, end, b" type: ", 7)
                self._number(at, end, b", gso_size ", 11, &self.row.skb.gso_size)
        self._keep_words(start, end)

    cdef void _device_before(self, const char *p, const char *at) noexcept nogil:
        """Read the device of "eth0: hw csum failure"."""
        cdef const char *stop = at
        while stop > p and is_blank((stop - 1)[0]):
            stop -= 1
        if stop - p < 2 or (stop - 1)[0] != c":":
            return
        stop -= 1
        at = word_before(p, stop)
        # Before v4.13 "tun" stands for all of its devices.
        if stop - at == 3 and starts(at, stop, b"tun", 3):
            return
        self.row.device = max(-1, intern(&self.names, at, stop - at))

    cdef void _addresses(self, const char *p, const char *end) noexcept nogil:
        """Read "192.0.2.1:19 to 198.51.100.7:21143 ulen 3189"."""
        cdef char[128] flow
        cdef const char *stop = skip_token(p, end)
        cdef const char *other = find(stop, end, b" to ", 4)
        cdef int64_t size = stop - p
        if other == NULL or size > 50 or skip_token(other, end) - other > 50:
            return
        memcpy(flow, p, size)
        memcpy(&flow[size], b"->", 2)
        memcpy(&flow[size + 2], other, skip_token(other, end) - other)
        size += 2 + (skip_token(other, end) - other)
        memcpy(&flow[size], b"(udp)", 5)
        self._flow(flow, flow + size + 5)

    cdef void _keep_words(self, const char *p, const char *end) noexcept nogil:
        self.row.reason = max(-1, intern(&self.names, p, min(end - p, LONGEST_SAID)))
