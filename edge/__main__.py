"""The edge as a process: starts a node, and ends it gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path

from aiohttp import web

from edge.admin import admin_application
from edge.config import EdgeConfig
from edge.identity import Identity, obtain
from edge.listeners import AddressTaken, cannot_listen
from edge.notation import Address
from edge.problems import Refused
from edge.running import Running
from edge.tasks import every
from edge.tls import BadCertificate
from edge.upstream.checks import Checks
from edge.wiring import build
from geo.lookup import open_database

log = logging.getLogger("tepi.edge")

GRACE = 10.0  # seconds that requests under way have to finish
LOG_FLUSH = 0.2
TEND = 5.0
HEAT = 300.0  # what was asked for in this time or the one before is hot
TEND_PAGES = 1.0

Reload = Callable[[], EdgeConfig]


async def serve(config: EdgeConfig, *, reload: Reload | None) -> None:
    """Runs a node until SIGTERM or SIGINT; SIGHUP takes what `reload` gives.

    Raises AddressTaken, BadCertificate, geo.lookup.BadDatabase, edge.identity.JoinRefused and
    edge.secrets.NoSecret where it can't run as it is told to.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as edge:
        if reload is not None:
            loop.add_signal_handler(signal.SIGHUP, lambda: edge.tasks.start(_reload(edge, reload)))
        await stop.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def running(config: EdgeConfig) -> AsyncIterator[Running]:
    """A node that listens within this context, and ends gracefully with it."""
    async with contextlib.AsyncExitStack() as stack:
        database = stack.enter_context(open_database(config.geo_database))
        identity = await _identity(config)
        edge = build(config, identity, database)
        stack.push_async_callback(_stop, edge)
        if edge.agent is not None:
            await edge.agent.restore(kept=edge.store.lasts)
            edge.tasks.start(edge.agent.run())
        await edge.vicinity.open(edge.tasks, edge.node.position)
        await edge.take(config)
        edge.admin = await _open_admin(edge, stack)
        for work in (
            edge.listeners.sweep_forever(),
            Checks(edge.backends).run(),
            every(TEND, edge.backends.tend),
            every(HEAT, edge.store.front.heat.turn),
            every(TEND_PAGES, lambda: edge.tasks.start(edge.node.tend())),
            every(LOG_FLUSH, lambda: edge.access_log.flush() if edge.access_log is not None else None),
        ):
            edge.tasks.start(work)
        for scheme, address in edge.listeners.addresses():
            log.info("listening on %s://%s", scheme, address)
        yield edge


async def _identity(config: EdgeConfig) -> Identity | None:
    if config.control is None:
        return None
    return await obtain(Path(config.state), config.control.url, config.control.join_token, version("tepi"))


async def _stop(edge: Running) -> None:
    edge.front.draining = True
    for lane in edge.lanes.values():
        lane.close()
    edge.relay.close_all()
    await edge.listeners.stop(lambda: edge.front.under_way, GRACE)
    await edge.vicinity.close()
    await edge.tasks.end()
    edge.backends.close()
    edge.store.close()
    if edge.access_log is not None:
        edge.access_log.close()


async def _reload(edge: Running, reload: Reload) -> None:
    """A configuration that can't be taken leaves everything as it was."""
    try:
        await edge.take(await asyncio.to_thread(reload))
        log.info("configuration reloaded")
    except (Refused, AddressTaken, BadCertificate, OSError) as error:
        log.error("configuration not reloaded: %s", error)


async def _open_admin(edge: Running, stack: contextlib.AsyncExitStack) -> Address:
    runner = web.AppRunner(admin_application(edge.node, edge.telemetry, edge.ready), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    wanted = edge.config.admin
    try:
        await web.TCPSite(runner, wanted.host, wanted.port).start()
    except OSError as error:
        raise AddressTaken(cannot_listen(wanted, error, "--admin")) from error
    host, port = runner.addresses[0][:2]
    log.info("admin listener on http://%s", Address(host, port))
    return Address(host, port)
