"""Control's loops: health once a second, figures once a second, and the first start's credentials."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets

from control.auth import new_token
from control.plane import Plane
from edge.identity import write_private

log = logging.getLogger("tepi.control.tasks")

EVERY = 0.5  # seconds
NAP = 1.0  # a loop that comes this much later than it should was held up, and the nodes were not
FIRST_USER = "admin"


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


async def sweep_purges(plane: Plane) -> None:
    """Forgets old purges, once an hour."""
    while True:
        try:
            await plane.purges.sweep()
        except Exception:
            log.exception("old purges could not be forgotten")
        await asyncio.sleep(3600)


async def first_start(plane: Plane) -> None:
    """With an empty database: an administrator and two tokens, left in first-run.json for the operator."""
    if await plane.auth.any_user():
        return
    password = secrets.token_urlsafe(12)
    made = {
        "user": FIRST_USER,
        "password": password,
        "token": new_token(),
        "service_token": new_token(),
    }
    path = plane.settings.directory / "first-run.json"
    write_private(path, json.dumps(made, indent=2).encode())
    await plane.auth.begin(
        FIRST_USER,
        password,
        {"first": (made["token"], "admin"), "origin": (made["service_token"], "purge")},
    )
    log.warning("first start: user, password and tokens are in %s", path)
