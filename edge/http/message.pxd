# The types with which edge/http/message.py is compiled: fields are looked up more often than anything else.


cdef class Fields:
    cdef readonly tuple _lines
    cdef dict _combined
    cdef dict _split
    cdef dict _sights

    cdef dict _index(self)


cdef class Grown(Fields):
    cdef readonly Fields stem
    cdef readonly tuple added
