"""Asks for many URLs, once each, as fast as it goes: what is measured afterwards are hits."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from itertools import islice

from bench.load.origin import HOST

AT_ONCE = 16


def warm(port: int, paths: Iterable[str]) -> None:
    """Asks for each of `paths` on a connection, several under way. Raises SystemExit where one fails."""
    left = iter(paths)
    with socket.create_connection((HOST, port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = line.makefile("rb")
        while batch := list(islice(left, AT_ONCE)):
            asked = "".join(
                f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept-Encoding: gzip\r\n\r\n"
                for path in batch
            )
            line.sendall(asked.encode())
            for path in batch:
                status = stream.readline()
                length = 0
                while (field := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = field.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                stream.read(length)
                if b" 200 " not in status:
                    raise SystemExit(f"{path}: {status!r}")
