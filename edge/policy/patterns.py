"""Glob patterns, asked all at once. Pure."""

from __future__ import annotations

import re


class Patterns:
    """`*` is any text, `?` one character; upper and lower case differ.

    Most patterns are a beginning, an end or a middle: those need no regular expression, which would try each.
    """

    __slots__ = ("_beginnings", "_ends", "_exact", "_middles", "_regex", "patterns")

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        self.patterns = patterns
        exact, beginnings, ends, middles, others = set(), [], [], [], []
        for pattern in patterns:
            inner = pattern.strip("*")
            if "*" in inner or "?" in inner:
                others.append(_regex(pattern))
            elif not pattern.startswith("*"):
                if pattern.endswith("*"):
                    beginnings.append(inner)
                else:
                    exact.add(pattern)
            elif pattern.endswith("*"):
                middles.append(inner)
            else:
                ends.append(inner)
        self._exact = frozenset(exact)
        self._beginnings, self._ends, self._middles = tuple(beginnings), tuple(ends), tuple(middles)
        self._regex = re.compile("|".join(others), re.DOTALL) if others else None

    def fits(self, text: str) -> bool:
        """Whether any of the patterns is `text`."""
        if text in self._exact or text.startswith(self._beginnings) or text.endswith(self._ends):
            return True
        for middle in self._middles:
            if middle in text:
                return True
        return self._regex is not None and self._regex.fullmatch(text) is not None

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
