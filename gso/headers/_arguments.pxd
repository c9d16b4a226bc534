from libc.stdint cimport int64_t

from gso.headers._walk cimport fault, link_layer, port_list

cdef int take_ports(port_list *ports, object tunnel_ports) except -1
cdef void drop_ports(port_list *ports) noexcept
# The header of a link type, and that of those which is_raw() tells apart
cdef const link_layer *as_link(object link_type) except NULL
cdef str known_link(object link_type)
cdef const link_layer *ethernet_or_raw(bint raw) noexcept nogil
cdef bint is_raw(object link_type) except -1
cdef object as_error(const fault *why, object index=*)
cdef unsigned int as_gso_type(object gso_type) except? 0xffff
cdef int64_t as_gso_size(object gso_size) except? -1
cdef bint is_partial(object checksum) except -1
# Facts of gso.headers._kernel
cdef unsigned int as_kernel(object kernel) except? 0xffff
