# The types with which edge/store/ranking.py is compiled.

cimport cython

cdef int ROWS, COLUMNS, DRAWN, KEPT, LESSON, FIRST_LESSON, USES, WAYS, REMEMBERED, _MOST, _OLDEST, _SETS, _AGE, _SIZE, _BYTE
cdef unsigned long long _WORD
cdef double DOUBT, FORGETTING, NEAR, FAR, ABOVE, _ALL

cpdef int steps(long long number)


cdef class Ranking:
    cdef public long long now
    cdef readonly Py_ssize_t count
    cdef unsigned int _chance
    cdef Py_ssize_t _room
    cdef Py_ssize_t _turns
    cdef Py_ssize_t _used
    cdef unsigned char[::1] _row
    cdef unsigned char[::1] _column
    cdef long long[::1] _items
    cdef long long[::1] _least
    cdef double[::1] _again
    cdef double[::1] _stood
    cdef double[::1] _again_about
    cdef double[::1] _stood_about
    cdef double[::1] _beside
    cdef double[::1] _expected
    cdef double[::1] _worth
    cdef double[::1] _by_size
    cdef double[::1] _worths

    @cython.locals(number=Py_ssize_t)
    cpdef Py_ssize_t enter(self, long long size, int uses)

    cpdef int uses(self, Py_ssize_t number)

    @cython.locals(item=cython.longlong)
    cpdef void resize(self, Py_ssize_t number, long long size)

    @cython.locals(last=Py_ssize_t)
    cpdef Py_ssize_t leave(self, Py_ssize_t number)

    @cython.locals(item=cython.longlong)
    cpdef void use(self, Py_ssize_t number)

    @cython.locals(
        count=Py_ssize_t, number=Py_ssize_t, item=cython.longlong, place=int, lowest=int, draw=int, cell=Py_ssize_t, bar=double, worth=double,
        chance=cython.uint,
    )
    cpdef Py_ssize_t victim(self)

    @cython.locals(ticks=cython.longlong, column=int)
    cdef Py_ssize_t _cell(self, long long item)

    @cython.locals(where=int, place=int)
    cdef double _keep(self, Py_ssize_t number, double worth)

    @cython.locals(place=int, bar=double)
    cdef double _bar(self)

    @cython.locals(cell=int, total=double, rate=double, found=double)
    cdef void _learn(self)

    @cython.locals(cell=int, column=int, found=double)
    cdef void _spread(self, double[::1] counts, double[::1] about)


cdef class Remembered:
    cdef Py_ssize_t _sets
    cdef unsigned long long[::1] _places
    cdef unsigned int _turn

    @cython.locals(half=Py_ssize_t, place=Py_ssize_t, where=Py_ssize_t, old="unsigned long long[::1]")
    cpdef fit(self, Py_ssize_t items)

    @cython.locals(begin=Py_ssize_t, oldest=Py_ssize_t, age=cython.longlong, place=Py_ssize_t, since=cython.longlong, held=cython.ulonglong)
    cpdef void put(self, unsigned long long name, int uses)

    @cython.locals(begin=Py_ssize_t, place=Py_ssize_t, held=cython.ulonglong)
    cpdef int take(self, unsigned long long name)
