cdef class Form:
    cpdef str line(self, object mould, str tail, double now, str named, str client, double seconds)


cdef class Json(Form):
    cdef long long _milli
    cdef str _at


cdef class Combined(Form):
    pass


cdef class AccessLog:
    cdef Form _form
    cdef str _node
    cdef str _file
    cdef object _wall
    cdef list _waiting
    cdef long _size
    cdef object _out
    cdef object _turn

    cpdef again(self, object mould, str tail, str named, str client, double seconds)
