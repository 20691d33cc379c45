cdef class Ids:
    cdef str _prefix
    cdef str _high
    cdef unsigned long long _count

    cpdef str new(self)
