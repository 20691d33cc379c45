"""Glob patterns, asked all at once. Pure."""

from __future__ import annotations

import re


class Patterns:
    """`*` is any text, `?` one character; upper and lower case differ."""

    __slots__ = ("_exact", "_regex", "patterns")

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        self.patterns = patterns
        self._exact = frozenset(pattern for pattern in patterns if not set(pattern) & set("*?"))
        globs = [_regex(pattern) for pattern in patterns if pattern not in self._exact]
        self._regex = re.compile("|".join(globs), re.DOTALL) if globs else None

    def fits(self, text: str) -> bool:
        """Whether any of the patterns is `text`."""
        return text in self._exact or (self._regex is not None and self._regex.fullmatch(text) is not None)

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patterns) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"Patterns({self.patterns!r})"


NOTHING = Patterns()


def _regex(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
