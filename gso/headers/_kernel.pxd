"""What kernels do otherwise than 6.12: the facts of gso.versions, for compiled code."""

cdef enum:
    KERNEL_TWO_FIXED_IDS = 1 << 0
    KERNEL_NO_JUMBO = 1 << 1
    KERNEL_PIECES_BY_COUNT = 1 << 2
    KERNEL_ACCECN_GRO = 1 << 3
