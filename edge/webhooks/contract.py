"""What a provider of webhooks is to the edge: it looks at what came, and says what it is or what is wrong.

Pure: no clock, no I/O. A provider is a class with an entry point in the group `tepi.webhooks`.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

TOLERANCE = 300.0  # seconds between a signature's time and ours
LONGEST_EVENT = 200

Fault = Literal["signature", "time", "malformed"]


class Unverified(Exception):
    """The webhook's signature, time or form is wrong. `fault` is the named reason; no text shows a secret."""

    def __init__(self, sentence: str, fault: Fault = "signature") -> None:
        super().__init__(sentence)
        self.fault: Fault = fault


@dataclass(frozen=True, slots=True)
class Setting:
    """What a provider must be told. A `secret` is given as a reference; others as they are."""

    name: str
    help: str
    secret: bool = True
    default: str | None = None  # None: it must be given


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as it came. Names of `fields` are lower case; `material` holds what was asked for by URL."""

    body: bytes
    fields: Mapping[str, str]
    path: str = "/"
    query: Mapping[str, str] = field(default_factory=dict)
    material: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider expects to be answered, where any 2xx is not enough."""

    body: bytes = b"taken\n"
    content_type: str = "text/plain; charset=utf-8"


TAKEN = Reply()


@dataclass(frozen=True, slots=True)
class Verified:
    """It is the provider's. `event` tells repetitions.

    A `hint` is signed too weakly to be believed: the provider is asked before anything follows from it.
    """

    event: str
    hint: bool = False
    reply: Reply = TAKEN


@dataclass(frozen=True, slots=True)
class Wants:
    """The verdict needs what lies at `url`, which the provider itself vouches for (its host is pinned)."""

    url: str


Verdict = Verified | Wants


class Provider(Protocol):
    """One kind of sender. Made of its settings by name; a setting that is missing was refused before."""

    name: ClassVar[str]
    settings: ClassVar[tuple[Setting, ...]]

    def __init__(self, settings: Mapping[str, str]) -> None: ...

    def verify(self, hook: Hook, now: float) -> Verdict:
        """What `hook` is; `now` in seconds since 1970. Raises Unverified."""
        ...

    def challenge(self, query: Mapping[str, str]) -> Reply | None:
        """The answer to a question by GET that proves whose address this is, if the provider asks so."""
        ...


class ProviderDefaults:
    """A provider that never asks by GET."""

    name: ClassVar[str]
    settings: ClassVar[tuple[Setting, ...]]

    def challenge(self, query: Mapping[str, str]) -> Reply | None:
        return None


# What verifiers share ---------------------------------------------------------------------------


def secrets_of(text: str) -> tuple[str, ...]:
    """The secrets of a setting: several, apart by white space, while one is being changed."""
    return tuple(text.split())


def same(expected: str, got: str) -> bool:
    """Whether they are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(encoded(expected), encoded(got))


def any_same(expected: Iterable[str], got: Iterable[str]) -> bool:
    """Whether any pair is equal; every pair is looked at."""
    wanted = list(got)
    found = [same(one, each) for one in expected for each in wanted]
    return any(found)


def encoded(text: str) -> bytes:
    """As it came: a field of a request may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def timely(text: str, now: float, name: str, tolerance: float = TOLERANCE) -> int:
    """`text` as seconds since 1970, near enough to `now`. Raises Unverified."""
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise Unverified(f"{name}: got {text[:20]!r}, expected seconds since 1970", "malformed")
    if abs(now - int(text)) > tolerance:
        raise Unverified(f"{name}: more than {tolerance:g} s from now", "time")
    return int(text)


def document_of(body: bytes) -> Mapping[str, Any]:
    """The JSON object that a body is. Raises Unverified."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unverified("the body is not JSON", "malformed") from error
    if not isinstance(document, dict):
        raise Unverified("the body is not a JSON object", "malformed")
    return document


def text_in(document: Mapping[str, Any], *names: str) -> str:
    """The first of `names` that is text in `document`, or nothing."""
    for name in names:
        found = document.get(name)
        if isinstance(found, str) and found:
            return found
    return ""
