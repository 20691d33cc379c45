cdef class Series:
    cdef readonly long long requests
    cdef readonly long long bytes_sent
    cdef readonly double seconds
    cdef long long _quick
    cdef list _slower

    cpdef add(self, long long bytes_sent, double seconds)
