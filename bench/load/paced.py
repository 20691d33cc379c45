"""Requests at a fixed rate, each timed from the moment that it was due: a slow answer hides none behind it.

    python -m bench.load.paced PORT PATH RATE SECONDS FIELDS

FIELDS is JSON. Prints JSON: how many, the rate that was kept, and percentiles in microseconds.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time
from collections import deque

CONNECTIONS = 32
WARM = 0.2  # of the time: not counted


def percentile(sorted_values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def run(port: int, head: bytes, rate: float, seconds: float) -> tuple[list[float], float]:
    """Latencies in seconds, in the order of the answers, and answers a second.

    Raises SystemExit where an answer is no 200.
    """
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(CONNECTIONS):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(head)
        size = _length_of_first(one)
        one.setblocking(False)
        sockets[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLIN)
    free = deque(sockets)
    due: dict[int, float] = {}
    left = dict.fromkeys(sockets, -1)
    took: list[float] = []
    clock, step = time.perf_counter, 1 / rate
    began = clock()
    next_due, last = began, began + seconds
    while True:
        now = clock()
        while next_due <= now and free:
            number = free.popleft()
            due[number], left[number] = next_due, -1
            sockets[number].send(head)
            next_due += step
        if now >= last and not due:
            break
        if now >= last:
            next_due = float("inf")
        for number, _ in poll.poll(0):  # the core is this client's own: it spins, to be on time
            came = sockets[number].recv(65536)
            if left[number] < 0:
                left[number] = came.index(b"\r\n\r\n") + 4 + size
            left[number] -= len(came)
            if left[number] <= 0:
                took.append(clock() - due.pop(number))
                free.append(number)
    for one in sockets.values():
        one.close()
    return took[int(len(took) * WARM) :], len(took) / (clock() - began)


def _length_of_first(one: socket.socket) -> int:
    """The length of the body that comes; those to come are as long."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += one.recv(65536)
    if not said.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"not a 200: {said[:100]!r}")
    head, _, body = said.partition(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += one.recv(65536)
    return length


def main(port: str, path: str, rate: str, seconds: str, fields: str) -> None:
    """Runs it and prints what came."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in json.loads(fields).items())
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}\r\n".encode()
    gc.disable()
    took, kept = run(int(port), head, float(rate), float(seconds))
    took.sort()
    shown = {
        f"p{share * 100:g}": round(percentile(took, share) * 1e6, 1) for share in (0.5, 0.9, 0.99, 0.999)
    }
    print(json.dumps({"requests": len(took), "kept": round(kept), **shown}))


if __name__ == "__main__":
    main(*sys.argv[1:])
