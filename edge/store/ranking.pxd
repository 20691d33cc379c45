# The types with which edge/store/ranking.py is compiled.

cimport cython

cdef int _VACANT, _NOW, _COUNT, _CHANCE, _TURNS, _USES, _STATE, _CELLS
cdef int ROWS, COLUMNS, DRAWN, KEPT, LESSON, FIRST_LESSON, USES, _MOST, _OLDEST, _AGE, _SIZE, _BYTE
cdef unsigned long long _WORD
cdef double DOUBT, FORGETTING, NEAR, FAR, ABOVE, _ALL

cpdef int steps(long long number)


cdef class Ranking:
    cdef Py_ssize_t _room
    cdef long long[::1] _state
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

    cpdef void sit(self, Py_ssize_t number, long long size, int uses)

    cpdef void vacate(self, Py_ssize_t number)

    cpdef void doubt(self, Py_ssize_t number)

    @cython.locals(number=Py_ssize_t)
    cpdef void doubt_vacant(self)

    cpdef int uses(self, Py_ssize_t number)

    @cython.locals(item=cython.longlong)
    cpdef void resize(self, Py_ssize_t number, long long size)

    @cython.locals(last=Py_ssize_t)
    cpdef Py_ssize_t leave(self, Py_ssize_t number)

    @cython.locals(item=cython.longlong, now=cython.longlong)
    cpdef void use(self, Py_ssize_t number)

    @cython.locals(
        count=Py_ssize_t, number=Py_ssize_t, item=cython.longlong, now=cython.longlong, place=int, lowest=int, draw=int, cell=Py_ssize_t, bar=double, worth=double,
        chance=cython.uint,
    )
    cpdef Py_ssize_t victim(self)

    @cython.locals(count=Py_ssize_t)
    cdef Py_ssize_t _next(self, Py_ssize_t number)

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
