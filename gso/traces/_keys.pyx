# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The names of values in logs, and which value of an event each is."""

from libc.stdint cimport int8_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from gso.traces._row cimport (
    T_DATA, T_DEVICE, T_ETHERTYPE, T_IFINDEX, T_LOCATION, T_MTU, T_NETNS, T_NUMBER, T_OFFSET,
    T_POINTER, T_REASON, T_RESULT,
)
from gso.traces._text cimport same_text

from gso.skb._skb import FIELDS, SKB_DTYPE

cdef enum:
    KEY_SLOTS = 256

cdef Key[KEY_SLOTS] KEYS


cdef inline uint32_t key_slot(const char *text, int64_t size) noexcept nogil:
    return (<uint8_t>text[0] * 31 + <uint8_t>text[size - 1] * 7 + <uint8_t>text[size // 2] * 3
            + size) & (KEY_SLOTS - 1)


def _add_key(name, int target, int at=0, int width=0):
    cdef bytes text = name.encode()
    cdef const char *raw = text
    cdef uint32_t slot = key_slot(raw, len(text))
    while KEYS[slot].size:
        slot = (slot + 1) & (KEY_SLOTS - 1)
    memcpy(KEYS[slot].name, raw, len(text))
    KEYS[slot].size, KEYS[slot].target = <int8_t>len(text), <int8_t>target
    KEYS[slot].at, KEYS[slot].width = <int8_t>at, <int8_t>width


def _add_keys():
    for name in FIELDS:
        kind, at = SKB_DTYPE.fields[name][:2]
        target = T_NUMBER
        if name.endswith("_header") or name == "csum_start":
            target = T_OFFSET
        elif name in ("protocol", "inner_protocol"):
            target = T_ETHERTYPE
        elif name in ("payload", "tunnel", "l4", "mtu", "context", "gre_flags"):
            continue            # the kernel's sk_buff has no such fields
        _add_key(name, target, at, kind.itemsize)
        if name == "protocol":
            _add_key("proto", target, at, kind.itemsize)
    for name in ("skb", "skbaddr"):
        _add_key(name, T_POINTER)
    for name in ("dev", "iface", "device", "name"):
        _add_key(name, T_DEVICE)
    for name in ("result", "ret", "retval", "arg1"):
        _add_key(name, T_RESULT)
    for name, target in (("reason", T_REASON), ("location", T_LOCATION), ("netns", T_NETNS),
                         ("ifindex", T_IFINDEX), ("mtu", T_MTU), ("data", T_DATA)):
        _add_key(name, target)


_add_keys()


cdef const Key *find_key(const char *text, int64_t size) noexcept nogil:
    cdef uint32_t slot
    if not 0 < size < 28:
        return NULL
    slot = key_slot(text, size)
    while KEYS[slot].size:
        if KEYS[slot].size == size and same_text(KEYS[slot].name, text, size):
            return &KEYS[slot]
        slot = (slot + 1) & (KEY_SLOTS - 1)
    return NULL
