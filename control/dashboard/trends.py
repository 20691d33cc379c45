"""The charts of the overview: what each shows, made of the fleet's history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from control.dashboard.charts import Chart, Series, Times, draw
from control.dashboard.figures import (
    ASKED_ORIGIN,
    FROM_STORE,
    PASSED,
    Counters,
    Figures,
    figures,
    summed,
)
from control.dashboard.history import SPANS, Bucket
from control.dashboard.visit import Visit

Points = list[float | None]
NODE_COLOURS = 6  # further nodes are drawn, but share a colour


async def trends(visit: Visit) -> list[Chart]:
    """Every chart over the range that `visit` looks at."""
    span = SPANS[visit.range]
    buckets = await visit.dashboard.history.buckets(visit.range, visit.plane.clocks.wall())
    times = Times(buckets[0].start, span.step, len(buckets), visit.zone)
    language, text = visit.language, visit.language.gettext
    moment = partial(language.moment, zone=visit.zone, span=span.seconds)

    def rates(*names: str) -> Points:
        return _each(buckets, lambda counters: summed(counters, *names) / span.step)

    def of_figures(take: Callable[[Figures], float | None]) -> Points:
        return _each(buckets, lambda counters: take(figures(counters, span.step)))

    plot = partial(draw, times=times, moment=moment)
    return [
        plot(
            "requests",
            text("Requests"),
            text("requests per second"),
            [
                Series(text("from the store"), "store", rates(*FROM_STORE)),
                Series(text("asked the origin"), "origin", rates(*ASKED_ORIGIN)),
                Series(text("passed through"), "passed", rates(*PASSED)),
                Series(text("refused or failed"), "failed", rates("refused", "errors")),
            ],
            form="stack",
            measure="rate",
            value=language.number,
        ),
        plot(
            "hit-ratio",
            text("Hit ratio"),
            text("share of answers from the store"),
            [Series(text("hit ratio"), "store", of_figures(lambda one: one.hit_ratio))],
            form="area",
            measure="share",
            value=language.percent,
        ),
        plot(
            "latency",
            text("Latency"),
            text("until the answer's end, logarithmic"),
            [
                Series("p50", "store", of_figures(lambda one: one.p50)),
                Series("p99", "passed", of_figures(lambda one: one.p99)),
            ],
            form="line",
            measure="seconds",
            value=language.duration,
        ),
        plot(
            "traffic",
            text("Traffic"),
            text("bytes per second"),
            [
                Series(text("to visitors"), "store", rates("bytes_sent")),
                Series(text("from origins"), "origin", rates("bytes_origin")),
            ],
            form="line",
            measure="bytes",
            value=language.bytes,
        ),
        plot(
            "errors",
            text("Errors"),
            text("answers per second"),
            [
                Series(text("failed (5xx)"), "failed", rates("errors")),
                Series(text("refused"), "passed", rates("refused")),
            ],
            form="line",
            measure="rate",
            value=language.number,
        ),
        plot(
            "nodes",
            text("Requests by node"),
            text("requests per second"),
            _by_node(buckets, span.step),
            form="line",
            measure="rate",
            value=language.number,
        ),
    ]


def _each(buckets: Sequence[Bucket], value: Callable[[Counters], float | None]) -> Points:
    return [None if bucket.fleet is None else value(bucket.fleet) for bucket in buckets]


def _by_node(buckets: Sequence[Bucket], step: int) -> list[Series]:
    names = sorted({name for bucket in buckets for name in bucket.nodes})
    return [
        Series(
            name,
            f"node-{index % NODE_COLOURS}",
            [
                summed(bucket.nodes[name], "requests") / step if name in bucket.nodes else None
                for bucket in buckets
            ],
        )
        for index, name in enumerate(names)
    ]
