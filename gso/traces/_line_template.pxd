"""The template of a line: where its values are, so that a line like it is read faster.

Most lines of a log differ from the line before in few places. While a line is read in full, the
positions of its values are noted: these are the slots of its template. The next line fits the
template if it has the same text outside of the slots, and if each slot whose text differs can be
read as a value of the slot's kind. All other values are then those of the line before.

A slot is read by the same function that read it first, and no such function decides anything by
text after its slot. So the line has the same values as if it were read in full.
"""

from libc.stdint cimport int8_t, int32_t, uint64_t
from libc.string cimport memcmp

from gso.traces._row cimport (
    T_DATA, T_DEVICE, T_ETHERTYPE, T_IFINDEX, T_LOCATION, T_MTU, T_NETNS, T_POINTER, T_REASON, Key,
)

cdef enum:
    SLOTS = 40
    LONGEST_TEMPLATE = 2048
    SAME_BEGINNING = 16     # bytes that tell whether a line has the prefix of the one before
    # Kinds of slots that every format has; those of one format count from FIRST_PART.
    SLOT_PAIR = 1           # the value of key=value
    SLOT_FLOW
    SLOT_WORD               # any other word
    FIRST_PART = 8

# Numbers of the values that slots set: the fields of the sk_buff, then those of other keys.
cdef enum:
    BY_KEY = 24
    LENGTH_BIT = 6
    PROTOCOL_BIT = 12
    POINTER_BIT = BY_KEY + T_POINTER
    DEVICE_BIT = BY_KEY + T_DEVICE
    REASON_BIT = BY_KEY + T_REASON
    LOCATION_BIT = BY_KEY + T_LOCATION
    NETNS_BIT = BY_KEY + T_NETNS
    IFINDEX_BIT = BY_KEY + T_IFINDEX
    MTU_BIT = BY_KEY + T_MTU
    FLOW_BIT = BY_KEY + T_DATA
    FUNCTION_BIT = 40
    PROCESS_BIT
    CPU_BIT
    TIME_BIT
    RETURNS_BIT


cdef inline uint64_t bit(int number) noexcept nogil:
    return <uint64_t>1 << number


cdef inline uint64_t key_bit(const Key *key) noexcept nogil:
    if key.target > T_ETHERTYPE:
        return bit(BY_KEY + key.target)
    return bit(key.at // 4 if key.width == 4 else 16 + (key.at - 64) // 2)


cdef struct TemplateSlot:
    int32_t start           # from the first byte of the line
    int32_t end
    int8_t kind
    int8_t flag             # its meaning depends on the kind
    int8_t hex_before       # whether offsets are hexadecimal without 0x, before and after it
    int8_t hex_after
    const Key *key


cdef struct LineTemplate:
    bint usable
    bint broken             # a line like it cannot be read by it
    bint bare               # the line that was read last had no prefix
    const char *text        # the line that was read last
    int32_t size
    int32_t count
    uint64_t seen           # the bits of the values that its slots set
    TemplateSlot[SLOTS] slots
    char[LONGEST_TEMPLATE] kept


cdef inline bint begins_alike(const LineTemplate *template, const char *p,
                              const char *end) noexcept nogil:
    """Whether a line has no prefix, since the line before had none and began with the same text."""
    return (template.usable and template.bare and template.size >= SAME_BEGINNING
            and end - p >= SAME_BEGINNING and memcmp(p, template.text, SAME_BEGINNING) == 0)
