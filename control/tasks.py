"""Control's loops: health, figures, what is swept out; and the first start's credentials."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
from collections.abc import Coroutine, Mapping
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
from control.rollout import Side, side, turned
from control.sites import NoTrial
from edge.identity import write_private
from edge.secrets import NoSecret, resolve

log = logging.getLogger("tepi.control.tasks")

EVERY = 0.5  # seconds
NAP = 1.0  # a loop that comes this much later than it should was held up, and the nodes were not
TRIALS_EVERY = 5.0
SETTLING = 2.0  # seconds until a trial's nodes have surely taken it
LATELY = 600.0  # seconds that count, of a trial that has run for longer
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


async def watch_trials(plane: Plane) -> None:
    """Takes back what has turned against the rest of the fleet, and promotes what has held long enough."""
    while True:
        try:
            for trial in await plane.sites.trials():
                await judge_trial(plane, trial)
        except Exception:
            log.exception("trials could not be judged")
        await asyncio.sleep(TRIALS_EVERY)


async def judge_trial(plane: Plane, trial: Mapping[str, Any]) -> None:
    """Ends `trial` where it has turned, or where its time is over."""
    now, site = plane.clocks.wall(), trial["site"]
    ours, rest = await sides(plane, trial)
    with contextlib.suppress(NoTrial):  # somebody else was quicker
        if reason := turned(ours, rest):
            log.warning("the trial of %s is taken back: %s", site, reason)
            await plane.sites.abandon(site, reason)
        elif trial["minutes"] is not None and now >= trial["started_at"] + 60 * trial["minutes"]:
            log.warning("the trial of %s has held for %s minutes: it is for all", site, trial["minutes"])
            await plane.sites.promote(site)


async def sides(plane: Plane, trial: Mapping[str, Any]) -> tuple[Side, Side]:
    """What the nodes of `trial` and the others have answered since it began, or lately."""
    since = max(trial["started_at"] + SETTLING, plane.clocks.wall() - LATELY)
    rows = await plane.samples.since("second", since)
    at = frozenset(trial["nodes"])
    ours = side(row["counters"] for row in rows if row["node"] in at)
    return ours, side(row["counters"] for row in rows if row["node"] not in at)


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
        group.create_task(watch_trials(plane))
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
