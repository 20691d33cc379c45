"""How something grows, as a picture: one panel a question, logarithmic where it counts things."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Curve:
    """What something costs, in `unit`, at so many `of`; a line for each way of doing it."""

    title: str
    of: str
    unit: str
    lines: tuple[tuple[str, list[tuple[int, float]]], ...]


def draw(curves: list[Curve], file: Path) -> None:
    """Writes a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(curves), 4), layout="constrained")
    for panel, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        for name, points in curve.lines:
            panel.plot([at for at, _ in points], [cost for _, cost in points], marker="o", label=name)
        costs = [cost for _, points in curve.lines for _, cost in points]
        panel.set(title=curve.title, xlabel=curve.of, ylabel=curve.unit, xscale="log")
        if max(costs) > 100 * min(costs):
            panel.set_yscale("log")
        else:
            panel.set_ylim(0, 1.2 * max(costs))
        panel.grid(visible=True, alpha=0.3)
        panel.legend()
    figure.savefig(file, dpi=110)
