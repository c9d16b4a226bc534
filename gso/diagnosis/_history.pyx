# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""What a suspicious packet went through, kept small until somebody looks at it.

Most packets of a log go the way of others, of which one is shown as the example and the rest are
counted. So events are kept as they stand in the columns; they become objects when they are asked
for.
"""

cimport cython
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from gso.skb._skb cimport Skb

from collections import Counter

import numpy as np

from gso.diagnosis._packet_table import DROPS
from gso.diagnosis.event import Event

cdef enum:
    MOST_EVENTS = 24
    MOST_FUNCTIONS = 96
    # Places of events that are kept though they are none of the first.
    BEFORE = MOST_EVENTS
    BAD
    DROP
    PLACES
    LARGEST_ERRNO = 4095
    MOST_KNOWN = 1 << 12

cdef uint8_t DROPPING = DROPS


cdef struct Record:
    int64_t line
    int64_t time
    int32_t cpu
    PyObject *function      # each a str
    PyObject *flow
    PyObject *device
    Skb skb


cdef inline void hold(PyObject **place, str text):
    Py_INCREF(text)
    Py_XDECREF(place[0])
    place[0] = <PyObject *>text


cdef class Rows:
    """The columns of a batch that packets are made of.

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
    cdef bint relative

    def __init__(self, batch, const uint8_t[::1] kinds, encapsulators):
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
cdef class Collected:
    """A packet from its first event to its free.

    Attributes:
        since, begin: numbers, of all events, from which on its events are taken, and of the one
            that made it suspicious.
        events: the first of them.
        before, bad: the last event before the first that violates a rule, and that one.
        mask: of the violated rules.
        functions: that it passed before it was dropped, in order.
        drop, reason, drop_location: the first drop, why and where it was.
        stack_text: the last stack, functions with newlines between them.
        encapsulators: those that stacks show.
        results: what functions returned that it had entered, if that was an error.
    """

    cdef public int64_t since, begin
    cdef readonly uint64_t mask
    cdef readonly dict functions
    cdef dict returned
    cdef readonly tuple encapsulators
    cdef readonly str reason, drop_location, stack_text
    cdef Record *records
    cdef dict made              # events that were asked for
    cdef int room, count
    cdef int before_at, bad_at, drop_at
    cdef int64_t elapsed

    def __cinit__(self):
        self.functions = {}
        self.encapsulators = ()
        self.reason = self.drop_location = self.stack_text = ""
        self.before_at = self.bad_at = self.drop_at = -1

    def __dealloc__(self):
        cdef int place
        for place in range(self.room):
            Py_XDECREF(self.records[place].function)
            Py_XDECREF(self.records[place].flow)
            Py_XDECREF(self.records[place].device)
        free(self.records)

    cdef int _reserve(self, int places) except -1:
        cdef int room = self.room
        cdef void *grown
        while room < places:
            room = min(max(2 * room, 4), PLACES)
        if room > self.room:
            grown = realloc(self.records, room * sizeof(Record))
            if grown == NULL:
                raise MemoryError(f"no memory for {room} events of a packet")
            self.records = <Record *>grown
            memset(&self.records[self.room], 0, (room - self.room) * sizeof(Record))
            self.room = room
        return 0

    cdef int _keep(self, int place, Rows rows, Py_ssize_t i, int64_t time, str function) except -1:
        cdef Record *record
        self._reserve(place + 1)
        record = &self.records[place]
        record.line, record.time, record.cpu = rows.lines[i], time, rows.cpus[i]
        memcpy(&record.skb, &rows.state[i * sizeof(Skb)], sizeof(Skb))
        hold(&record.function, function)
        hold(&record.flow, rows._name(rows.flows[i]))
        hold(&record.device, rows._name(rows.devices[i]))
        return 0

    cdef int take(self, Rows rows, Py_ssize_t i, uint64_t violated) except -1:
        """Take the packet's next event, and the rules that it violates."""
        cdef str function = rows._name(rows.functions[i])
        cdef int64_t time = rows.times[i]
        cdef int place = -1
        cdef bint drops
        if rows.returns[i]:
            if -LARGEST_ERRNO <= rows.results[i] < 0 and function in self.functions:
                if self.returned is None:
                    self.returned = {}
                self.returned[function] = rows.results[i]
            return 0
        if rows.relative and time != INT64_MIN:
            self.elapsed += time
            time = self.elapsed
        drops = rows.functions[i] >= 0 and rows.kinds[rows.functions[i]] & DROPPING != 0 \
            and self.drop_at < 0
        if self.count < MOST_EVENTS:
            place = self.count
            self._keep(place, rows, i, time, function)
            self.count += 1
        if self.drop_at < 0 and len(self.functions) < MOST_FUNCTIONS:
            self.functions.setdefault(function)
        if violated and self.bad_at < 0:
            self.bad_at = self._at(place, BAD, rows, i, time, function)
        if self.bad_at < 0:
            self.before_at = self._at(place, BEFORE, rows, i, time, function)
        self.mask |= violated
        if rows.stacks[i] >= 0:
            self.stack_text = rows._name(rows.stacks[i])
            for name in rows._encapsulators(rows.stacks[i]):
                if name not in self.encapsulators:
                    self.encapsulators += (name,)
        if drops:
            self.drop_at = self._at(place, DROP, rows, i, time, function)
            self.reason = rows._name(rows.reasons[i])
            self.drop_location = rows._name(rows.locations[i])
        return 0

    cdef int _at(self, int place, int other, Rows rows, Py_ssize_t i, int64_t time,
                 str function) except -2:
        """Where this event is kept: with the first ones, or in a place of its own."""
        if place < 0:
            place = other
            self._keep(place, rows, i, time, function)
        return place

    # --- what is asked for ---

    cdef object _event(self, int place):
        cdef Record *record
        if place < 0:
            return None
        if self.made is None:
            self.made = {}
        event = self.made.get(place)
        if event is None:
            record = &self.records[place]
            event = self.made[place] = Event(
                record.line, None if record.time == INT64_MIN else record.time, record.cpu,
                <object>record.function, <object>record.flow, <object>record.device,
                (<const char *>&record.skb)[:sizeof(Skb)])
        return event

    @property
    def events(self):
        return [self._event(place) for place in range(self.count)]

    @property
    def before(self):
        return self._event(self.before_at)

    @property
    def bad(self):
        return self._event(self.bad_at)

    @property
    def drop(self):
        return self._event(self.drop_at)

    @property
    def results(self):
        return self.returned or {}

    @property
    def dropped(self):
        """Whether its drop was seen."""
        return self.drop_at >= 0

    @property
    def first_line(self):
        """Of its first event."""
        return self.records[0].line if self.count else 0

    @property
    def outer_length(self):
        """Bytes of the outer IP header where a rule was first violated; 0 if none was.

        Anything where that is not known.
        """
        return self._outer_length()

    cdef int64_t _outer_length(self):
        cdef Skb *bad
        if self.bad_at < 0:
            return 0
        bad = &self.records[self.bad_at].skb
        return <int64_t>bad.transport_header - bad.network_header

    cdef tuple _signature(self):
        """Equal for packets that are judged alike."""
        return (self.mask, self.drop_at >= 0, self._outer_length(), self.reason,
                self.drop_location, self.stack_text, tuple(self.functions), self.encapsulators)


