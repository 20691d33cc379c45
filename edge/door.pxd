from edge.lane cimport Lane, Memo, Profile, Table


cdef class Door:
    cdef Lane _lane
    cdef object _ordinary
    cdef object _transport
    cdef object _write
    cdef str _peer
    cdef bint _resting
    cdef bint _full
    cdef double _heard
    cdef Profile _profile
    cdef long _forgotten
    cdef object _outlet
    cdef object _lending
    cdef bytes _held
    cdef bint _ended

    cdef Py_ssize_t _say(self, bytes said, Memo memo, object held, object waiting, Py_ssize_t waits, bint alone)
    cdef object _at_hand(self, Memo memo, Py_ssize_t waits)
    cdef bint _goes_on(self, bytes said, object held)
    cdef bint _broke_off(self)
    cdef bytes _take(self, bytes data)
    cdef bint _note(self, Memo memo, Profile profile, str named, str client, double took)
    cdef Profile _profile_at(self, bytes data, Py_ssize_t cut)
    cdef Memo _fitting(self, Profile profile, bytes line, str client, double now)
