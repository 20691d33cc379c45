"""Control's loops: health, figures, what is swept out; and the first start's credentials."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Coroutine
from functools import partial
from typing import Any

from control.auth import new_token
from control.carriers import keep_publishing
from control.db.bells import listen
from control.db.database import CHANNEL
from control.db.election import while_elected
from control.plane import Plane
from control.replicas import keep_exchanging
from control.rights import Scope
from edge.identity import write_private
from edge.secrets import NoSecret, resolve

log = logging.getLogger("tepi.control.tasks")

EVERY = 0.5  # seconds
NAP = 1.0  # a loop that comes this much later than it should was held up, and the nodes were not
FIRST_USER = "admin"
TOKEN = re.compile(r"tepi_[A-Za-z0-9_-]{32,}")


async def watch_health(plane: Plane) -> None:
    """Judges every node's health and tells all nodes of every change."""
    told: dict[str, str] = {}
    lines: frozenset[str] = frozenset()
    woke = plane.clocks.monotonic()
    while True:
        overslept = plane.clocks.monotonic() - woke
        if overslept > NAP:
            log.warning("control did not run for %.1f s", overslept)
            plane.fanout.slept(overslept)
            plane.stream.slept(overslept)
        now = plane.fanout.judge(plane.clocks.monotonic())
        connected = frozenset(seen.name for seen in plane.fanout.all() if seen.connected)
        for name, health in now.items():
            if told.get(name, "unknown") != health:
                log.warning("%s is %s", name, health)
        plane.stream.drop_silent()
        if now != told or not connected <= lines:
            await plane.stream.tell_health(now)
        told, lines = now, connected
        woke = plane.clocks.monotonic() + EVERY
        await asyncio.sleep(EVERY)


async def take_samples(plane: Plane) -> None:
    """Writes what the fleet counted, once a second."""
    while True:
        try:
            await plane.samples.take(plane.fanout, plane.clocks.wall())
        except Exception:
            log.exception("this second's figures could not be written")
        await asyncio.sleep(1.0 - plane.clocks.wall() % 1.0 + 0.01)


async def sweep(plane: Plane) -> None:
    """Forgets old purges and errands, once an hour."""
    while True:
        try:
            await plane.purges.sweep()
            await plane.replicas.sweep()
        except Exception:
            log.exception("what is old could not be forgotten")
        await asyncio.sleep(3600)


def loops(plane: Plane) -> tuple[Coroutine[Any, Any, None], ...]:
    """All that runs beside the listeners: some of it in every control, some in the one that is elected."""
    every = (
        watch_health(plane),
        plane.plugins.watch(),
        while_elected(plane.database, partial(_of_the_elected, plane)),
    )
    if not plane.database.shared:
        return every
    return (
        *every,
        listen(plane.database.url, CHANNEL, plane.database.bells),
        keep_exchanging(plane.replicas),
        plane.replicas.run_errands(),
    )


async def _of_the_elected(plane: Plane) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(take_samples(plane))
        group.create_task(sweep(plane))
        if plane.settings.journal_nats:
            settings = plane.settings
            group.create_task(keep_publishing(settings.journal_nats, plane.journal, settings.journal_keep))


async def first_start(plane: Plane) -> None:
    """With an empty database: an administrator and his tokens, left in first-run.json for the operator.

    Raises NoSecret where a token that the configuration names is not there, or could be guessed.
    """
    if await plane.auth.any_user():
        return
    password = secrets.token_urlsafe(12)
    chosen = {scope: _chosen(reference) for scope, reference in plane.settings.first_tokens.items()}
    made = {
        "user": FIRST_USER,
        "password": password,
        "token": chosen.get("admin") or new_token(),
        "service_token": chosen.get("purge") or new_token(),
    }
    path = plane.settings.directory / "first-run.json"
    write_private(path, json.dumps(made, indent=2).encode())
    bearers: dict[str, tuple[str, Scope]] = {
        "first": (made["token"], "admin"),
        "origin": (made["service_token"], "purge"),
    }
    if nodes := chosen.get("nodes"):
        bearers["nodes"] = (nodes, "nodes")
    first = await plane.auth.begin(FIRST_USER, password, bearers)
    if not first:  # another control on this database was
        path.unlink()
        return
    log.warning("first start: user, password and tokens are in %s", path)


def _chosen(reference: str) -> str:
    token = resolve(reference)
    if not TOKEN.fullmatch(token):
        raise NoSecret(f"{reference}: a token is `tepi_` and 32 letters, digits, - or _ at least")
    return token
