"""A node killed at any instant loses no webhook that it took; a trace shows why: it syncs, then says so."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge.__main__ import serve
from edge.config import parse_edge
from tests.edge import nodes
from tests.edge.hooked import Notes, document, event, stripe_field
from tests.edge.wires import eventually, free_port, origin, read_reply
from tests.support.tools import require

KILLS = int(os.environ.get("TEPI_KILLS", "100"))
SECONDS = float(os.environ.get("TEPI_KILL_SECONDS", "8"))
LEAST = 10  # however slow the machine is
SENDERS = 6


def run_node(written: dict[str, object], largest_file: int = 0) -> None:
    """A node in a process of its own; with `largest_file`, the system lets it write none larger."""
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    asyncio.run(serve(parse_edge({**written, "workers": 1}), reload=None, worker=()))


@pytest.fixture(scope="module")
def processes() -> Iterator[multiprocessing.context.ForkServerContext]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.edge.hooks.test_spool_crash"])
    yield context


async def listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.002)


async def posted(port: int, number: int) -> int:
    """What a node says to one webhook; 0 where it dies before it does."""
    body = event(number)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.005)
        return 0
    try:
        head = f"POST /commerce/hooks/stripe HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Stripe-Signature: {stripe_field(body)}\r\n\r\n".encode() + body)
        return (await read_reply(reader)).status
    except (OSError, asyncio.IncompleteReadError):
        return 0
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def senders(port: int, taken: set[int]) -> AsyncIterator[None]:
    """Providers that send all the time; `taken` is what a node answered 2xx for."""
    numbers = iter(range(10**9))

    async def send() -> None:
        while True:
            number = next(numbers)
            if await posted(port, number) == 200:
                taken.add(number)

    tasks = [asyncio.create_task(send()) for _ in range(SENDERS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_killed_at_any_instant_under_load_it_loses_nothing_that_it_took(
    tmp_path: Path, processes: multiprocessing.context.ForkServerContext
) -> None:
    chance = random.Random(20)
    port, kills, until = await free_port(), 0, time.monotonic() + SECONDS
    notes = Notes(status=lambda id: chance.choice((200, 200, 200, 0, 503)))
    taken: set[int] = set()
    async with origin(notes.script) as shop:
        written = nodes.document(shop.url, listen=[f"127.0.0.1:{port}"], **document(tmp_path, shop.url))
        async with senders(port, taken):
            while kills < LEAST or (kills < KILLS and time.monotonic() < until):
                child = processes.Process(target=run_node, args=(written,))
                child.start()
                await listens(port)
                await asyncio.sleep(chance.random() * 0.12)
                assert child.pid is not None
                os.kill(child.pid, signal.SIGKILL)
                await asyncio.to_thread(child.join)
                kills += 1
        notes.status = lambda id: 200
        child = processes.Process(target=run_node, args=(written,))
        child.start()
        try:
            wanted = {f"evt_{number}" for number in taken}
            await eventually(lambda: wanted <= set(notes.ids), 30)
        finally:
            child.kill()
            await asyncio.to_thread(child.join)
    assert taken, "it was under load"
    print(f"{kills} kills, {len(taken)} taken, {len(notes.ids)} handed over")


async def test_a_disk_that_takes_no_more_is_never_a_false_yes(
    tmp_path: Path, processes: multiprocessing.context.ForkServerContext
) -> None:
    port, origins = await free_port(), await free_port()
    url = f"http://127.0.0.1:{origins}"
    written = nodes.document(url, listen=[f"127.0.0.1:{port}"], **document(tmp_path, url))
    child = processes.Process(target=run_node, args=(written, 4096))
    child.start()
    await listens(port)
    statuses = [await posted(port, number) for number in range(60)]
    child.kill()
    await asyncio.to_thread(child.join)
    assert set(statuses) == {200, 503}
    notes = Notes()
    child = processes.Process(target=run_node, args=(written,))
    async with origin(notes.script, port=origins):
        child.start()
        try:
            wanted = {f"evt_{number}" for number, status in enumerate(statuses) if status == 200}
            await eventually(lambda: wanted <= set(notes.ids), 20)
        finally:
            child.kill()
            await asyncio.to_thread(child.join)


CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)$")


def finished(trace: str) -> list[tuple[str, str]]:
    """Each system call and its words, in the order in which they ended."""
    begun: dict[tuple[str, str], str] = {}
    found = []
    for line in trace.splitlines():
        match = CALL.match(line)
        if match is None:
            continue
        process, call, words = match.groups()
        if words.endswith("<unfinished ...>"):
            begun[process, call] = words
        else:
            found.append((call, begun.pop((process, call), "") + words))
    return found


async def test_the_system_says_that_file_and_directory_were_synced_before_the_sender_was_told(
    tmp_path: Path,
) -> None:
    strace = require("strace")
    port = await free_port()
    url = f"http://127.0.0.1:{await free_port()}"
    written = nodes.document(url, listen=[f"127.0.0.1:{port}"], **document(tmp_path, url))
    trace = tmp_path / "trace"
    code = f"from tests.edge.hooks.test_spool_crash import run_node; run_node({written!r})"
    watched = "trace=fsync,fdatasync,write,sendto,writev,sendmsg"
    command = [strace, "-f", "-y", "-s", "64", "-o", str(trace), "-e", watched, sys.executable, "-c", code]
    process = await asyncio.create_subprocess_exec(
        *command, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        await listens(port)
        for number in (1, 2):
            assert await posted(port, number) == 200
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    calls = finished(trace.read_text())
    told = [at for at, (_, words) in enumerate(calls) if '"HTTP/1.1 200' in words]
    files = [at for at, (call, words) in enumerate(calls) if call == "fdatasync" and ".seg>" in words]
    live = str(tmp_path / "spool" / "0" / "live")
    names = [at for at, (call, words) in enumerate(calls) if call == "fsync" and f"<{live}>" in words]
    assert len(told) == 2
    assert files[0] < names[0] < told[0], "a new file: its content, its name, then the answer"
    assert told[0] < files[1] < told[1], "and its content alone from then on"
