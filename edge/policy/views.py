"""What policy sees of request fields that differ from visitor to visitor: no more than decides. Pure.

Asked through a view (`Fields.seen`, `Fields.surveyed`), a visitor's analytics cookie does not matter to what
is remembered of the answer. Views are values: two that see alike are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.http.cookies import Pair, pairs_of
from edge.policy.patterns import Patterns


@dataclass(frozen=True, slots=True)
class CookiesCalled:
    """The cookies whose names fit, in order."""

    names: Patterns

    def __call__(self, lines: tuple[str, ...]) -> tuple[Pair, ...]:
        return tuple(pair for pair in pairs_of(lines) if self.names.fits(pair[0]))


@dataclass(frozen=True, slots=True)
class NamesCalled:
    """The names among cookies that fit, in order, whatever the cookies say."""

    names: Patterns

    def __call__(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name, _ in pairs_of(lines) if self.names.fits(name))
