# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""The arguments of encapsulate(), in the form that the work on each frame needs.

Callers put many batches into few tunnels, so what a tunnel's arguments become is kept.
"""

from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from gso.buffers._per_frame cimport numbers, take_array, take_one

from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

import numpy as np

from gso.constants import Tunnel
from gso.encapsulation.outer import Given, in_range, outer_header


cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(tuple, Py_ssize_t)     # borrowed: the objects are only compared
    Py_ssize_t PyTuple_GET_SIZE(tuple)
    long long PyLong_AsLongLongAndOverflow(object, int *overflow) except? -1


cdef int fill(template *t, object made) except -1:
    cdef bytes data = made.data
    if len(data) > OUTER_ROOM:
        raise ValueError(f"the outer headers have {len(data)} bytes, more than {OUTER_ROOM}")
    memcpy(t.data, <const char *>data, len(data))
    t.size, t.version = len(data), made.version
    t.udp, t.gre_check, t.protocol = made.udp, made.gre_check, made.protocol
    t.carries, t.length = int(made.carries), made.length
    t.sequence, t.remcsum, t.own_ecn = made.sequence, made.remcsum, made.own_ecn
    return 0


cdef bint is_inherited(object value):
    return isinstance(value, str) and value == "inherit"


cdef bint is_sealed(object checksum) except -1:
    if checksum is True or checksum is False:
        return checksum
    if isinstance(checksum, str) and checksum == "partial":
        return True
    raise ValueError(f'checksum is True, False or "partial", not {checksum!r}')


cdef class Prepared:
    pass


# Equal numbers of other types, such as 1 and True, are not the same argument.
@lru_cache(maxsize=256, typed=True)
def _prepared(tunnel, source, destination, port, key, checksum, remcsum, counted, options, policy,
              inner, ttl, tos, df, encap_limit, encap):
    """The recipe for a tunnel; `counted` says whether GRE has sequence numbers."""
    cdef Prepared made = Prepared.__new__(Prepared)
    cdef recipe *r = &made.r
    memset(r, 0, sizeof(recipe))
    ends = (tunnel, source, destination)
    given = Given(
        port=port,
        key=key,
        checksum=is_sealed(checksum),
        sequence=0 if counted else None,
        options=options,
        policy=policy,
        inner=inner,
        ttl=64 if is_inherited(ttl) else in_range("ttl", ttl, 1, 255),
        tos=0 if is_inherited(tos) else in_range("tos", tos, 0, 255),
        df=None if df is None or is_inherited(df) else bool(df),
        encap_limit=None if encap_limit is None else in_range("encap_limit", encap_limit, 0, 255),
        encap=encap,
    )
    r.inherit_ttl, r.inherit_tos, r.inherit_df = map(is_inherited, (ttl, tos, df))
    r.sealed, r.seal = given.checksum, SEAL_PARTIAL if checksum == "partial" else SEAL_COMPLETE
    r.with_remote = remcsum
    plain = outer_header(*ends, given)
    fill(&r.plain, plain)
    fill(&r.remote, outer_header(*ends, replace(given, remcsum=True)) if remcsum else plain)
    r.ethernet = plain.ethernet
    r.v4_inside, r.v6_inside = 4 in plain.versions, 6 in plain.versions
    return made


# The arguments of the call before, none of which can change, and what they became. Most callers
# give the very same objects again and again; that costs a comparison of addresses.
cdef tuple _last = ((), None)
_FIXED = frozenset((bool, bytes, int, str, type(None), Tunnel, IPv4Address, IPv6Address))


cdef bint is_last(tuple arguments) noexcept:
    """Whether these are the very objects that the call before was given."""
    cdef tuple before = <tuple>PyTuple_GET_ITEM(_last, 0)
    cdef Py_ssize_t i, n = PyTuple_GET_SIZE(arguments)
    if PyTuple_GET_SIZE(before) != n:
        return False
    for i in range(n):
        if PyTuple_GET_ITEM(before, i) != PyTuple_GET_ITEM(arguments, i):
            return False
    return True


cdef Prepared prepare(tuple arguments):
    """The recipe for the arguments of encapsulate() that say what tunnel it is."""
    global _last
    if is_last(arguments):
        return <Prepared>PyTuple_GET_ITEM(_last, 1)
    made = _prepared(*arguments)
    if all(type(one) in _FIXED for one in arguments):
        _last = (arguments, made)
    return made


cdef object take_numbers(numbers *taken, str name, object value, Py_ssize_t n, Py_ssize_t high):
    """Take an integer, or an array of one for each frame."""
    cdef int overflow = 0
    cdef int64_t number
    if PyLong_CheckExact(value):
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow or not 0 <= number <= high:
            in_range(name, value, 0, high)      # raises
        take_one(taken, number)
        return None
    array = np.asarray(value)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} is an integer or an array of them, not {value!r:.100}")
    if not array.ndim:
        take_one(taken, in_range(name, int(array), 0, high))
        return None
    array = take_array(taken, array, n, name)
    if n and not 0 <= int(array.min()) <= int(array.max()) <= high:
        raise ValueError(
            f"{name} is from {int(array.min())} to {int(array.max())}, not from 0 to {high}")
    return array
