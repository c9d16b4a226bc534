"""Threads that do pieces of one call's work."""

# Do work(begins[i], ends[i]), the first piece here and the others in other threads; returns all
# results. What is raised here, by the first piece or by a signal's handler, sets `stopped`, which
# must stop the others; then it is raised. `work` calls announce() when it has released the GIL.
cdef list share(object work, list begins, list ends, bint *stopped)
# Let the threads take their pieces, without the GIL: one that met it held would be put to sleep.
cdef void announce() noexcept nogil
# How many of the threads do not sleep, and would take a piece at once.
cdef Py_ssize_t awake() noexcept
