# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Python arguments into C for the code without the GIL, and its faults into errors."""

from cpython.bool cimport PyBool_Check
from cpython.dict cimport PyDict_CheckExact, PyDict_Next, PyDict_Size
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from gso.headers._kernel cimport (
    KERNEL_ACCECN_GRO, KERNEL_LISTS_KEEP_TCP6_SUM, KERNEL_LISTS_OF_UDP, KERNEL_NO_JUMBO,
    KERNEL_PIECES_BY_COUNT, KERNEL_SHORT_IPV4, KERNEL_TWO_FIXED_IDS, KERNEL_VNET_BEFORE_USO,
)
from gso.headers._numbers cimport GSO_BY_FRAGS
from gso.headers._walk cimport (
    LINK_FAMILY, LINK_PPP, LINK_PPPOE, LINK_UNTYPED, fault, link_layer, port, port_list,
    port_table, udp_tunnel,
)

import operator

from gso.constants import Reason, Tunnel
from gso.errors import GsoError
from gso.headers.links import FAMILY, LINKS, PPP, PPPOE, UNTYPED, checked_link
from gso.headers.tunnels import UDP_TUNNELS, on_port
from gso.versions import REFERENCE, Fact, facts_of

if (Fact.TWO_FIXED_IDS, Fact.NO_JUMBO, Fact.PIECES_BY_COUNT, Fact.ACCECN_GRO,
        Fact.VNET_BEFORE_USO, Fact.SHORT_IPV4, Fact.LISTS_OF_UDP,
        Fact.LISTS_KEEP_TCP6_SUM) != (
            KERNEL_TWO_FIXED_IDS, KERNEL_NO_JUMBO, KERNEL_PIECES_BY_COUNT, KERNEL_ACCECN_GRO,
            KERNEL_VNET_BEFORE_USO, KERNEL_SHORT_IPV4, KERNEL_LISTS_OF_UDP,
            KERNEL_LISTS_KEEP_TCP6_SUM):
    raise AssertionError("gso.headers._kernel has other numbers than gso.versions")

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int *overflow) except? -1


cdef object as_error(const fault *why, object index=None):
    """The GsoError of a fault; `index` is the frame's number in a batch."""
    field = why.field.decode()
    text = why.text.decode().format(
        field=field, offset=why.offset, limit=why.limit, value=why.value)
    if index is not None:
        text = f"frame {index}: {text}"
    return GsoError(
        text, reason=_REASONS[<int>why.why], field=field, offset=why.offset, limit=why.limit)


_REASONS = tuple(Reason)


cdef enum:
    MOST_ROWS = 32
    MOST_PORTS = 64
    MOST_LINKS = 16

cdef udp_tunnel _rows[MOST_ROWS]
cdef port _ports[MOST_PORTS]
cdef port_table _known
cdef link_layer[MOST_LINKS] _links
_texts = []  # keeps the rows' strings alive


cdef const char *_text(object text) except NULL:
    cdef bytes kept = text.encode()
    _texts.append(kept)
    return kept


cdef int _fill_row(udp_tunnel *to, object row) except -1:
    """A row of gso.headers.tunnels for compiled code."""
    to.tunnel = row.tunnel or 0
    to.carries = row.carries
    to.header = _text(row.header)
    to.length = row.length
    to.options = row.options
    to.field = row.field
    to.field_if = row.field_if
    to.remcsum_at, to.remcsum = row.remcsum
    to.gro_zero = row.gro_zero
    to.refusal = _text(
        f"UDP port {{limit}} (byte {{offset}}) is for {row.name}, whose packets are not cut into "
        "datagrams; a port that tunnel_ports maps to None carries plain UDP")
    to.fixed_mask, to.fixed = row.fixed
    to.ambiguity = _text(
        f"UDP port {{limit}} (byte {{offset}}) is not known, and its payload is {row.name} by all "
        f"its fields: say tunnel_ports={{{{{{limit}}: '{row.name}'}}}}, or {{{{{{limit}}: None}}}} "
        "for plain UDP")
    return 0


cdef int _fill_known() except -1:
    """The ports that are known without being told."""
    cdef Py_ssize_t i
    if len(UDP_TUNNELS) > MOST_ROWS or sum(len(row.ports) for row in UDP_TUNNELS) > MOST_PORTS:
        raise AssertionError("gso.headers.tunnels has more rows or ports than there is room for")
    _known.ports = _ports
    _known.rows = _rows
    _known.n_rows = len(UDP_TUNNELS)
    _known.modulo = _known.n = 0
    for i, row in enumerate(UDP_TUNNELS):
        _fill_row(&_rows[i], row)
        for number in row.ports:
            _ports[_known.n] = port(number, 0, &_rows[i])
            _known.modulo |= <uint64_t>1 << (number % 64)
            _known.n += 1
    return 0


cdef int _fill_links() except -1:
    """The headers that frames may begin with."""
    cdef Py_ssize_t i
    if len(LINKS) > MOST_LINKS or (UNTYPED, FAMILY, PPP, PPPOE) != (
            LINK_UNTYPED, LINK_FAMILY, LINK_PPP, LINK_PPPOE):
        raise AssertionError("gso.headers.links has more rows than there is room for")
    for i, row in enumerate(LINKS.values()):
        _links[i] = link_layer(row.length, row.type_at, _text(row.header))
    return 0


_fill_known()
_fill_links()
_LINK_NUMBERS = {name: i for i, name in enumerate(LINKS)}
cdef int _ETHERNET = _LINK_NUMBERS["ethernet"]
cdef int _RAW = _LINK_NUMBERS["raw"]
_NUMBERS = {row: i for i, row in enumerate(UDP_TUNNELS)}


