# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: embedsignature=False
"""Batches handed over in Arrow's C data interface, as capsules (PyCapsule protocol).

Whatever speaks it, polars, DuckDB or pyarrow, gets the same memory, and this library needs none of
them.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t

# https://arrow.apache.org/docs/format/CDataInterface.html
cdef struct ArrowSchema:
    const char *format
    const char *name
    const char *metadata
    int64_t flags
    int64_t n_children
    ArrowSchema **children
    ArrowSchema *dictionary
    void (*release)(ArrowSchema *) noexcept
    void *private_data

cdef struct ArrowArray:
    int64_t length
    int64_t null_count
    int64_t offset
    int64_t n_buffers
    int64_t n_children
    const void **buffers
    ArrowArray **children
    ArrowArray *dictionary
    void (*release)(ArrowArray *) noexcept
    void *private_data

# The things an array keeps alive: its buffers' addresses, and the object that they belong to
cdef struct held:
    const void *buffers[3]
    PyObject *owner


cdef void release_schema(ArrowSchema *schema) noexcept:
    schema.release = NULL


cdef void release_array(ArrowArray *array) noexcept with gil:
    """Let the owner of the buffers go; any thread may call this."""
    cdef held *kept = <held *>array.private_data
    array.release = NULL
    Py_DECREF(<object>kept.owner)
    PyMem_RawFree(kept)


cdef void drop_schema(object capsule) noexcept:
    """Free a schema that no consumer took over, or only its struct."""
    cdef ArrowSchema *schema = <ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release is not NULL:
        schema.release(schema)
    PyMem_RawFree(schema)


cdef void drop_array(object capsule) noexcept:
    cdef ArrowArray *array = <ArrowArray *>PyCapsule_GetPointer(capsule, "arrow_array")
    if array.release is not NULL:
        array.release(array)
    PyMem_RawFree(array)


cdef void *allocate(size_t size) except NULL:
    cdef void *memory = PyMem_RawMalloc(size)
    if memory is NULL:
        raise MemoryError
    return memory


cdef object large_binary_schema():
    """A capsule with the type of all batches: large binary, without nulls."""
    cdef ArrowSchema *schema = <ArrowSchema *>allocate(sizeof(ArrowSchema))
    schema[0] = ArrowSchema("Z", "", NULL, 0, 0, NULL, NULL, release_schema, NULL)
    try:
        return PyCapsule_New(schema, "arrow_schema", drop_schema)
    except BaseException:
        PyMem_RawFree(schema)
        raise


cdef object large_binary_array(
    object owner, const void *offsets, const void *data, int64_t length
):
    """A capsule with an array of these offsets and bytes, which are the owner's."""
    cdef held *kept = <held *>allocate(sizeof(held))
    cdef ArrowArray *array
    try:
        array = <ArrowArray *>allocate(sizeof(ArrowArray))
    except BaseException:
        PyMem_RawFree(kept)
        raise
    kept.buffers[0] = NULL
    kept.buffers[1] = offsets
    kept.buffers[2] = data
    kept.owner = <PyObject *>owner
    array[0] = ArrowArray(
        length, 0, 0, 3, 0, &kept.buffers[0], NULL, NULL, release_array, kept)
    try:
        capsule = PyCapsule_New(array, "arrow_array", drop_array)
    except BaseException:
        PyMem_RawFree(kept)
        PyMem_RawFree(array)
        raise
    Py_INCREF(owner)
    return capsule
