# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Threads that do pieces of one call's work.

They are kept: to start them takes longer than to segment many a batch. They wait for pieces of work
in a queue. All of this is compiled, and an interrupt can be raised only where it waits; in
concurrent.futures, which is Python code, it could leave a lock held for ever.

To wake a thread that sleeps takes as long as to segment some hundred packets. So whoever waits
looks for a moment whether what it waits for is there, and then sleeps.
"""

from libc.stdint cimport int64_t

import os
from _thread import start_new_thread
from queue import SimpleQueue

cdef extern from "await.h" nogil:
    unsigned int gso_count(const unsigned int *count)
    void gso_add(unsigned int *count, int number)
    unsigned int gso_take(unsigned int *count)
    void gso_await(const unsigned int *count, unsigned int seen, int64_t most)

cdef enum:
    AWAKE = 100000      # nanoseconds for which a thread looks before it sleeps

_pieces = SimpleQueue()
cdef Py_ssize_t _workers = 0
cdef unsigned int _awake = 0        # threads that look for something in the queue
cdef unsigned int _queued = 0       # pieces put there of which they were not told,
cdef unsigned int _announced = 0    # how often they were told
cdef unsigned int _finished = 0     # pieces


def _forget():
    """Drop the threads after a fork, which has none of its parent's."""
    global _pieces, _workers, _awake
    _pieces = SimpleQueue()
    _workers = _awake = 0


os.register_at_fork(after_in_child=_forget)


cdef Py_ssize_t awake() noexcept:
    return gso_count(&_awake)


cdef void announce() noexcept nogil:
    if gso_take(&_queued):
        gso_add(&_announced, 1)


def _serve(pieces):
    """Do one piece of work after the other; each result or error goes to the piece's own queue."""
    cdef unsigned int seen
    while True:
        seen = gso_count(&_announced)
        if pieces.empty():
            gso_add(&_awake, 1)
            with nogil:
                gso_await(&_announced, seen, AWAKE)
            gso_add(&_awake, -1)
        number, work, begin, end, done = pieces.get()
        try:
            done.put((number, work(begin, end), None))
        except BaseException as error:
            done.put((number, None, error))
        work = done = None  # the batch is not held until the next piece comes
        with nogil:
            gso_add(&_finished, 1)


cdef Py_ssize_t _start(Py_ssize_t wanted) except -1:
    """Have so many threads, or as many as the machine lets us start."""
    global _workers
    while _workers < wanted:
        try:
            start_new_thread(_serve, (_pieces,))
        except RuntimeError:
            break
        _workers += 1
    return _workers


cdef object _result(object done):
    """What the next piece has put into its queue."""
    cdef unsigned int seen = gso_count(&_finished)
    if done.empty():
        with nogil:
            gso_await(&_finished, seen, AWAKE)
    return done.get()


cdef list share(object work, list begins, list ends, bint *stopped):
    cdef Py_ssize_t i, left = 0, count = len(begins)
    cdef list results = [None] * count
    if not _start(count - 1):
        return [work(begin, end) for begin, end in zip(begins, ends, strict=True)]
    done = SimpleQueue()
    failure = None
    for i in range(1, count):
        _pieces.put((i, work, begins[i], ends[i], done))
        left += 1
    gso_add(&_queued, left)
    try:
        results[0] = work(begins[0], ends[0])
    except BaseException as error:
        failure = error
        stopped[0] = True
    while left:  # even after an error or an interrupt: nothing may write to the batch later
        try:
            i, results[i], error = _result(done)
            left -= 1
        except BaseException as interrupt:
            error = interrupt
            stopped[0] = True
        failure = failure or error
    if failure is not None:
        raise failure
    return results
