"""The facts in which kernels differ from 6.12, those of gso.versions, for compiled code."""

from gso.headers._numbers cimport (
    SKB_GSO_ALL, SKB_GSO_TCP_FIXEDID, SKB_GSO_TCP_FIXEDID_INNER, SKB_GSO_TCP_FIXEDID_OUTER,
)

cdef enum:
    KERNEL_TWO_FIXED_IDS = 1 << 0
    KERNEL_NO_JUMBO = 1 << 1
    KERNEL_PIECES_BY_COUNT = 1 << 2
    KERNEL_ACCECN_GRO = 1 << 3
    KERNEL_VNET_BEFORE_USO = 1 << 5
    KERNEL_SHORT_IPV4 = 1 << 6
    KERNEL_LISTS_OF_UDP = 1 << 7
    KERNEL_LISTS_KEEP_TCP6_SUM = 1 << 8


cdef inline unsigned int known_types(unsigned int kernel) noexcept nogil:
    """The bits of gso_type that mean something in a kernel of these facts."""
    if kernel & KERNEL_TWO_FIXED_IDS:
        return <unsigned int>(SKB_GSO_ALL ^ (
            SKB_GSO_TCP_FIXEDID | SKB_GSO_TCP_FIXEDID_OUTER | SKB_GSO_TCP_FIXEDID_INNER))
    return SKB_GSO_ALL
