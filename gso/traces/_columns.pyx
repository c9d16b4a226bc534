# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The columns of a batch of events, and the event that is read.

Each name is kept once, in a table; columns have its number.
"""

from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t
from libc.stdlib cimport free

import numpy as np

from gso.traces._names cimport intern_like
from gso.skb._skb cimport Skb

from gso.buffers._memory import new_array
from gso.skb._skb import SKB_DTYPE, unknown_rows
from gso.traces.name_table import NameTable

COLUMNS = {
    "line": np.int64, "time": np.int64, "skb": np.uint64, "netns": np.int64, "result": np.int64,
    "cpu": np.int32, "function": np.int32, "process": np.int32, "device": np.int32,
    "reason": np.int32, "flow": np.int32, "stack": np.int32, "location": np.int32,
    "ifindex": np.int32, "mtu": np.int32, "returns": np.int8, "reader": np.int8,
}


cdef class EventColumns:
    """Events in columns of up to `rows`.

    Args:
        rows: most events of one batch.
        room: bytes of names after which a batch ends early.

    Attributes:
        number: that of the reader, for the column "reader"; see `gso.traces.formats`.
    """

    def __cinit__(self, Py_ssize_t rows=65536, int64_t room=1 << 24):
        if rows < 1:
            raise ValueError(f"a batch cannot have {rows} rows")
        self.capacity = rows
        self.owner = OWNER_NONE
        self.number = NOBODY
        self.room = room
        cdef Skb[::1] nothing = unknown_rows(1)
        self.nothing.skb = nothing[0]
        self.nothing.time = self.nothing.result = INT64_MIN
        self.nothing.netns = NO_VALUE
        self.nothing.cpu = self.nothing.function = self.nothing.process = NO_VALUE
        self.nothing.device = self.nothing.reason = self.nothing.flow = NO_VALUE
        self.nothing.stack = self.nothing.location = NO_VALUE
        self.nothing.ifindex = self.nothing.mtu = NO_VALUE
        self.row, self.last = &self.events_read[0], &self.events_read[1]
        self.row[0] = self.last[0] = self.nothing
        self._start()
        self._allocate()

    def __dealloc__(self):
        free(self.names.text)
        free(self.names.entries)
        free(self.names.slots)

    def _start(self):
        cdef int32_t i
        self.count = self.stack_size = 0
        self.in_stack = self.pending = False
        if self.events:
            self.owner = OWNER_DAMAGED
        self.names.used = self.names.count = 0
        for i in range(self.names.slot_count):
            self.names.slots[i] = NO_VALUE
        self.columns = None

    def _allocate(self):
        # All columns share one block: that of the batch before has the same size, and can be used
        # again as a whole.
        cdef Py_ssize_t at = 0
        kinds = {**COLUMNS, "state": SKB_DTYPE}
        order = sorted(kinds, key=lambda name: -np.dtype(kinds[name]).alignment)
        memory = new_array(self.capacity * sum(np.dtype(kinds[name]).itemsize for name in order),
                           np.uint8)
        arrays = {}
        for name in order:
            size = self.capacity * np.dtype(kinds[name]).itemsize
            arrays[name] = memory[at:at + size].view(kinds[name])
            at += size
        self.columns = {name: arrays[name] for name in COLUMNS}
        self.state = arrays["state"]
        self.skbs = self.state
        self.lines, self.times = self.columns["line"], self.columns["time"]
        self.netns, self.results = self.columns["netns"], self.columns["result"]
        self.pointers, self.cpus = self.columns["skb"], self.columns["cpu"]
        self.functions, self.processes = self.columns["function"], self.columns["process"]
        self.devices, self.reasons = self.columns["device"], self.columns["reason"]
        self.flows, self.stacks = self.columns["flow"], self.columns["stack"]
        self.locations, self.ifindexes = self.columns["location"], self.columns["ifindex"]
        self.mtus, self.returns = self.columns["mtu"], self.columns["returns"]
        self.readers = self.columns["reader"]

    def take(self):
        """Return (columns, rows of SKB_DTYPE, names) of the batch; the next one starts empty."""
        if self.pending:
            self._store_event(self.row)
        if self.columns is None:
            self._allocate()
        n = self.count
        columns = {name: column[:n] for name, column in self.columns.items()}
        ends = np.empty(self.names.count + 1, np.int64)
        cdef int64_t[::1] end = ends
        cdef int32_t i
        end[0] = 0
        for i in range(self.names.count):
            end[i + 1] = self.names.entries[i].start + self.names.entries[i].size
        names = NameTable(self.names.text[:self.names.used] if self.names.used else b"", ends)
        result = columns, self.state[:n], names
        self._start()
        return result

    cdef void _store_event(self, EventRow *row) noexcept nogil:
        """Put an event, with the stack that followed it, into the columns."""
        cdef Py_ssize_t i = self.count - 1
        if self.stack_size:
            row.stack = max(NO_VALUE, intern_like(&self.names, self.last_stack, self.stack_text,
                                                  self.stack_size))
            self.last_stack = row.stack
            self.stack_size = 0
        self.lines[i] = row.line
        self.times[i], self.results[i] = row.time, row.result
        self.pointers[i], self.netns[i] = row.pointer, row.netns
        self.cpus[i], self.functions[i] = row.cpu, row.function
        self.processes[i], self.devices[i] = row.process, row.device
        self.reasons[i], self.flows[i] = row.reason, row.flow
        self.stacks[i], self.locations[i] = row.stack, row.location
        self.ifindexes[i], self.mtus[i] = row.ifindex, row.mtu
        self.returns[i], self.readers[i] = row.returns, <int8_t>self.number
        self.skbs[i] = row.skb
