from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from geo.dns.probe import Prober, Streak, with_health
from geo.dns.settings import ProbeSettings
from geo.fleet import Fleet, Health, Node, Place
from tests.geo.worlds import FLEET

SETTINGS = ProbeSettings(interval=0.1, timeout=0.3, fall=2, rise=2)
PLACE = Place("x", "ID", 0, 0)
ALIVE = Node("a", PLACE, ("127.0.0.1",))
NOT_READY = Node("b", PLACE, ("127.0.0.2",))
SILENT = Node("c", PLACE, ("127.0.0.3",))

UP, READYING, DOWN = Health.HEALTHY, Health.DRAINING, Health.UNHEALTHY
THRICE = ProbeSettings(fall=3, rise=2)


def after(*seen: Health, settings: ProbeSettings = THRICE, start: Health = Health.UNKNOWN) -> Health:
    streak = Streak(start)
    for one in seen:
        streak = streak.after(one, settings)
    return streak.health


@pytest.mark.parametrize(
    ("seen", "start", "health"),
    [
        pytest.param([UP], Health.UNKNOWN, UP, id="first-success-from-unknown"),
        pytest.param([DOWN, DOWN], UP, UP, id="two-failures-are-no-fall"),
        pytest.param([DOWN, DOWN, DOWN], UP, DOWN, id="three-are"),
        pytest.param([DOWN, DOWN, UP, DOWN, DOWN], UP, UP, id="a-success-between-starts-anew"),
        pytest.param([UP], DOWN, DOWN, id="one-success-is-no-rise"),
        pytest.param([UP, UP], DOWN, UP, id="two-are"),
        pytest.param([DOWN, DOWN], Health.UNKNOWN, Health.UNKNOWN, id="unknown-falls-no-faster"),
        pytest.param([READYING] * 3, UP, READYING, id="not-ready-is-not-dead"),
        pytest.param([READYING] * 3 + [DOWN], UP, DOWN, id="dead-after-not-ready"),
    ],
)
def test_health_changes_after_a_streak_only(seen: list[Health], start: Health, health: Health) -> None:
    assert after(*seen, start=start) is health


@given(st.lists(st.sampled_from([UP, READYING, DOWN])), st.integers(1, 5), st.integers(1, 5))
def test_the_last_probes_decide(seen: list[Health], fall: int, rise: int) -> None:
    settings = ProbeSettings(fall=fall, rise=rise)
    assert after(*seen, *[UP] * rise, settings=settings) is UP
    assert after(*seen, *[DOWN] * fall, settings=settings) is DOWN


class Answers:
    """What each address says: a status, or None for silence."""

    def __init__(self, **statuses: int | None) -> None:
        self.statuses = statuses
        self.most_at_once = 0
        self._now = 0

    async def health(self, request: web.Request) -> web.Response:
        assert request.path == "/_tepi/health"
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            socket = request.transport.get_extra_info("sockname") if request.transport else ("", 0)
            status = self.statuses["abc"[int(socket[0][-1]) - 1]]
            await asyncio.sleep(10 if status is None else 0.01)
            return web.Response(status=status or 200)
        finally:
            self._now -= 1


@contextlib.asynccontextmanager
async def probing(
    answers: Answers, fleet: Fleet, settings: ProbeSettings = SETTINGS
) -> AsyncIterator[tuple[Prober, list[Mapping[str, Health]]]]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answers.health)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    first = web.TCPSite(runner, "127.0.0.1", 0)
    await first.start()
    port = runner.addresses[0][1]
    for host in ("127.0.0.2", "127.0.0.3"):
        await web.TCPSite(runner, host, port).start()
    heard: list[Mapping[str, Health]] = []
    prober = Prober(settings, port, heard.append)
    prober.watch(fleet)
    task = asyncio.create_task(prober.run())
    try:
        yield prober, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()


async def until(prober: Prober, **health: Health) -> None:
    async with asyncio.timeout(5):
        while prober.health != health:
            await asyncio.sleep(0.02)


async def test_living_unready_and_silent_nodes_are_told_apart() -> None:
    answers = Answers(a=200, b=503, c=None)
    async with probing(answers, Fleet((ALIVE, NOT_READY, SILENT))) as (prober, heard):
        await until(prober, a=UP, b=READYING, c=DOWN)
        assert heard[-1] == {"a": UP, "b": READYING, "c": DOWN}


async def test_a_node_that_falls_silent_and_comes_back_is_heard_of() -> None:
    answers = Answers(a=200)
    async with probing(answers, Fleet((ALIVE,))) as (prober, heard):
        await until(prober, a=UP)
        answers.statuses["a"] = None
        await until(prober, a=DOWN)
        answers.statuses["a"] = 200
        await until(prober, a=UP)
        assert [one["a"] for one in heard] == [UP, DOWN, UP]


async def test_a_port_where_nobody_or_somebody_else_answers_is_unhealthy() -> None:
    nobody = Node("a", PLACE, ("127.0.0.9",))
    async with probing(Answers(b=404), Fleet((nobody, NOT_READY))) as (prober, _):
        await until(prober, a=DOWN, b=DOWN)


async def test_one_living_address_is_enough() -> None:
    both = Node("a", PLACE, ("127.0.0.9", "127.0.0.1"))
    async with probing(Answers(a=200), Fleet((both,))) as (prober, _):
        await until(prober, a=UP)


async def test_probes_under_way_are_bounded() -> None:
    answers = Answers(a=200)
    fleet = Fleet(tuple(Node(f"n{number}", PLACE, ("127.0.0.1",)) for number in range(20)))
    settings = ProbeSettings(interval=0.1, timeout=2, concurrency=3)
    async with probing(answers, fleet, settings) as (prober, _):
        await until(prober, **{node.name: UP for node in fleet.nodes})
    assert 1 <= answers.most_at_once <= 3


async def test_a_node_that_leaves_is_forgotten_and_one_that_comes_is_unknown() -> None:
    async with probing(Answers(a=200, b=200), Fleet((ALIVE,))) as (prober, _):
        await until(prober, a=UP)
        prober.watch(Fleet((ALIVE, NOT_READY)))
        assert prober.health == {"a": UP, "b": Health.UNKNOWN}
        await until(prober, a=UP, b=UP)
        prober.watch(Fleet((NOT_READY,)))
        assert prober.health == {"b": UP}


def test_health_is_laid_over_a_fleet() -> None:
    fleet = with_health(FLEET, {"jakarta": DOWN, "stranger": UP})
    assert [node.health for node in fleet.nodes] == [DOWN, Health.UNKNOWN, Health.UNKNOWN]
