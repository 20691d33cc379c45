"""A bar chart as SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH, LABEL, ROW, BAR = 720, 220, 34, 20
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#333}.b{fill:#8aa1b1}.first{fill:#c8553d}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


def bars(title: str, values: Mapping[str, float]) -> str:
    """One bar for each of `values`, the first one ours."""
    longest = max(values.values())
    room = WIDTH - LABEL - 80
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{(len(values) + 1) * ROW + 10}" '
        f'role="img" aria-label="{escape(title)}"><style>{STYLE}</style>',
        f'<text x="0" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(values.items(), 1):
        top, length = number * ROW, max(1.0, value / longest * room)
        parts += [
            f'<text x="0" y="{top + 15}">{escape(name)}</text>',
            f'<rect class="{"first" if number == 1 else "b"}" x="{LABEL}" y="{top}" width="{length:.0f}" '
            f'height="{BAR}" rx="3"/>',
            f'<text x="{LABEL + length + 8:.0f}" y="{top + 15}">{value:.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
