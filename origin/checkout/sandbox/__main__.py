"""`python -m origin.checkout.sandbox`: wiring only."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import click
from aiohttp import web

from origin.checkout.sandbox.book import Book
from origin.checkout.sandbox.deliveries import Behaviour, Receiver, deliver
from origin.checkout.sandbox.server import Sandbox


@click.command()
@click.option(
    "--listen", default="127.0.0.1:8410", show_default=True, help="HOST:PORT; port 0 takes a free one."
)
@click.option("--state", type=click.Path(path_type=Path), required=True, help="The file of its book.")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="The API key's file.",
)
@click.option("--hooks", required=True, help="Where webhooks go, http://HOST:PORT/commerce/hooks/sandbox.")
@click.option("--hooks-host", default="", help="The Host of webhooks, where the URL is an address.")
@click.option(
    "--secret",
    "secret_file",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="The file of what webhooks are signed with (whsec_…).",
)
@click.option("--ready", type=click.Path(path_type=Path), help="A file that gets the URL once it answers.")
def main(
    listen: str,
    state: Path,
    key_file: Path,
    hooks: str,
    hooks_host: str,
    secret_file: Path,
    ready: Path | None,
) -> None:
    """Runs a payment provider that moves no money."""
    receiver = Receiver(hooks, hooks_host or hooks.split("/")[2], secret_file.read_text().strip())
    host, _, port = listen.rpartition(":")
    asyncio.run(_serve(host, int(port), state, key_file.read_text().strip(), receiver, ready))


async def _serve(host: str, port: int, state: Path, key: str, receiver: Receiver, ready: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    state.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(Book(state)) as book:
        behaviour = Behaviour()
        sandbox = Sandbox(book, behaviour, key)
        runner = web.AppRunner(sandbox.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        sandbox.url = f"http://{host}:{runner.addresses[0][1]}"
        if ready is not None:
            await asyncio.to_thread(ready.write_text, sandbox.url)
        hooks = asyncio.create_task(deliver(book, behaviour, receiver))
        await stop.wait()
        hooks.cancel()
        await asyncio.gather(hooks, return_exceptions=True)
        await runner.cleanup()


main()
