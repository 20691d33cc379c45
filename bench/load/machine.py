"""What this machine is: without it, a figure means nothing elsewhere."""

from __future__ import annotations

import os
import platform
import socket
import tempfile
import time
from pathlib import Path

PAYLOAD = 4096


def about() -> dict[str, object]:
    """Processor, cores, kernel, Python."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loopback_round_trips_per_second": round(loopback()),
        "fsyncs_per_second": round(fsyncs()),
        "load_average_before": round(os.getloadavg()[0], 1),
    }


def loopback(seconds: float = 1.0) -> float:
    """Round trips of 4 KiB over one TCP connection to 127.0.0.1, both ends in this thread, a second."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        near = socket.create_connection(door.getsockname())
        far, _ = door.accept()
    with near, far:
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            near.sendall(b"?" * PAYLOAD)
            far.recv(PAYLOAD, socket.MSG_WAITALL)
            far.sendall(b"!" * PAYLOAD)
            near.recv(PAYLOAD, socket.MSG_WAITALL)
            count += 1
        return count / (time.perf_counter() - began)


def fsyncs(seconds: float = 1.0) -> float:
    """Appends of 4 KiB, each made durable, a second, in this directory."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix=".fsync-") as file:
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            file.write(b"." * PAYLOAD)
            file.flush()
            os.fsync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
