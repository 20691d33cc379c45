# The types with which edge/store/remembered.py is compiled.

cimport cython

cdef int WAYS, REMEMBERED, _SETS


cdef class Remembered:
    cdef Py_ssize_t _sets
    cdef bint _fixed
    cdef unsigned long long[::1] _places
    cdef unsigned long long[::1] _turn

    @cython.locals(half=Py_ssize_t, place=Py_ssize_t, where=Py_ssize_t, old="unsigned long long[::1]")
    cpdef fit(self, Py_ssize_t items)

    @cython.locals(begin=Py_ssize_t, oldest=Py_ssize_t, turn=cython.ulonglong, age=cython.longlong, place=Py_ssize_t, since=cython.longlong, held=cython.ulonglong)
    cpdef void put(self, unsigned long long name, int uses)

    @cython.locals(begin=Py_ssize_t, place=Py_ssize_t, held=cython.ulonglong)
    cpdef int take(self, unsigned long long name)
