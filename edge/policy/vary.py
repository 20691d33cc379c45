"""Vary: which stored variant fits a request (RFC 9111 §4.1). Pure."""

from __future__ import annotations

from edge.http.lists import members, names
from edge.http.message import Fields
from edge.http.negotiation import favourite_language, normal_languages

Selection = tuple[tuple[str, str | None], ...]  # (lower-case name, normal value or None where absent)

# The edge asks for the unencoded body and encodes it by itself, so this field selects nothing here.
OURS = frozenset({"accept-encoding"})


def nominated(fields: Fields) -> tuple[str, ...] | None:
    """The request fields that Vary names, each once and in order; None if `*` is anywhere among them."""
    value = fields.get("vary")
    if value is None:
        return ()
    listed = names(value)
    if "*" in listed:
        return None
    return tuple(sorted({name for name in listed if name not in OURS}))


def select(listed: tuple[str, ...], request: Fields) -> Selection:
    """What `request` says in the `listed` fields, made normal."""
    return tuple((name, normal(name, request.get(name))) for name in listed)


def normal(name: str, value: str | None) -> str | None:
    """`value` with differences taken away that cannot matter (§4.1)."""
    if value is None:
        return None
    if name == "accept-language":
        return normal_languages(value)
    return ",".join(members(value)) if "," in value else value.strip(" \t")


def matches(selection: Selection, stored: Fields, request: Fields) -> bool:
    """Whether a response stored for `selection` may answer a request with these fields."""
    for name, value in selection:
        said = request.get(name)
        if normal(name, said) != value and not _speaks(name, said, stored):
            return False
    return True


def _speaks(name: str, said: str | None, stored: Fields) -> bool:
    """Whether the stored response is in the one language that the client likes best (RFC 9110 §12.5.4)."""
    if name != "accept-language" or said is None:
        return False
    language = stored.get("content-language")
    return language is not None and language.lower() == favourite_language(said)