cdef class Tally:
    """Packets in which the same is wrong, counted.

    Attributes:
        rules, function: what is wrong, and who did it.
        packets, dropped: how many there are, and how many were seen dropped.
        times: (first, last) of their events, None where the log has none.
        flows, devices: how many packets of each.
        example: the packet of the smallest worth; of packets of the same, that of the first line.
    """

    cdef readonly tuple rules
    cdef readonly str function
    cdef readonly int64_t packets, dropped
    cdef readonly object flows, devices
    cdef readonly Collected example
    cdef int64_t first, last
    cdef int worth_of_example

    def __init__(self, tuple rules, str function):
        self.rules, self.function = rules, function
        self.flows, self.devices = Counter(), Counter()
        self.first = self.last = INT64_MIN

    @property
    def times(self):
        return None if self.first == INT64_MIN else (self.first, self.last)

    cdef int add(self, Collected packet, int worth, bint timed, Py_ssize_t most) except -1:
        cdef int place
        cdef int64_t time
        if self.example is None or worth < self.worth_of_example or (
                worth == self.worth_of_example
                and packet.records[0].line < self.example.records[0].line):
            self.example, self.worth_of_example = packet, worth
        self.packets += 1
        self.dropped += packet.drop_at >= 0
        for place in range(packet.count if timed else 0):
            time = packet.records[place].time
            if time == INT64_MIN:
                continue
            self.first = time if self.first == INT64_MIN else min(self.first, time)
            self.last = max(self.last, time)
        for place in range(packet.count):
            self._name(self.flows, packet, place, packet.records[place].flow, most)
        for place in range(packet.count):
            self._name(self.devices, packet, place, packet.records[place].device, most)
        return 0

    cdef int _name(self, counts, Collected packet, int place, PyObject *name,
                   Py_ssize_t most) except -1:
        """Count the name of an event, if it is not that of an earlier one of the packet."""
        cdef str text = <str>name
        cdef PyObject *other
        cdef int earlier
        cdef bint flows = counts is self.flows
        if not text:
            return 0
        for earlier in range(place - 1, -1, -1):
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
    """Count packets; those that went the same way are judged once. Returns those not counted.

    Args:
        packets: of `Collected`.
        known: what was judged before, by what a packet went through; it is bounded.
        judge: called with a packet; returns its (Tally, worth), or None.
        timed: whether the times of events count.
        most: how many flows, and devices, a tally has at most.
    """
    cdef Collected packet
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


