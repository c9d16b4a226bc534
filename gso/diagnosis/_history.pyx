# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The histories of suspicious packets, in little memory.

Most packets of a log go the way of others, of which one is shown as the example and the rest are
counted. So events are kept as they stand in the columns; they become objects only when they are
asked for.
"""

cimport cython
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from gso.diagnosis._packet_table cimport KIND_DROPS
from gso.skb._skb cimport Skb

from collections import Counter

import numpy as np

from gso.diagnosis.event import Event
from gso.traces.trace import COUNTING

cdef enum:
    MOST_EVENTS = 24
    MOST_FUNCTIONS = 96
    # Slots of events that are kept though they are none of the first.
    SLOT_BEFORE = MOST_EVENTS
    SLOT_BAD
    SLOT_DROP
    SLOTS
    NO_SLOT = -1
    LARGEST_ERRNO = 4095
    MOST_KNOWN = 1 << 12


# An event in a history.
cdef struct EventRecord:
    int64_t line
    int64_t time
    int32_t cpu
    PyObject *function      # each a str
    PyObject *flow
    PyObject *device
    Skb skb


cdef inline void hold(PyObject **target, str text):
    Py_INCREF(text)
    Py_XDECREF(target[0])
    target[0] = <PyObject *>text


cdef class BatchColumns:
    """The columns of a batch that histories take events from.

    Args:
        batch: a `gso.Trace`.
        kinds: for each of its names, what such a function does, see `gso.diagnosis._packet_table`.
        encapsulators: functions to look for in stacks.
    """

    cdef readonly object batch
    cdef object encapsulators
    cdef const int64_t[::1] lines, times, results
    cdef const int32_t[::1] cpus, functions, flows, devices, stacks, reasons, locations
    cdef const int8_t[::1] returns
    cdef const uint8_t[::1] kinds, state
    cdef list names
    cdef dict encapsulating     # the encapsulators in a stack, by its number
    cdef bint relative, counting

    def __cinit__(self, batch, const uint8_t[::1] kinds not None, encapsulators):
        columns = {name: np.ascontiguousarray(column) for name, column in batch.columns.items()}
        self.batch, self.encapsulators = batch, encapsulators
        self.lines, self.times = columns["line"], columns["time"]
        self.results, self.returns = columns["result"], columns["returns"]
        self.cpus, self.functions = columns["cpu"], columns["function"]
        self.flows, self.devices = columns["flow"], columns["device"]
        self.stacks, self.reasons = columns["stack"], columns["reason"]
        self.locations = columns["location"]
        self.state = np.ascontiguousarray(batch.state).view(np.uint8)
        self.kinds = kinds
        self.relative = batch.relative
        self.counting = batch.format in COUNTING
        self.encapsulating = {}

    cdef inline str _name(self, int32_t number):
        if self.names is None:
            self.names = list(self.batch.names)
        return <str>self.names[number] if number >= 0 else ""

    cdef tuple _encapsulators(self, int32_t stack):
        found = self.encapsulating.get(stack)
        if found is None:
            functions = self._name(stack).split("\n")
            found = tuple([name for name in functions if name in self.encapsulators])
            self.encapsulating[stack] = found
        return <tuple>found


@cython.no_gc           # there are no cycles in it
cdef class PacketHistory:
    """A packet's events, from its first one to its free.

    Attributes:
        since: number, of all events, of the first that belongs to it as far as is remembered.
        begin: number, of all events, of the one that made it suspicious.
        events: the first of its events, 24 at most.
        bad: the first event that violates a rule, None without one.
        before: the last event before `bad`, None without one.
        mask: the bits of the violated rules.
        functions: the functions that it passed before it was dropped, in order.
        drop: its first drop, None without one.
        reason, drop_location: of the drop, as the log prints them.
        occurrences: how many packets it stands for, more than one where a tool counted.
        words: the first reason of an event that is no drop: what the kernel's log says.
        stack_text: the last stack, functions with newlines between them.
        encapsulators: the encapsulators in its stacks.
        results: the errors that functions it had entered returned, by their names.
    """

    cdef public int64_t since, begin
    cdef readonly uint64_t mask
    cdef readonly dict functions
    cdef readonly int64_t occurrences
    cdef dict returned
    cdef readonly tuple encapsulators
    cdef readonly str reason, drop_location, stack_text, words
    cdef EventRecord *records
    cdef dict made              # events that were asked for
    cdef int room, count
    cdef int before_slot, bad_slot, drop_slot
    cdef int64_t elapsed

    def __cinit__(self):
        self.functions = {}
        self.occurrences = 1
        self.encapsulators = ()
        self.reason = self.drop_location = self.stack_text = self.words = ""
        self.before_slot = self.bad_slot = self.drop_slot = NO_SLOT

    def __dealloc__(self):
        cdef int slot
        for slot in range(self.room):
            Py_XDECREF(self.records[slot].function)
            Py_XDECREF(self.records[slot].flow)
            Py_XDECREF(self.records[slot].device)
        free(self.records)

    cdef int _reserve(self, int slots) except -1:
        cdef int room = self.room
        cdef void *grown
        while room < slots:
            room = min(max(2 * room, 4), SLOTS)
        if room > self.room:
            grown = realloc(self.records, room * sizeof(EventRecord))
            if grown == NULL:
                raise MemoryError(f"no memory for {room} events of a packet")
            self.records = <EventRecord *>grown
            memset(&self.records[self.room], 0, (room - self.room) * sizeof(EventRecord))
            self.room = room
        return 0

    cdef int _keep(self, int slot, BatchColumns columns, Py_ssize_t i, int64_t time,
                   str function) except -1:
        cdef EventRecord *record
        self._reserve(slot + 1)
        record = &self.records[slot]
        record.line, record.time, record.cpu = columns.lines[i], time, columns.cpus[i]
        memcpy(&record.skb, &columns.state[i * sizeof(Skb)], sizeof(Skb))
        hold(&record.function, function)
        hold(&record.flow, columns._name(columns.flows[i]))
        hold(&record.device, columns._name(columns.devices[i]))
        return 0

    cdef int take(self, BatchColumns columns, Py_ssize_t i, uint64_t violated) except -1:
        """Add the packet's next event, and the rules that it violates."""
        cdef str function = columns._name(columns.functions[i])
        cdef int64_t time = columns.times[i]
        cdef int slot = NO_SLOT
        cdef bint drops
        if columns.returns[i]:
            if -LARGEST_ERRNO <= columns.results[i] < 0 and function in self.functions:
                if self.returned is None:
                    self.returned = {}
                self.returned[function] = columns.results[i]
            return 0
        if columns.counting:
            self.occurrences = max(self.occurrences, columns.results[i])
        if columns.relative and time != INT64_MIN:
            self.elapsed += time
            time = self.elapsed
        drops = self.drop_slot < 0 and columns.functions[i] >= 0 \
            and columns.kinds[columns.functions[i]] & KIND_DROPS != 0
        if self.count < MOST_EVENTS:
            slot = self.count
            self._keep(slot, columns, i, time, function)
            self.count += 1
        if self.drop_slot < 0 and len(self.functions) < MOST_FUNCTIONS:
            self.functions.setdefault(function)
        if violated and self.bad_slot < 0:
            self.bad_slot = self._kept(slot, SLOT_BAD, columns, i, time, function)
        if self.bad_slot < 0:
            self.before_slot = self._kept(slot, SLOT_BEFORE, columns, i, time, function)
        self.mask |= violated
        if columns.stacks[i] >= 0:
            self.stack_text = columns._name(columns.stacks[i])
            for name in columns._encapsulators(columns.stacks[i]):
                if name not in self.encapsulators:
                    self.encapsulators += (name,)
        if not drops and columns.reasons[i] >= 0 and not self.words:
            self.words = columns._name(columns.reasons[i])
        if drops:
            self.drop_slot = self._kept(slot, SLOT_DROP, columns, i, time, function)
            self.reason = columns._name(columns.reasons[i])
            self.drop_location = columns._name(columns.locations[i])
        return 0

    cdef int _kept(self, int slot, int other, BatchColumns columns, Py_ssize_t i, int64_t time,
                   str function) except -2:
        """Return the slot of this event: among the first ones, or else keep it in `other`."""
        if slot < 0:
            slot = other
            self._keep(slot, columns, i, time, function)
        return slot

    # --- what is shown ---

    cdef object _event(self, int slot):
        cdef EventRecord *record
        if slot < 0:
            return None
        if self.made is None:
            self.made = {}
        event = self.made.get(slot)
        if event is None:
            record = &self.records[slot]
            event = self.made[slot] = Event(
                record.line, None if record.time == INT64_MIN else record.time, record.cpu,
                <object>record.function, <object>record.flow, <object>record.device,
                (<const char *>&record.skb)[:sizeof(Skb)])
        return event

    @property
    def events(self):
        return [self._event(slot) for slot in range(self.count)]

    @property
    def before(self):
        return self._event(self.before_slot)

    @property
    def bad(self):
        return self._event(self.bad_slot)

    @property
    def drop(self):
        return self._event(self.drop_slot)

    @property
    def results(self):
        return self.returned or {}

    @property
    def dropped(self):
        """Whether its drop was seen."""
        return self.drop_slot >= 0

    @property
    def first_line(self):
        """The line of its first event, 0 without events."""
        return self.records[0].line if self.count else 0

    @property
    def outer_length(self):
        """Bytes of the outer IP header where a rule was first violated; 0 if none was.

        It has no meaning where the log does not show both offsets.
        """
        return self._outer_length()

    cdef int64_t _outer_length(self):
        cdef Skb *bad
        if self.bad_slot < 0:
            return 0
        bad = &self.records[self.bad_slot].skb
        return <int64_t>bad.transport_header - bad.network_header

    cdef tuple _signature(self):
        """Return a key that is equal for packets that are judged alike."""
        return (self.mask, self.drop_slot >= 0, self._outer_length(), self.reason,
                self.drop_location, self.stack_text, tuple(self.functions), self.encapsulators)


