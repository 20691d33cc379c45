"""Frames between the processes of one node: values and open files over a pair of Unix sockets.

The pair is made by the supervisor and has no name, so that only its two ends can speak here. Values travel
pickled: both ends are the same program.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

HEAD = 5  # bytes before each value: its length, and how many files (0 or 1) go with it
PIECE = 256 * 1024
BACKLOG = 64 * 1024 * 1024  # bytes that may wait for an end that does not read


class Closed(ConnectionError):
    """The other end is gone, or reads nothing any more."""


@dataclass(slots=True)
class _Waiting:
    left: memoryview
    file: int | None


class Channel:
    """One end. Values arrive whole and in order; nothing here waits."""

    def __init__(
        self, end: socket.socket, take: Callable[[object, int | None], None], closed: Callable[[], None]
    ) -> None:
        """`take` gets each value, with the open file that came along; `closed` is called once, at the end."""
        self._end = end
        self._take = take
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._came = bytearray()
        self._files: deque[int] = deque()
        self.backlog = 0
        self.open = True
        end.setblocking(False)
        self._loop.add_reader(end.fileno(), self._read)

    def send(self, value: object, file: int | None = None) -> None:
        """Sends `value`, and a duplicate of the open `file`. Raises Closed."""
        if not self.open:
            raise Closed("the other end is gone")
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        if self.backlog + len(data) > BACKLOG:
            self.close()
            raise Closed("the other end reads nothing")
        framed = len(data).to_bytes(4, "big") + bytes([file is not None]) + data
        self._waiting.append(_Waiting(memoryview(framed), None if file is None else os.dup(file)))
        self.backlog += len(framed)
        if len(self._waiting) == 1:
            self._write()

    def close(self) -> None:
        """Hangs up."""
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._end.fileno())
        self._loop.remove_writer(self._end.fileno())
        self._end.close()
        for file in (*self._files, *(each.file for each in self._waiting)):
            if file is not None:
                os.close(file)
        self._waiting.clear()
        self._closed()

    def _write(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            try:
                sent = self._sent(first)
            except BlockingIOError:
                self._loop.add_writer(self._end.fileno(), self._write)
                return
            except OSError:
                self.close()
                return
            self.backlog -= sent
            first.left = first.left[sent:]
            if not first.left:
                self._waiting.popleft()
        self._loop.remove_writer(self._end.fileno())

    def _sent(self, first: _Waiting) -> int:
        """Writes what it can of `first`; its file leaves with the first byte."""
        if first.file is None:
            return self._end.send(first.left[:PIECE])
        sent = self._end.sendmsg(
            [first.left[:PIECE]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [first.file]))]
        )
        os.close(first.file)
        first.file = None
        return sent

    def _read(self) -> None:
        try:
            data, files, *_ = socket.recv_fds(self._end, PIECE, 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, files = b"", []
        self._files += files
        if not data:
            self.close()
            return
        self._came += data
        self._cut()

    def _cut(self) -> None:
        """Hands on the values that are here in full."""
        at = 0
        while self.open and len(self._came) - at >= HEAD:
            end = at + HEAD + int.from_bytes(self._came[at : at + 4], "big")
            if len(self._came) < end:
                break
            file = self._files.popleft() if self._came[at + 4] else None
            with memoryview(self._came) as view:
                value = pickle.loads(view[at + HEAD : end])  # noqa: S301  # from our own other end
            at = end
            self._take(value, file)
        del self._came[:at]
