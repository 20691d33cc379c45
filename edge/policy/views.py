"""What policy sees of request fields that differ from visitor to visitor: no more than decides. Pure.

Asked through a view (`Fields.seen`, `Fields.surveyed`), a visitor's analytics cookie does not matter to what
is remembered of the answer. Views are values: two that see alike are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.http.cookies import Pair, pairs_of
from edge.http.negotiation import preferences
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


@dataclass(frozen=True, slots=True)
class Speaks:
    """Whether the favourite language, the first of the best, is one of `languages` or begins with it."""

    languages: frozenset[str]

    def __call__(self, lines: tuple[str, ...]) -> bool:
        ranked = sorted(preferences(", ".join(lines)), key=lambda one: -one[1])
        if not ranked or ranked[0][1] == 0.0:
            return False
        tag = ranked[0][0]
        return any(tag == language or tag.startswith(f"{language}-") for language in self.languages)
