# cython: language_level=3
"""The sk_buff record as a NumPy type, made from the list of fields in ``skb.h``."""

import numpy as np

cdef extern from *:
    """
    struct gso_skb_field {
        const char *name;
        size_t at, size;
    };

    #define FIELD(name) {#name, offsetof(struct gso_skb, name), sizeof((struct gso_skb){0}.name)},
    static const struct gso_skb_field FIELD_TABLE[] = {
        GSO_SKB_FIELDS(FIELD, FIELD) FIELD(zero_known)
    };
    #undef FIELD
    """
    struct Field "gso_skb_field":
        const char *name
        size_t at
        size_t size
    Field[1] FIELD_TABLE
    enum:
        FIELD_COUNT "sizeof(FIELD_TABLE) / sizeof(*FIELD_TABLE)"


def _dtype():
    fields = [FIELD_TABLE[i] for i in range(FIELD_COUNT)]
    kind = np.dtype([(one["name"].decode(), f"i{one['size']}") for one in fields], align=True)
    offsets = [kind.fields[name][1] for name in kind.names]
    if kind.itemsize != sizeof(Skb) or offsets != [one["at"] for one in fields]:
        raise ImportError(f"NumPy lays struct gso_skb out differently: {kind}")
    return kind


SKB_DTYPE = _dtype()
FIELDS = tuple(name for name in SKB_DTYPE.names if name != "zero_known")

# The lowest number of a field's type stands for "unknown": no kernel prints it. Rows of plain
# zeros (numpy.zeros) must not pass for packets whose fields are all known to be zero: as their
# `zero_known` is zero, too, a zero in them is unknown.


def unknown_rows(Py_ssize_t n):
    """Make `n` rows of SKB_DTYPE in which nothing is known, and zeros count when they are set."""
    if n < 0:
        raise ValueError(f"there cannot be {n} rows")
    rows = np.zeros(n, SKB_DTYPE)  # the padding, too, which readers see
    for name in FIELDS:
        rows[name] = np.iinfo(SKB_DTYPE[name]).min
    rows["zero_known"] = 1
    return rows
