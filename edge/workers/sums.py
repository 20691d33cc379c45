"""Many workers' figures and findings as those of one node. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

Document = Mapping[str, Any]

# What is not added up: an origin that one worker avoids is not up; limits and starts are each process's own;
# what the workers store together, each of them sees.
_LEAST = frozenset({"tepi_edge_origin_up", "process_max_fds", "process_start_time_seconds"})
_SAME = frozenset(
    {
        "python_info",
        "tepi_edge_ready",
        "tepi_edge_disk_entries",
        "tepi_edge_disk_bytes",
        "tepi_edge_disk_budget_bytes",
    }
)
_CUMULATIVE = frozenset({"counter", "histogram", "summary"})


def added(documents: Iterable[Document]) -> dict[str, Any]:
    """Numbers added up, name by name, however deep; of anything else the last."""
    total: dict[str, Any] = {}
    for document in documents:
        for name, value in document.items():
            known = total.get(name)
            if isinstance(value, Mapping):
                total[name] = added((known, value) if isinstance(known, Mapping) else (value,))
            elif isinstance(value, int | float) and isinstance(known, int | float):
                total[name] = known + value
            else:
                total[name] = value
    return total


def weighed(weights: Iterable[Document]) -> dict[str, Any]:
    """What a purge would drop (edge.purge.Weight) of what all workers share: the most that one knows of."""
    total = max(weights, key=lambda one: one["bytes"])
    stored = total.get("hot_bytes_stored", 0)
    return {**total, "hot_share": round(total["hot_bytes"] / stored, 4) if stored else 0.0}


def purged(told: Sequence[Document]) -> dict[str, Any]:
    """What a purge dropped, or a dry run would, in all workers."""
    if "hot_bytes" in told[0]:
        numbers = ({k: v for k, v in one.items() if _is_number(v)} for one in told)
        return {**told[0], **weighed(numbers)}
    return {**told[0], "entries": max(one["entries"] for one in told)}


def explained(stories: Sequence[Document]) -> dict[str, Any]:
    """The story that a request would most likely meet: the one told by most; of equals, the first."""
    decided = [story.get("decision") for story in stories]
    commonest = max(decided, key=decided.count)
    return dict(stories[decided.index(commonest)])


def gathered(told: Sequence[Document]) -> dict[str, Any]:
    """What workers tell of their webhooks: numbers added up, lists one after another."""
    total: dict[str, Any] = {}
    for document in told:
        for name, value in document.items():
            total[name] = total[name] + value if name in total else value
    return total


def merged(groups: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Each family once: counters and histograms added up, gauges too but for those that make no sum."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for group in groups:
        for family in group:
            families.setdefault(family.name, family)
            known = values.setdefault(family.name, {})
            join = _joining(family.name)
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                known[key] = join(known[key], sample.value) if key in known else sample.value
    return [_family(families[name], known) for name, known in values.items()]


def lasting(families: Iterable[Metric]) -> list[Metric]:
    """What stays true when the worker that counted it is gone: all but gauges and its process's own."""
    return [
        family
        for family in families
        if family.type in _CUMULATIVE and not family.name.startswith(("process_", "python_"))
    ]


def _family(like: Metric, values: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]) -> Metric:
    family = Metric(like.name, like.documentation, like.type, like.unit)
    family.samples = [Sample(name, dict(labels), value) for (name, labels), value in values.items()]
    return family


def _joining(name: str) -> Callable[[float, float], float]:
    if name in _LEAST:
        return min
    if name in _SAME:
        return max
    return lambda one, other: one + other


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
