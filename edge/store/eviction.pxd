# The types with which edge/store/eviction.py is compiled. `used` and `period` stay objects: the lane compares them.

cimport cython

from edge.store.ranking cimport Ranking
from edge.store.remembered cimport Remembered


cdef long long _SPREAD


cdef class Heat:
    cdef readonly Ranking ranking
    cdef readonly object period
    cdef public object on_touch
    cdef public long long copied
    cdef long long _last
    cdef long long _before_last
    cdef long long _now
    cdef long long _before

    cpdef tick(self)
    cpdef turn(self)
    cpdef mark(self, Slot slot, long long period)
    cpdef resize(self, Slot slot, long long size)


cdef class Slot:
    cdef readonly object key
    cdef public object entry
    cdef public object piece
    cdef public object shape
    cdef public object record
    cdef public object body
    cdef public long long size
    cdef readonly Heat heat
    cdef public object used
    cdef public Py_ssize_t place
    cdef public Py_ssize_t at
    cdef public unsigned int name
    cdef public bint alive
    cdef readonly tuple memos

    cpdef use(self)
    cpdef touch(self)
    cpdef die(self)
    cpdef bear(self, object memo, Py_ssize_t most)
    cpdef part(self, object memo)
    cpdef let_go(self)


cdef class Places:
    cdef Heat _heat
    cdef Ranking _ranking
    cdef Remembered _remembered
    cdef list _slots
    cdef long long _tick
    cdef long long _came

    @cython.locals(part=cython.longlong, chosen=cython.longlong, known=cython.longlong)
    cpdef add(self, Slot slot)
    cpdef remove(self, Slot slot)
    cpdef Slot victim(self)
