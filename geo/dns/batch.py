"""Datagrams by the batch: recvmmsg and sendmmsg of Linux, through ctypes, where AVAILABLE."""

from __future__ import annotations

import ctypes
import errno
import socket
import sys

COUNT = 64  # datagrams in a batch
SLOT = 1536  # octets of a query that are taken in: whoever sends more gets nothing
REPLY_SLOT = 1280
NAME_SLOT = 32
_MSG_DONTWAIT = 0x40


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p), ("name_size", ctypes.c_uint32), ("iov", ctypes.c_void_p),
        ("iov_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )  # fmt: skip


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("head", _Msghdr), ("size", ctypes.c_uint))


def _functions() -> tuple[ctypes._FuncPointer, ctypes._FuncPointer] | None:
    """recvmmsg and sendmmsg, where the system has them as they are described here."""
    if sys.platform != "linux" or ctypes.sizeof(_Mmsghdr) != 64 or sys.byteorder != "little":
        return None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return libc.recvmmsg, libc.sendmmsg
    except (OSError, AttributeError):
        return None


_FUNCTIONS = _functions()
AVAILABLE = _FUNCTIONS is not None


class Batch:
    """Room for COUNT queries and their replies, used again and again.

    `queries`, `replies` and `names` are the octets, in slots; `query_sizes[16 * n + 14]` is the length of
    query n, `reply_sizes[2 * n + 1]` that of its reply, 0 for none.
    """

    def __init__(self, sock: socket.socket) -> None:
        assert _FUNCTIONS is not None
        self._receive, self._send = _FUNCTIONS
        self.sock = sock
        self.octets = 4 if sock.family == socket.AF_INET else 16
        self._in_octets = (ctypes.c_ubyte * (COUNT * SLOT))()
        self._out_octets = (ctypes.c_ubyte * (COUNT * REPLY_SLOT))()
        self._name_octets = (ctypes.c_ubyte * (COUNT * NAME_SLOT))()
        self._in_vectors, self._out_vectors = (_Iovec * COUNT)(), (_Iovec * COUNT)()
        self._in, self._out = (_Mmsghdr * COUNT)(), (_Mmsghdr * COUNT)()
        name_size = 16 if sock.family == socket.AF_INET else 28
        for octets, slot, vectors, heads in (
            (self._in_octets, SLOT, self._in_vectors, self._in),
            (self._out_octets, REPLY_SLOT, self._out_vectors, self._out),
        ):
            for number in range(COUNT):
                vectors[number] = _Iovec(ctypes.addressof(octets) + number * slot, slot)
                heads[number].head = _Msghdr(
                    name=ctypes.addressof(self._name_octets) + number * NAME_SLOT,
                    name_size=name_size,
                    iov=ctypes.addressof(vectors) + number * ctypes.sizeof(_Iovec),
                    iov_count=1,
                )
        self.queries = memoryview(self._in_octets).cast("B")
        self.replies = memoryview(self._out_octets).cast("B")
        self.names = memoryview(self._name_octets).cast("B")
        self.query_sizes = memoryview(self._in).cast("B").cast("I")
        self.reply_sizes = memoryview(self._out_vectors).cast("B").cast("L")

    def receive(self) -> int:
        """How many queries came; 0 where none is waiting."""
        found = self._receive(self.sock.fileno(), self._in, COUNT, _MSG_DONTWAIT, None)
        return max(0, int(found))

    def send(self, count: int) -> None:
        """Sends the first `count` replies but those of length 0. What the system does not take is lost."""
        number = 0
        while number < count:
            if not self.reply_sizes[2 * number + 1]:
                number += 1
                continue
            end = number + 1
            while end < count and self.reply_sizes[2 * end + 1]:
                end += 1
            number = self._send_run(number, end)

    def _send_run(self, number: int, end: int) -> int:
        """Sends replies from `number` up to `end`; where to go on."""
        at = ctypes.byref(self._out, number * ctypes.sizeof(_Mmsghdr))
        sent = int(self._send(self.sock.fileno(), at, end - number, _MSG_DONTWAIT))
        if sent >= 0:
            return number + max(sent, 1)
        if ctypes.get_errno() in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS):
            return end
        return number + 1  # this one's client can't be reached, say

    def query(self, number: int) -> bytes:
        """The octets of query `number`."""
        at = number * SLOT
        return bytes(self.queries[at : at + self.query_sizes[16 * number + 14]])

    def source(self, number: int) -> tuple[bytes, int]:
        """Address and port from which query `number` came."""
        at = number * NAME_SLOT
        begin = at + (4 if self.octets == 4 else 8)
        port = int.from_bytes(self.names[at + 2 : at + 4])
        return bytes(self.names[begin : begin + self.octets]), port

    def answer(self, number: int, reply: bytes | None) -> None:
        """Puts the reply to query `number` in its slot; None is silence."""
        size = 0 if reply is None else len(reply)
        if reply is not None:
            at = number * REPLY_SLOT
            self.replies[at : at + size] = reply
        self.reply_sizes[2 * number + 1] = size


def text_of(address: bytes) -> str:
    """An address of 4 or 16 octets in text form."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
