"""Why an answer is what it is, as values: what `tepi explain` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step on a request's way: its name, what was found, and the facts it rests on."""

    step: str  # "site", "key", "rules", "stored", "decision", ...
    finding: str
    facts: Mapping[str, object]  # JSON-able


@dataclass(frozen=True, slots=True)
class StoredVariant:
    """One stored answer under the request's key."""

    status: int
    selected: bool
    age: int
    lifetime: int
    lifetime_from: str  # which rule gave the lifetime, e.g. "s-maxage"
    ttl: int  # seconds left; negative = stale since
    size: int
    encodings: tuple[str, ...]
    vary: Mapping[str, str | None]
    tags: tuple[str, ...]
    etag: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole story of one request, told without sending it anywhere."""

    url: str
    method: str
    site: str | None
    key: str | None
    decision: str  # an Outcome's verdict
    reason: str | None
    steps: tuple[Step, ...]
    variants: tuple[StoredVariant, ...]
    hit_when: tuple[str, ...]  # what would make it a hit, one sentence each

    def as_json(self) -> dict[str, object]:
        """The same, of JSON's types only."""
        return asdict(self)
