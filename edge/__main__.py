"""The edge as a process: starts a node, and ends it gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable

from edge.admin import open_admin
from edge.config import EdgeConfig
from edge.listeners import AddressTaken
from edge.running import Running, wait_for_restart
from edge.supervisor import Command, Supervisor, supervised
from edge.upstream.checks import Checks
from edge.wiring import build, identity_of
from edge.workers.rooms import workers_of
from geo.lookup import open_database

log = logging.getLogger("tepi.edge")

Reload = Callable[[], EdgeConfig]


async def serve(config: EdgeConfig, *, reload: Reload | None, worker: Command) -> None:
    """Runs a node until SIGTERM or SIGINT; SIGHUP takes what `reload` gives. `worker` starts a worker.

    A single worker needs no process beside it: nothing would be fanned out, and what starts this process
    again when it dies (systemd, Docker) does for it what a supervisor does for several.

    Raises AddressTaken, BadCertificate, geo.lookup.BadDatabase, edge.identity.JoinRefused and
    edge.secrets.NoSecret where it can't run as it is told to.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    asked = asyncio.Event()
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, asked.set)
    workers = workers_of(config)
    node: contextlib.AbstractAsyncContextManager[Running | Supervisor] = (
        running(config) if workers == 1 else supervised(config, workers, worker)
    )
    async with node as edge:
        if reload is not None:
            edge.tasks.start(_reload_when(asked, edge, reload))
        await stop.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def running(config: EdgeConfig) -> AsyncIterator[Running]:
    """A node of one worker that listens within this context, and ends gracefully with it."""
    async with contextlib.AsyncExitStack() as stack:
        database = stack.enter_context(open_database(config.geo_database))
        edge = build(config, await identity_of(config), database)
        stack.push_async_callback(edge.stop)
        if edge.agent is not None:
            await edge.agent.restore(kept=edge.store.lasts)
            edge.tasks.start(edge.agent.run())
        await edge.vicinity.open(edge.tasks, edge.node.position)
        edge.open_hooks()
        await edge.take(config)
        edge.admin = await open_admin(edge, config.admin, stack)
        edge.begin(Checks(edge.backends))
        for scheme, address in edge.listeners.addresses():
            log.info("listening on %s://%s", scheme, address)
        yield edge


async def _reload_when(asked: asyncio.Event, edge: Running | Supervisor, reload: Reload) -> None:
    """Takes a new configuration each time that is `asked`; one that can't be taken leaves all as it was."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            config = await asyncio.to_thread(reload)
            wait_for_restart(edge.config, config)
            await edge.take(config)
            log.info("configuration reloaded")
        except (ValueError, AddressTaken, OSError) as error:
            log.error("configuration not reloaded: %s", error)
