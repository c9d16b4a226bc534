# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The table that tells which packet each event of a log belongs to.

A packet is known by its number, that of its first event in the log. Pointers of sk_buffs are
reused: a packet ends with its free, and the pointer's next use is another packet. Events come in
batches of any size. The table has the packets that are under way; its size is bounded, and the
packet not seen for the longest time gives way to a new one.
"""

from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from os import urandom

import numpy as np

DROPS, CONSUMES, ENTERS = KIND_DROPS, KIND_CONSUMES, KIND_ENTERS
AFTER_FREE, SEGMENTS = KIND_AFTER_FREE, KIND_SEGMENTS

cdef enum:
    CPUS = 1024
    RECENT = 8              # packets per CPU, for events that do not name theirs
    NO_ENTRY = -1
    NO_PACKET = -1
    NO_CODE = -1

# ftrace prints hashes of 32 bits in place of pointers.
cdef uint64_t LOWEST_POINTER = 1 << 32
cdef int64_t NO_TIME = INT64_MIN
# Nanoseconds within which a drop with a hashed pointer can be that of a recent packet of its CPU.
cdef int64_t SOON = 1000000


_COLUMNS = ("skb", "time", "cpu", "function", "location", "stack", "returns")


cdef class PacketTable:
    """The packets under way, `room` of them at most.

    Attributes:
        evicted: packets that gave way to others before they were seen freed.
    """

    cdef readonly Py_ssize_t room
    cdef readonly int64_t evicted
    cdef int64_t events
    cdef int32_t used, oldest, newest, mask
    cdef uint64_t key
    cdef TableEntry *entries
    cdef int32_t *buckets
    cdef RecentPacket *recent
    cdef int32_t[CPUS] last_recent

    def __cinit__(self, Py_ssize_t room):
        cdef Py_ssize_t size = 2
        cdef Py_ssize_t i
        if not 0 < room <= 1 << 24:
            raise ValueError(f"there is no table for {room} packets")
        while size < 2 * room:
            size *= 2
        self.room, self.mask = room, <int32_t>(size - 1)
        self.oldest = self.newest = NO_ENTRY
        self.key = int.from_bytes(urandom(8), "little")
        self.entries = <TableEntry *>calloc(room, sizeof(TableEntry))
        self.buckets = <int32_t *>malloc(size * sizeof(int32_t))
        self.recent = <RecentPacket *>calloc(CPUS * RECENT, sizeof(RecentPacket))
        if self.entries == NULL or self.buckets == NULL or self.recent == NULL:
            raise MemoryError(f"no memory for a table of {room} packets")
        for i in range(size):
            self.buckets[i] = NO_ENTRY
        for i in range(CPUS * RECENT):
            self.recent[i].packet = NO_PACKET

    def __dealloc__(self):
        free(self.entries)
        free(self.buckets)
        free(self.recent)

    def assign(self, columns, const int32_t[:] inner, const uint8_t[::1] kinds,
               const int32_t[::1] codes, in_stack):
        """Find the packets of one batch of events.

        Args:
            columns: of a `gso.Trace`.
            inner: for each event, the inner network header's offset.
            kinds: for each name of the batch, what such a function does: DROPS | CONSUMES ...
            codes: for each name of the batch, a number that it has in every batch, -1 for none.
            in_stack: called with (code of a function, number of a stack): whether the function is
                near the top of the stack.

        Returns:
            (packets, ended): for each event its packet's number, int64 of shape (n,), counted over
            all batches (-1 for a return that belongs to no known packet); and a list of the numbers
            of the packets that ended.
        """
        cdef const uint64_t[::1] pointers = columns["skb"]
        cdef const int64_t[::1] times = columns["time"]
        cdef const int32_t[::1] cpus = columns["cpu"], functions = columns["function"]
        cdef const int32_t[::1] locations = columns["location"], stacks = columns["stack"]
        cdef const int8_t[::1] returns = columns["returns"]
        cdef Py_ssize_t i, n = pointers.shape[0]
        if {len(columns[name]) for name in _COLUMNS} | {len(inner)} != {n}:
            raise ValueError("the columns of a batch differ in length")
        if len(codes) != len(kinds):
            raise ValueError(f"{len(codes)} codes for {len(kinds)} names")
        if n and max(columns["function"].max(), columns["location"].max()) >= len(kinds):
            raise ValueError(f"an event has a name beyond the {len(kinds)} of the batch")
        packets = np.empty(n, np.int64)
        cdef int64_t[::1] out = packets
        cdef list ended = []
        cdef int32_t entry, cpu, code, placed
        cdef uint8_t kind
        cdef TableEntry *found
        for i in range(n):
            kind = kinds[functions[i]] if functions[i] >= 0 else 0
            code = codes[functions[i]] if functions[i] >= 0 else NO_CODE
            # -1, where the log has no CPUs, counts as a CPU of its own.
            cpu = (cpus[i] + 1) & (CPUS - 1)
            if returns[i]:
                out[i] = self._entered(cpu, code)
            elif pointers[i] >= LOWEST_POINTER:
                entry = self._find(pointers[i])
                placed = code if kind & KIND_DROPS and locations[i] >= 0 else NO_CODE
                if entry >= 0 and self._is_reused(&self.entries[entry], kind, inner[i], placed):
                    ended.append(self.entries[entry].packet)
                    self.entries[entry].packet = self.events + i
                    self._begin(entry)
                elif entry < 0:
                    entry = self._add(pointers[i], self.events + i, ended)
                self._touch(entry)
                found = &self.entries[entry]
                out[i] = found.packet
                found.dropped |= (kind & KIND_DROPS) != 0
                if placed != NO_CODE:
                    found.placed = placed
                found.encapsulated |= inner[i] > 0
                found.freed |= (kind & (KIND_DROPS | KIND_CONSUMES)) != 0
                if not kind & (KIND_DROPS | KIND_CONSUMES):
                    self._remember(cpu, found.packet, entry, times[i], code)
            else:
                out[i] = self.events + i
                if kind & KIND_DROPS:
                    entry = self._dropped(
                        cpu, times[i], stacks[i], in_stack,
                        locations[i] >= 0 and kinds[locations[i]] & KIND_SEGMENTS != 0)
                    if entry >= 0:
                        out[i] = self.entries[entry].packet
                        self.entries[entry].freed = self.entries[entry].dropped = True
                if out[i] == self.events + i:
                    ended.append(out[i])
        self.events += n
        return packets, ended

    cdef void _begin(self, int32_t entry):
        self.entries[entry].freed = self.entries[entry].dropped = False
        self.entries[entry].encapsulated = False
        self.entries[entry].placed = NO_CODE

    cdef bint _is_reused(self, const TableEntry *entry, uint8_t kind, int32_t inner,
                         int32_t placed):
        # Only a new sk_buff has no inner offsets after the pointer's last one had some.
        if entry.encapsulated and inner == 0:
            return True
        # A tracepoint tells of a drop when the last reference is given up: once a packet.
        if placed != NO_CODE and entry.placed == placed:
            return True
        if not entry.freed or kind & KIND_AFTER_FREE:
            return False
        # consume_skb may have given up one of several references to a packet that goes on.
        return entry.dropped or kind & KIND_ENTERS != 0

    # --- events that do not name their packet ---

    cdef void _remember(self, int32_t cpu, int64_t packet, int32_t entry, int64_t time,
                        int32_t function):
        cdef RecentPacket *last = &self.recent[cpu * RECENT + self.last_recent[cpu]]
        if last.packet != packet or last.function != function:
            self.last_recent[cpu] = (self.last_recent[cpu] + 1) % RECENT
            last = &self.recent[cpu * RECENT + self.last_recent[cpu]]
        last.packet, last.entry, last.time, last.function = packet, entry, time, function

    cdef int64_t _entered(self, int32_t cpu, int32_t function):
        """Return the packet that last entered this function on this CPU."""
        cdef int32_t i
        cdef RecentPacket *one
        for i in range(RECENT):
            one = &self.recent[cpu * RECENT + (self.last_recent[cpu] - i + RECENT) % RECENT]
            if one.packet >= 0 and one.function == function and function >= 0:
                return one.packet if self.entries[one.entry].packet == one.packet else NO_PACKET
        return NO_PACKET

    cdef int32_t _dropped(self, int32_t cpu, int64_t time, int32_t stack, in_stack,
                          bint segmenting):
        """Return the entry of the recent packet of the CPU that a drop is of.

        ftrace hashes the pointers of tracepoints, so that the drop itself does not tell.
        """
        cdef int32_t i
        cdef RecentPacket *one
        for i in range(RECENT):
            one = &self.recent[cpu * RECENT + (self.last_recent[cpu] - i + RECENT) % RECENT]
            if one.packet < 0 or self.entries[one.entry].packet != one.packet:
                continue
            if self.entries[one.entry].freed or time == NO_TIME or one.time == NO_TIME:
                continue
            if time - one.time > SOON:
                break
            if segmenting or (stack >= 0 and in_stack(one.function, stack)):
                return one.entry
        return NO_ENTRY

    # --- the table ---

    cdef inline int32_t _bucket(self, uint64_t pointer):
        # Keyed: whoever wrote the log could choose pointers that share a bucket.
        cdef uint64_t hash = (pointer ^ self.key) * <uint64_t>0x9E3779B97F4A7C15
        hash = (hash ^ (hash >> 32)) * (self.key | 1)
        return <int32_t>(hash >> 40) & self.mask

    cdef int32_t _find(self, uint64_t pointer):
        cdef int32_t entry = self.buckets[self._bucket(pointer)]
        while entry >= 0 and self.entries[entry].pointer != pointer:
            entry = self.entries[entry].bucket_next
        return entry

    cdef int32_t _add(self, uint64_t pointer, int64_t packet, list ended):
        cdef int32_t entry, bucket
        if self.used < self.room:
            entry = self.used
            self.used += 1
        else:
            entry = self.oldest
            self.evicted += not self.entries[entry].freed
            ended.append(self.entries[entry].packet)
            self._unlink(entry)
            self._leave_bucket(entry)
        bucket = self._bucket(pointer)
        self.entries[entry].pointer, self.entries[entry].packet = pointer, packet
        self._begin(entry)
        self.entries[entry].bucket_next = self.buckets[bucket]
        self.buckets[bucket] = entry
        self._link(entry)
        return entry

    cdef void _leave_bucket(self, int32_t entry):
        cdef int32_t *link = &self.buckets[self._bucket(self.entries[entry].pointer)]
        while link[0] != entry:
            link = &self.entries[link[0]].bucket_next
        link[0] = self.entries[entry].bucket_next

    cdef void _touch(self, int32_t entry):
        if self.newest != entry:
            self._unlink(entry)
            self._link(entry)

    cdef void _link(self, int32_t entry):
        self.entries[entry].older, self.entries[entry].newer = self.newest, NO_ENTRY
        if self.newest >= 0:
            self.entries[self.newest].newer = entry
        else:
            self.oldest = entry
        self.newest = entry

    cdef void _unlink(self, int32_t entry):
        cdef int32_t older = self.entries[entry].older, newer = self.entries[entry].newer
        if older >= 0:
            self.entries[older].newer = newer
        else:
            self.oldest = newer
        if newer >= 0:
            self.entries[newer].older = older
        else:
            self.newest = older
