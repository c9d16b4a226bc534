# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""CRC32c, by the processor's instruction where it has one (SSE4.2, ARMv8 CRC), or by table."""

from cpython.buffer cimport PyBuffer_Release
from libc.stdint cimport uint8_t, uint32_t

from gso.buffers._borrow cimport borrow


cdef const gso_crc *_choose(object name) except NULL:
    """The implementation called `name`, or the best one for None."""
    cdef bytes wanted
    cdef const gso_crc *found
    if name is None:
        return gso_crc_find(NULL)
    wanted = name.encode()
    found = gso_crc_find(wanted)
    if found is NULL:
        raise ValueError(f"this machine has no {name!r} path, only {', '.join(crc_paths())}")
    return found


def crc_paths():
    """Names of the implementations that this machine runs, the simplest first."""
    names = []
    while gso_crc_at(len(names)) is not NULL:
        names.append(gso_crc_at(len(names)).name.decode())
    return names


def crc_path():
    """Name of the implementation in use."""
    return crc.name.decode()


def use_crc(name):
    """Use the implementation called `name` from now on (None: the best), for tests."""
    global crc
    crc = _choose(name)


crc = _choose(None)


def crc32c(buffer, start=0):
    """The CRC32c of `buffer`, or of what had the CRC32c `start` and `buffer` after it."""
    cdef Py_buffer view
    cdef uint32_t value = ~<uint32_t>start
    borrow(buffer, &view)
    try:
        with nogil:
            value = crc.update(value, <const uint8_t *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return <uint32_t>~value
