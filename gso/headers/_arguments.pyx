# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""What goes between Python and the code without the GIL: options in, errors out."""

from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t

from gso.headers._numbers cimport GSO_BY_FRAGS
from gso.headers._walk cimport (
    TUNNEL_FOU, TUNNEL_GENEVE, TUNNEL_GUE, TUNNEL_NONE, TUNNEL_VXLAN, TUNNEL_VXLAN_GPE, fault, port,
    port_list,
)

import operator

from gso.constants import Reason, Tunnel
from gso.errors import GsoError

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int *overflow) except? -1


cdef object as_error(const fault *why, object index=None):
    """The GsoError that a fault stands for; `index` is the frame's number in a batch."""
    field = why.field.decode()
    text = why.text.decode().format(
        field=field, offset=why.offset, limit=why.limit, value=why.value)
    if index is not None:
        text = f"frame {index}: {text}"
    return GsoError(
        text, reason=_REASONS[<int>why.why], field=field, offset=why.offset, limit=why.limit)


_REASONS = tuple(Reason)


cdef int take_ports(port_list *ports, object tunnel_ports) except -1:
    """The caller's mapping of UDP ports to tunnels; drop_ports afterwards."""
    cdef Py_ssize_t i = 0
    ports.n = 0
    ports.ports = ports.few
    ports.inner = -1
    if not tunnel_ports:
        return 0
    if len(tunnel_ports) > 8:
        ports.ports = <port *>PyMem_Malloc(len(tunnel_ports) * sizeof(port))
        if ports.ports is NULL:
            ports.ports = ports.few
            raise MemoryError
    try:
        for number, kind in dict(tunnel_ports).items():
            ports.ports[i] = _one_port(number, kind)
            i += 1
    except BaseException:
        drop_ports(ports)
        raise
    ports.n = i
    return 0


_UDP_TUNNELS = (
    TUNNEL_NONE, TUNNEL_FOU, TUNNEL_GUE, TUNNEL_VXLAN, TUNNEL_VXLAN_GPE, TUNNEL_GENEVE,
)


cdef port _one_port(object number, object kind) except *:
    cdef object protocol = 0
    if not 0 <= number <= 65535:
        raise ValueError(f"UDP port {number} is not between 0 and 65535")
    if isinstance(kind, tuple):
        kind, protocol = kind
        if kind != TUNNEL_FOU:
            raise ValueError(f"only Tunnel.FOU takes an IP protocol, not {Tunnel(kind)!r}")
        if not 1 <= protocol <= 255:
            raise ValueError(f"IP protocol {protocol} is not between 1 and 255")
    if kind not in _UDP_TUNNELS:
        raise ValueError(f"{Tunnel(kind)!r} does not run over a UDP port ({number})")
    return port(number, kind, protocol)


cdef void drop_ports(port_list *ports) noexcept:
    if ports.ports != ports.few:
        PyMem_Free(ports.ports)
        ports.ports = ports.few


cdef bint is_raw(object link_type) except -1:
    if link_type == "ethernet":
        return False
    if link_type == "raw":
        return True
    raise ValueError(f'link_type is "ethernet" or "raw", not {link_type!r}')


cdef unsigned int as_gso_type(object gso_type) except? 0xffff:
    cdef object number
    if gso_type is None:
        return 0
    number = operator.index(gso_type)
    if not 0 <= number < 1 << 32:
        raise ValueError(f"gso_type {number} is not a set of SKB_GSO_* bits")
    return number


cdef int64_t as_gso_size(object gso_size) except? -1:
    """-1, which make_plan refuses, would not name a number too large for an int64."""
    cdef int overflow
    cdef long long size
    if not PyLong_CheckExact(gso_size):
        gso_size = operator.index(gso_size)
    size = PyLong_AsLongLongAndOverflow(gso_size, &overflow)
    if overflow:
        raise GsoError(
            f"gso_size {gso_size} is not between 0 and {GSO_BY_FRAGS - 1}",
            reason=Reason.GSO_SIZE, field="gso_size", offset=gso_size, limit=GSO_BY_FRAGS - 1)
    return size


cdef bint is_partial(object checksum) except -1:
    if checksum == "complete":
        return False
    if checksum == "partial":
        return True
    raise ValueError(f'checksum is "complete" or "partial", not {checksum!r}')
