# What other compiled modules see of edge/lane.py as C.

from edge.access_log cimport AccessLog
from edge.ids cimport Ids
from edge.series cimport Series


cdef class Memo:
    cdef readonly object conditions
    cdef readonly object slot
    cdef readonly object served
    cdef readonly object place
    cdef readonly bytes line
    cdef readonly bytes body
    cdef readonly long weight
    cdef readonly object lent
    cdef readonly object broken
    cdef readonly Py_ssize_t size
    cdef readonly double expires
    cdef Series series
    cdef object mould
    cdef long bucket
    cdef unsigned long long generation
    cdef double _born
    cdef long _age
    cdef long _ttl
    cdef bytes _before
    cdef bytes _between
    cdef bytes _after
    cdef bytes _tail
    cdef bytes _head

    cpdef bytes said(self, double now, str named)


cdef class Table:
    cdef readonly dict young
    cdef readonly dict old



cdef class Profile:
    cdef readonly bytes block
    cdef readonly object fields
    cdef readonly str host
    cdef Table table
    cdef dict verdicts
    cdef str logged
    cdef object passed_on

    cpdef bint meets(self, object conditions)


cdef class Lane:
    cdef bint open
    cdef object store
    cdef object gate
    cdef AccessLog log
    cdef Ids new_id
    cdef dict profiles
    cdef dict _older_profiles
    cdef dict _tables
    cdef long _made
    cdef long _most
    cdef list _leaving
    cdef long given
    cdef long _epoch
    cdef long forgotten
    cdef str _scheme
    cdef object _beside
    cdef bint shared
    cdef unsigned long long[::1] generations
    cdef unsigned long long _struck
    cdef bytearray _met

    cpdef bint in_force(self)
    cpdef bint met(self, bytes line)
    cpdef Profile profile(self, bytes block)
    cdef Profile _read(self, bytes block)
    cdef Table _table(self, str host)
    cdef bint _part(self)
