"""Text with variables in it, as rules write it: `$host`, `${1}x`, `$$` for a dollar. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from edge.http.message import Request
from edge.policy.key import host_name

_VARIABLE = re.compile(
    r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*|[0-9]{1,2})|\{([A-Za-z_][A-Za-z0-9_]*|[0-9]{1,2})\})?"
)

# What every rule may say of a request; all of it is the edge's own finding, none of it can hold a line break.
FACTS = frozenset({"client", "country", "host", "id", "scheme"})
OF_THE_URL = frozenset({"host", "scheme"})


@dataclass(frozen=True, slots=True)
class Wording:
    """Literal texts, each followed by the variable that comes after it; "" after the last."""

    parts: tuple[tuple[str, str], ...]

    def said(self, values: Mapping[str, str], spell: Callable[[str], str] = str) -> str:
        """The text with `values` in their places, each as `spell` spells it."""
        parts = self.parts
        if len(parts) == 1 and not parts[0][1]:
            return parts[0][0]
        return "".join(text + spell(values[name]) if name else text for text, name in parts)

    @property
    def names(self) -> frozenset[str]:
        """The variables in it."""
        return frozenset(name for _, name in self.parts if name)

    @property
    def begin(self) -> str:
        """What it begins with, whatever the variables say."""
        return self.parts[0][0] if self.parts else ""


def wording(text: str, known: Collection[str]) -> Wording:
    """Reads `text`. Raises ValueError where it names a variable that is not `known`."""
    parts: list[tuple[str, str]] = []
    literal, at = "", 0
    for found in _VARIABLE.finditer(text):
        literal += text[at : found.start()]
        at = found.end()
        name = found[2] or found[3]
        if found[1]:
            literal += "$"
        elif name in known:
            parts.append((literal, name))
            literal = ""
        else:
            wanted = ", ".join(f"${each}" for each in sorted(known))
            raise ValueError(f"text with none but these variables: {wanted}; a dollar is $$")
    parts.append((literal + text[at:], ""))
    return Wording(tuple(parts))


_FINDINGS: Mapping[str, Callable[[Request], str]] = {
    "client": lambda request: request.client.address,
    "country": lambda request: request.client.country or "",
    "host": lambda request: host_name(request.host),
    "id": lambda request: request.id,
    "scheme": lambda request: request.scheme,
}


def facts_of(request: Request, names: Iterable[str] = FACTS) -> dict[str, str]:
    """The values of those of `FACTS` that are named; what is not known is empty.

    None but those is looked at, for an answer may be kept for all who do not differ in what was.
    """
    return {name: finding(request) for name, finding in _FINDINGS.items() if name in names}