cdef int take_ports(port_list *ports, object tunnel_ports) except -1:
    """Read the caller's mapping of UDP ports, which drop_ports() frees."""
    cdef Py_ssize_t i = 0
    ports.n = 0
    ports.ports = ports.few
    ports.inner = -1
    ports.known = &_known
    ports.guess = NULL
    if not tunnel_ports:
        return 0
    if _is_last(tunnel_ports):
        ports.n = _last.n
        memcpy(ports.few, _last.few, _last.n * sizeof(port))
        return 0
    cdef list pairs = list(dict(tunnel_ports).items())  # a mapping's own len() may say otherwise
    if len(pairs) > 8:
        ports.ports = <port *>PyMem_Malloc(len(pairs) * sizeof(port))
        if ports.ports is NULL:
            ports.ports = ports.few
            raise MemoryError
    try:
        for number, kind in pairs:
            ports.ports[i] = _one_port(number, kind)
            i += 1
    except BaseException:
        drop_ports(ports)
        raise
    ports.n = i
    _remember(pairs, ports)
    return 0


# The mapping that was read last: its keys and values in turn, and what they became. Most callers
# give the same one again and again; it costs a comparison of addresses then.
cdef list _last_pairs = []
cdef port_list _last
_last.n = 0


cdef bint _is_last(object tunnel_ports) noexcept:
    """Whether a dict has the very keys and values, none of which can change, of the last one."""
    cdef Py_ssize_t place = 0, i = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef tuple pair
    if not PyDict_CheckExact(tunnel_ports) or PyDict_Size(tunnel_ports) != len(_last_pairs):
        return False
    while PyDict_Next(tunnel_ports, &place, &key, &value):
        pair = <tuple>_last_pairs[i]
        if key != <PyObject *>pair[0] or value != <PyObject *>pair[1]:
            return False
        i += 1
    return True


cdef int _remember(list pairs, const port_list *ports) except -1:
    """Keep what a mapping became, unless it is long, or might mean something else another time."""
    global _last_pairs
    cdef bint fixed = len(pairs) <= 8
    for number, kind in pairs:
        parts = kind if type(kind) is tuple else (kind,)
        fixed &= type(number) is int and all(type(part) in _FIXED for part in parts)
    if fixed:
        _last.n = ports.n
        memcpy(_last.few, ports.few, ports.n * sizeof(port))
        _last_pairs = pairs
    return 0


_FIXED = (int, str, Tunnel, type(None))


cdef port _one_port(object number, object kind) except *:
    cdef object protocol = 0, row = on_port(kind)
    if not 0 <= number <= 65535:
        raise ValueError(f"UDP port {number} is not between 0 and 65535")
    if isinstance(kind, tuple):
        protocol = kind[1]
        if row is None or row.tunnel != Tunnel.FOU:
            raise ValueError(f"only Tunnel.FOU takes an IP protocol, not {kind[0]!r}")
        if not 1 <= protocol <= 255:
            raise ValueError(f"IP protocol {protocol} is not between 1 and 255")
    if row is None:
        return port(number, 0, NULL)
    return port(number, protocol, &_rows[<Py_ssize_t>_NUMBERS[row]])


cdef void drop_ports(port_list *ports) noexcept:
    if ports.ports != ports.few:
        PyMem_Free(ports.ports)
        ports.ports = ports.few


cdef str _USUAL_LINK = "ethernet"


cdef const link_layer *as_link(object link_type) except NULL:
    """The header that frames of a link type begin with."""
    if link_type is _USUAL_LINK:  # the default value of most callers
        return &_links[_ETHERNET]
    return &_links[<int>_LINK_NUMBERS[known_link(link_type)]]


cdef str known_link(object link_type):
    """The name of a link type, which may be given by its ``LINKTYPE_`` number."""
    if link_type is _USUAL_LINK:
        return _USUAL_LINK
    return checked_link(link_type)


cdef const link_layer *ethernet_or_raw(bint raw) noexcept nogil:
    return &_links[_RAW if raw else _ETHERNET]


cdef bint is_raw(object link_type) except -1:
    if link_type == "ethernet":
        return False
    if link_type == "raw":
        return True
    raise ValueError(f'link_type is "ethernet" or "raw", not {link_type!r}')


cdef object whole_number(object number, str name):
    """Read an integer. True and False are refused: they answer a question, they count nothing."""
    if PyBool_Check(number):
        raise TypeError(f"{name} is an integer, not {number}")
    return operator.index(number)


cdef unsigned int as_gso_type(object gso_type) except? 0xffff:
    cdef object number
    if gso_type is None:
        return 0
    number = whole_number(gso_type, "gso_type")
    if not 0 <= number < 1 << 32:
        raise ValueError(f"gso_type {number} is not a set of SKB_GSO_* bits")
    return number


cdef int64_t as_gso_size(object gso_size) except? -1:
    """Read a gso_size; one too large for an int64 is refused here, others by make_plan()."""
    cdef int overflow
    cdef long long size
    if not PyLong_CheckExact(gso_size):
        gso_size = whole_number(gso_size, "gso_size")
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


# The kernel that was named last: most callers name the same one, or none, again and again.
cdef object _last_kernel = REFERENCE
cdef unsigned int _last_facts = 0


cdef unsigned int as_kernel(object kernel) except? 0xffff:
    global _last_kernel, _last_facts
    if kernel is _last_kernel:
        return _last_facts
    cdef unsigned int facts = int(facts_of(kernel))
    if type(kernel) is str:
        _last_kernel, _last_facts = kernel, facts
    return facts
