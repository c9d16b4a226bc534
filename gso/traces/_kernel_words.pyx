# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The kernel's own sentences about a packet, and the lines that say where it crashed."""

from libc.stdint cimport uint64_t

from gso.traces._text cimport find, is_word

cdef enum:
    MOST_WORDS = 32

cdef Words[MOST_WORDS] SENTENCES, CRASHES, COUNTERS
cdef int sentences = 0, crashes = 0, counters = 0

_TEXTS = [
    (PANIC, b"skb_under_panic: ", b"skb_under_panic"),
    (PANIC, b"skb_over_panic: ", b"skb_over_panic"),
    (BAD_SUM, b"hw csum failure", b"netdev_rx_csum_fault"),
    (TUN_TYPE, b"unexpected GSO type: ", b"tun_put_user"),
    (UDP_SUM, b"bad checksum. From ", b"__udp4_lib_rcv"),
    (WRONG_HEADER, b" is buggy, dev ", b"dev_queue_xmit_nit"),
    (OTHER_SENTENCE, b"bad gso: type: ", b"virtio_net_hdr_to_skb"),
    (OTHER_SENTENCE, b"bad gso type ", b"virtio_net_hdr_to_skb"),
    (OTHER_SENTENCE, b"zero gso size", b"virtio_net_hdr_to_skb"),
    (OTHER_SENTENCE, b"Bad GSO type ", b"xenvif_set_skb_gso"),
    (OTHER_SENTENCE, b"GSO size must not be zero", b"xenvif_set_skb_gso"),
    (OTHER_SENTENCE, b"skb_segment: too many frags: ", b"skb_segment"),
]
_CRASH_TEXTS = [
    b"kernel BUG at ", b"BUG: unable to handle ", b"BUG: kernel NULL ", b"BUG: soft lockup ",
    b"general protection fault", b"divide error: ", b"Unable to handle kernel ", b"Oops: ",
    b"Internal error: ",
]
# RIP, EIP and IP of x86, and those of arm64, arm, riscv and powerpc.
_COUNTER_TEXTS = [b"IP: ", b"EIP is at ", b"pc : ", b"PC is at ", b"NIP ["]


cdef Words _words(int sentence, bytes text, bytes function):
    cdef Words one
    one.sentence = sentence
    one.text, one.size = text, len(text)
    one.letters = letters_of(one.text, one.text + one.size)
    one.function, one.function_size = function, len(function)
    return one


def _fill():
    global sentences, crashes, counters
    for sentence, text, function in _TEXTS:
        SENTENCES[sentences] = _words(sentence, text, function)
        sentences += 1
    for text in _CRASH_TEXTS:
        CRASHES[crashes] = _words(OTHER_SENTENCE, text, b"")
        crashes += 1
    for text in _COUNTER_TEXTS:
        COUNTERS[counters] = _words(OTHER_SENTENCE, text, b"")
        counters += 1


_fill()


cdef inline const Words *_first(const Words *table, int count, const char *p, const char *end,
                                uint64_t letters, const char **stop) noexcept nogil:
    """Return the first of some words that a line has; `stop` becomes their end there."""
    cdef int i
    for i in range(count):
        if table[i].letters & ~letters:
            continue
        stop[0] = find(p, end, table[i].text, table[i].size)
        if stop[0] != NULL:
            return &table[i]
    return NULL


cdef const Words *said_in(const char *p, const char *end, uint64_t letters,
                          const char **at) noexcept nogil:
    """Find a sentence about a packet; `at` becomes where it ends. NULL without one."""
    return _first(SENTENCES, sentences, p, end, letters, at)


cdef const char *crash_in(const char *p, const char *end, uint64_t letters) noexcept nogil:
    """Return where a line begins to say that the kernel crashed; NULL for other lines."""
    cdef const char *stop
    cdef const Words *found = _first(CRASHES, crashes, p, end, letters, &stop)
    return stop - found.size if found != NULL else NULL


cdef const char *after_counter(const char *p, const char *end, uint64_t letters) noexcept nogil:
    """Return where the function stands in which the kernel crashed: after "RIP: ", "pc : "."""
    cdef const char *stop
    return stop if _first(COUNTERS, counters, p, end, letters, &stop) != NULL else NULL


cdef const char *function_in(const char *p, const char *end, const char **stop) noexcept nogil:
    """Return the first function, as "NAME+0x1f/0x20" or as "NAME (net/core/skbuff.c:4219)".

    `stop` becomes its end. NULL without one.
    """
    cdef const char *at = find(p, end, b"+0x", 3)
    cdef const char *source
    if at != NULL:
        at -= 3
    else:
        source = find(p, end, b".c:", 3)
        if source == NULL:
            source = find(p, end, b".h:", 3)
        if source == NULL:
            source = find(p, end, b".S:", 3)
        at = find(p, end, b" (", 2)
        if at == NULL or source == NULL or at > source:
            return NULL
        at -= 2
    stop[0] = at
    while at > p and is_word((at - 1)[0]):
        at -= 1
    return at if at < stop[0] else NULL
