"""A table of names, each kept once and known by its number. No GIL is needed."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from gso.traces._text cimport hash_text, random_key, same_text

cdef enum:
    NO_NAME = -1


cdef struct Name:
    int64_t start
    int32_t size
    uint32_t hash


cdef struct Names:
    char *text
    int64_t used
    int64_t room
    Name *entries
    int32_t count
    int32_t entries_room
    int32_t *slots
    int32_t slot_count
    uint64_t key            # of the hash


cdef inline bint _room(Names *names, int64_t size) noexcept nogil:
    cdef int64_t room
    cdef void *grown
    if names.used + size > names.room:
        room = max(2 * names.room, names.used + size + 65536)
        grown = realloc(names.text, room)
        if grown == NULL:
            return False
        names.text, names.room = <char *>grown, room
    if names.count == names.entries_room:
        room = max(2 * names.entries_room, 1024)
        grown = realloc(names.entries, room * sizeof(Name))
        if grown == NULL:
            return False
        names.entries, names.entries_room = <Name *>grown, <int32_t>room
    return True


cdef inline bint _more_slots(Names *names) noexcept nogil:
    cdef int32_t count = max(2 * names.slot_count, 2048), i, slot
    cdef void *grown = realloc(names.slots, count * sizeof(int32_t))
    if grown == NULL:
        return False
    if not names.key:
        names.key = random_key()
    names.slots, names.slot_count = <int32_t *>grown, count
    for i in range(count):
        names.slots[i] = NO_NAME
    for i in range(names.count):
        slot = names.entries[i].hash & (count - 1)
        while names.slots[slot] >= 0:
            slot = (slot + 1) & (count - 1)
        names.slots[slot] = i
    return True


cdef inline int32_t intern(Names *names, const char *text, int64_t size) noexcept nogil:
    """Return the number of this name; -1 for the empty name, -2 without memory."""
    cdef uint32_t hash
    cdef int32_t slot
    cdef Name *entry
    if size <= 0:
        return NO_NAME
    if names.count * 2 >= names.slot_count and not _more_slots(names):
        return -2
    hash = hash_text(text, size, names.key)
    slot = hash & (names.slot_count - 1)
    while names.slots[slot] >= 0:
        entry = &names.entries[names.slots[slot]]
        if entry.hash == hash and entry.size == size:
            if same_text(names.text + entry.start, text, size):
                return names.slots[slot]
        slot = (slot + 1) & (names.slot_count - 1)
    if not _room(names, size):
        return -2
    entry = &names.entries[names.count]
    entry.start, entry.size, entry.hash = names.used, <int32_t>size, hash
    memcpy(names.text + names.used, text, size)
    names.used += size
    names.slots[slot] = names.count
    names.count += 1
    return names.count - 1


cdef inline int32_t intern_like(Names *names, int32_t guess, const char *text,
                                int64_t size) noexcept nogil:
    """Do as `intern`, faster if the name has the number `guess`, that of the line before."""
    cdef Name *entry
    if 0 <= guess < names.count and size > 0:
        entry = &names.entries[guess]
        if entry.size == size and same_text(names.text + entry.start, text, size):
            return guess
    return intern(names, text, size)