def begin(dict packets, set given_up, make, const int64_t[::1] lives, const int64_t[::1] rows,
          int64_t base, int64_t remembered):
    """Collect the packets that become suspicious; returns their lives, in order.

    Args:
        packets: those that are suspicious already, by their lives; new ones are put there.
        given_up: lives that are not to be collected again.
        make: makes a `Collected`.
        lives: of each event of a part of the log, -1 for none.
        rows: the suspicious ones among them.
        base: number, of all events, of the part's first.
        remembered: how many events back a packet's can be found.
    """
    cdef Py_ssize_t i
    cdef dict found = {}
    cdef Collected packet
    for i in range(rows.shape[0]):
        life = lives[rows[i]]
        if life >= 0 and life not in packets and life not in given_up:
            found.setdefault(life, rows[i])
    for life in sorted(found):
        packet = packets[life] = make()
        packet.begin = base + <int64_t>found[life]
        packet.since = packet.begin - remembered
    return sorted(found)


def feed(dict packets, Rows rows, Py_ssize_t start, int64_t base, const int64_t[::1] lives,
         const uint64_t[::1] violated, const int64_t[::1] chosen, collected):
    """Give events to their packets.

    Args:
        packets: by their lives.
        rows: of the batch.
        start: the batch's row at which the part begins.
        base: number, of all events, of the part's first.
        lives, violated: of each event of the part.
        chosen: which of them are of one of the packets.
        collected: bool, of each event of the part: whether its packet was suspicious by then, to
            be set; None if nobody asks.
    """
    cdef uint8_t[::1] marks = None if collected is None else collected.view(np.uint8)
    cdef Py_ssize_t i
    cdef int64_t row
    cdef Collected packet
    for i in range(chosen.shape[0]):
        row = chosen[i]
        packet = <Collected>packets[lives[row]]
        if base + row >= packet.since:
            packet.take(rows, start + row, violated[row])
        if marks is not None:
            marks[row] = base + row >= packet.begin