cdef class Tally:
    """Packets in which the same is wrong, counted.

    Attributes:
        rules: the violated rules.
        function: the function that encapsulated the packets, "" if unknown.
        packets, dropped: how many there are, and how many were seen dropped.
        times: (first, last) of their events in nanoseconds, None where the log has none.
        flows, devices: how many packets of each.
        example: the packet of the smallest worth; among equals, the first in the log.
    """

    cdef readonly tuple rules
    cdef readonly str function
    cdef readonly int64_t packets, dropped
    cdef readonly object flows, devices
    cdef readonly PacketHistory example
    cdef int64_t first, last
    cdef int worth_of_example

    def __cinit__(self, tuple rules not None, str function not None):
        self.rules, self.function = rules, function
        self.flows, self.devices = Counter(), Counter()
        self.first = self.last = INT64_MIN

    @property
    def times(self):
        return None if self.first == INT64_MIN else (self.first, self.last)

    cdef int add(self, PacketHistory packet, int worth, bint timed, Py_ssize_t most) except -1:
        cdef int slot
        cdef int64_t time
        if self.example is None or worth < self.worth_of_example or (
                worth == self.worth_of_example
                and packet.records[0].line < self.example.records[0].line):
            self.example, self.worth_of_example = packet, worth
        self.packets += packet.occurrences
        self.dropped += packet.occurrences * (packet.drop_slot >= 0)
        for slot in range(packet.count if timed else 0):
            time = packet.records[slot].time
            if time == INT64_MIN:
                continue
            self.first = time if self.first == INT64_MIN else min(self.first, time)
            self.last = max(self.last, time)
        for slot in range(packet.count):
            self._name(self.flows, packet, slot, packet.records[slot].flow, most)
        for slot in range(packet.count):
            self._name(self.devices, packet, slot, packet.records[slot].device, most)
        return 0

    cdef int _name(self, counts, PacketHistory packet, int slot, PyObject *name,
                   Py_ssize_t most) except -1:
        """Count the name of an event, if it is not that of an earlier one of the packet."""
        cdef str text = <str>name
        cdef PyObject *other
        cdef int earlier
        cdef bint flows = counts is self.flows
        if not text:
            return 0
        for earlier in range(slot - 1, -1, -1):
            other = packet.records[earlier].flow if flows else packet.records[earlier].device
            if other == name or text == <str>other:
                return 0
        number = counts.get(text)
        if number is not None:
            counts[text] = number + 1
        elif len(counts) < most:
            counts[text] = 1
        return 0


