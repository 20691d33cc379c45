"""`tepi up`: a whole fleet on this machine, with a demo shop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import click

from control.up.children import Children, PartFailed
from control.up.first_steps import FirstRun, Introduction, StepRefused, answers, write_private
from control.up.panel import Panel
from control.up.plan import ADDRESSES, EDGES, SITE, Plan
from control.up.ports import LOOPBACK, Ports, PortTaken, check, free_ports, ports_from

START_LIMIT = 60.0


@click.command("up")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), default=Path(".tepi"), show_default=True,
    help="Where all state lives.",
)  # fmt: skip
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written once everything answers.")
@click.option("--port", type=int, help="First of the ports to take; 0 takes free ones.")
def command(directory: Path, ready_file: Path | None, port: int | None) -> None:
    """Starts control, three edge nodes, GeoDNS and the demo shop on this machine."""
    try:
        ports = _ports(port)
        with _claimed(directory):
            check(ports, ADDRESSES)
            if ready_file is not None:
                ready_file.unlink(missing_ok=True)
            asyncio.run(_run(Plan(directory.resolve(), ports), ready_file))
    except (PortTaken, PartFailed, StepRefused, ValueError, OSError) as refusal:
        raise click.ClickException(str(refusal)) from refusal


def _ports(first: int | None) -> Ports:
    if first is None:
        return Ports()
    return free_ports(ADDRESSES) if first == 0 else ports_from(first)


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """Holds `directory` for this process alone."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise click.ClickException(
            f"{directory} can't be written ({(error.strerror or str(error)).lower()}): "
            "choose another place with --dir."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise click.ClickException(
                f"another `tepi up` runs in {directory}: end it, or choose another place with --dir."
            ) from error
        yield


async def _run(plan: Plan, ready_file: Path | None) -> None:
    panel = Panel(plan)
    children = Children(panel.report)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            work = asyncio.create_task(_bring_up_and_watch(plan, panel, children, session, ready_file))
            await _first_of(work, asyncio.create_task(stop.wait()), asyncio.create_task(children.failure()))
    finally:
        panel.close("Ending every part…")
        await children.end()


async def _first_of(*tasks: asyncio.Task[object]) -> None:
    """Waits for the first task to end, cancels the rest, and raises what the first one raised."""
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


async def _bring_up_and_watch(
    plan: Plan, panel: Panel, children: Children, session: aiohttp.ClientSession, ready_file: Path | None
) -> None:
    try:
        async with asyncio.timeout(START_LIMIT):
            made = await _bring_up(plan, panel, children, session)
    except TimeoutError as error:
        raise PartFailed(
            f"the fleet did not answer within {START_LIMIT:g} s: its logs are in {plan.directory / 'logs'}."
        ) from error
    if ready_file is not None:
        write_private(ready_file, json.dumps(ready(plan, made), indent=2) + "\n")
    await panel.watch(made, session)


async def _bring_up(plan: Plan, panel: Panel, children: Children, session: aiohttp.ClientSession) -> FirstRun:
    for name, text in plan.configurations().items():
        write_private(plan.configuration(name), text)
    introduction = Introduction(plan, session)
    panel.say("Starting control…")
    await children.start(plan.part("control", "control"))
    await answers(session, _admin(LOOPBACK, plan.ports.control_admin))
    made = introduction.first_run()
    await introduction.introduce(made.token)
    panel.say("Starting the shop, three edge nodes and DNS…")
    await children.start(plan.sandbox())
    await children.start(plan.part("origin", "origin"))
    for edge in EDGES:
        await children.start(plan.part(edge.name, "edge"))
    await children.start(plan.part("dns", "dns"))
    async with asyncio.TaskGroup() as group:
        group.create_task(answers(session, _admin(LOOPBACK, plan.ports.origin_admin)))
        group.create_task(answers(session, _admin(LOOPBACK, plan.ports.dns_admin)))
        for edge in EDGES:
            group.create_task(answers(session, _admin(edge.address, plan.ports.edge_admin)))
    await introduction.all_healthy(made.token)
    return made


def _admin(host: str, port: int) -> str:
    return f"http://{host}:{port}/readyz"


def ready(plan: Plan, made: FirstRun) -> dict[str, object]:
    """The ready file's content: where everything is, and how to sign in."""
    ports = plan.ports
    return {
        "edges": [
            {
                "name": edge.name,
                "place": edge.place.city,
                "http": f"http://{edge.address}:{ports.http}",
                "https": f"https://{edge.address}:{ports.https}",
                "admin": f"http://{edge.address}:{ports.edge_admin}",
            }
            for edge in EDGES
        ],
        "control": plan.control_url,
        "dns": f"{LOOPBACK}:{ports.dns}",
        "origin": plan.origin_url,
        "site": SITE,
        "admin": {"user": made.user, "password": made.password},
        "token": made.token,
    }
