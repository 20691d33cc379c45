"""`tepi edge` as a process: what it says, how it ends, what SIGHUP does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.edge.crews import toml
from tests.edge.nodes import document
from tests.edge.wires import eventually, free_port, origin, says

TEPI = (sys.executable, "-m", "control.cli", "edge")


async def run(*words: str) -> tuple[int, str]:
    """Exit code and standard error of a `tepi edge` that is expected to end by itself."""
    process = await asyncio.create_subprocess_exec(
        *TEPI, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@contextlib.asynccontextmanager
async def running(port: int, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `tepi edge` that answers on `port`."""
    process = await asyncio.create_subprocess_exec(
        *TEPI, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except ConnectionError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_one_command_puts_an_edge_in_front_of_an_origin() -> None:
    port, admin = await free_port(), await free_port()
    async with (
        origin(says(b"page", "200 OK", "Cache-Control: max-age=60")) as shop,
        running(
            port, "--origin", shop.url, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"
        ) as edge,
        aiohttp.ClientSession() as session,
    ):
        for expected in ("fwd=uri-miss", "hit"):
            async with session.get(f"http://127.0.0.1:{port}/p", headers={"Host": "any.test"}) as response:
                assert await response.text() == "page"
                assert expected in response.headers["Cache-Status"]
        async with session.get(f"http://127.0.0.1:{admin}/readyz") as response:
            assert response.status == 200
        edge.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            out, err = await edge.communicate()
        assert edge.returncode == 0
        lines = [json.loads(line) for line in out.splitlines()]
        assert [(line["target"], line["verdict"]) for line in lines] == [("/p", "miss"), ("/p", "hit")]
        assert all(json.loads(line)["level"] == "info" for line in err.splitlines()), err.decode()
    assert shop.heard[0].fields["host"] == "any.test"
    assert len(shop.heard) == 1


async def test_hang_up_takes_a_new_file_and_refuses_a_bad_one(tmp_path: Path) -> None:
    port, admin = await free_port(), await free_port()
    file = tmp_path / "edge.toml"

    def write(url: str, more: str = "") -> None:
        file.write_text(
            f'{more}\nlisten = ["127.0.0.1:{port}"]\nadmin = "127.0.0.1:{admin}"\n[log]\naccess = "off"\n'
            f'[[sites]]\nname = "shop"\nhosts = ["*"]\norigins = [{{ url = "{url}" }}]\n'
        )

    no_store = "Cache-Control: no-store"
    async with (
        origin(says(b"one", "200 OK", no_store)) as one,
        origin(says(b"two", "200 OK", no_store)) as two,
    ):
        write(one.url)
        async with running(port, "--config", str(file)) as edge, aiohttp.ClientSession() as session:
            answers: list[tuple[int, str]] = []
            stop = asyncio.Event()

            async def ask() -> None:
                while not stop.is_set():
                    async with session.get(f"http://127.0.0.1:{port}/{len(answers)}") as response:
                        answers.append((response.status, await response.text()))

            asking = [asyncio.ensure_future(ask()) for _ in range(4)]
            for url, body in ((two.url, "two"), (one.url, "one"), (two.url, "two")):
                write(url)
                edge.send_signal(signal.SIGHUP)  # the first one as it starts
                await eventually(lambda body=body: answers[-1:] == [(200, body)], 30)
            write(one.url, "nonsense = 1")
            edge.send_signal(signal.SIGHUP)
            assert edge.stderr is not None
            async with asyncio.timeout(30):
                while b"nonsense: got 1, expected" not in await edge.stderr.readline():
                    pass
            seen = len(answers)
            await eventually(lambda: len(answers) > seen + 8)
            stop.set()
            await asyncio.gather(*asking)
            assert {status for status, _ in answers} == {200}
            assert {body for _, body in answers} == {"one", "two"}
            assert answers[-1] == (200, "two")
            edge.send_signal(signal.SIGINT)
            async with asyncio.timeout(20):
                await edge.communicate()
            assert edge.returncode == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "expected --origin URL and --listen HOST:PORT, or --config FILE"),
        (("--origin", "shop", "--listen", "127.0.0.1:0"), '--origin: got "shop", expected http://HOST'),
        (("--origin", "http://a", "--listen", "8080"), '--listen: got "8080", expected HOST:PORT'),
        (("--origin", "http://a", "--listen", "127.0.0.1:0", "--cert", "x"), "--cert and --key go together"),
        (("--origin", "http://a", "--listen", "127.0.0.1:0", "--cert", "x", "--key", "y"), "x can't be read"),
        (
            ("--origin", "http://a", "--listen", "127.0.0.1:0", "--workers", "0"),
            "--workers: got 0, expected 1",
        ),
        (("--config", "/nowhere/edge.toml"), "/nowhere/edge.toml"),
        (("--config", "x", "--origin", "http://a"), "--config says it all"),
    ],
)
async def test_what_can_not_run_says_so_in_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    code, said = await run(*words)
    assert code == 2, said
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_store_in_what_is_a_file_stops_a_node_with_the_settings_name(
    tmp_path: Path, workers: int
) -> None:
    file, taken = tmp_path / "edge.toml", tmp_path / "taken"
    taken.write_text("not a directory")
    store = {"directory": str(taken)}
    file.write_text(toml(document("http://127.0.0.1:9", workers=workers, store=store)))
    code, said = await run("--config", str(file))
    assert code == 2, said
    assert f"store.directory: got '{taken}', expected a directory, and there is a file of that name" in said
    assert taken.read_text() == "not a directory"


async def test_a_port_in_use_is_named_with_the_way_out() -> None:
    async with origin(says()) as shop:
        taken = f"127.0.0.1:{shop.port}"
        code, said = await run("--origin", shop.url, "--listen", taken, "--admin", "127.0.0.1:0")
        assert (code, said.splitlines()[-1]) == (
            2, f"tepi: {taken} is in use: stop the other process or choose another with --listen"
        )  # fmt: skip
        code, said = await run("--origin", shop.url, "--listen", "127.0.0.1:0", "--admin", taken)
        assert (code, said.splitlines()[-1]) == (
            2, f"tepi: {taken} is in use: stop the other process or choose another with --admin"
        )  # fmt: skip