def tally_packets(list packets, dict known, judge, bint timed, Py_ssize_t most):
    """Count packets, and judge those with the same signature once. Return those not counted.

    Args:
        packets: a list of `PacketHistory`.
        known: earlier judgements, by signatures; it is kept bounded here.
        judge: called with a packet; returns its (Tally, worth), None if nothing is wrong with it.
        timed: whether the times of events count.
        most: how many flows, and devices, a tally has at most.
    """
    cdef PacketHistory packet
    cdef tuple signature
    cdef list others = []
    for packet in packets:
        signature = packet._signature()
        told = known.get(signature, known)
        if told is known:
            if len(known) >= MOST_KNOWN:
                known.clear()
            told = known[signature] = judge(packet)
        if told is None:
            others.append(packet)
        else:
            (<Tally>told[0]).add(packet, told[1], timed, most)
    return others


def start_histories(dict packets, set given_up, make, const int64_t[::1] numbers,
                    const int64_t[::1] suspicious, int64_t base, int64_t remembered):
    """Start the histories of packets that become suspicious; return their numbers, in order.

    Args:
        packets: the histories so far, by their packets' numbers; new ones are put there.
        given_up: numbers of packets that get no history again.
        make: makes a `PacketHistory`.
        numbers: for each event of a part of the log the number of its packet, -1 for none.
        suspicious: the rows of the part that make their packets suspicious.
        base: number, of all events, of the part's first.
        remembered: how many events back a packet's can be found.
    """
    cdef Py_ssize_t i
    cdef dict found = {}
    cdef PacketHistory packet
    for i in range(suspicious.shape[0]):
        number = numbers[suspicious[i]]
        if number >= 0 and number not in packets and number not in given_up:
            found.setdefault(number, suspicious[i])
    for number in sorted(found):
        packet = packets[number] = make()
        packet.begin = base + <int64_t>found[number]
        packet.since = packet.begin - remembered
    return sorted(found)


def add_events(dict packets, BatchColumns columns not None, Py_ssize_t start, int64_t base,
               const int64_t[::1] numbers, const uint64_t[::1] violated,
               const int64_t[::1] chosen, collected):
    """Add events to the histories of their packets.

    Args:
        packets: the histories, by their packets' numbers.
        columns: those of the batch.
        start: the batch's row at which the part begins.
        base: number, of all events, of the part's first.
        numbers: for each event of the part the number of its packet.
        violated: for each event of the part the mask of violated rules.
        chosen: the rows of the part whose packets are in `packets`.
        collected: bool, shape (n,): set where the event's packet was suspicious by then; or None.
    """
    cdef uint8_t[::1] marks = None if collected is None else collected.view(np.uint8)
    cdef Py_ssize_t i
    cdef int64_t row
    cdef PacketHistory packet
    for i in range(chosen.shape[0]):
        row = chosen[i]
        packet = <PacketHistory>packets[numbers[row]]
        if base + row >= packet.since:
            packet.take(columns, start + row, violated[row])
        if marks is not None:
            marks[row] = base + row >= packet.begin
