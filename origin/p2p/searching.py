"""Filters and searches as statements; full text in SQLite's words (FTS5) or PostgreSQL's (tsvector)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Float, Select, and_, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from origin.p2p.filters import Filter
from origin.p2p.geohash import box
from origin.p2p.tables import events, listings, tags, words


class Holds(ColumnElement[Any]):
    """Whether a row of `p2p_words` holds all words of `search`."""

    inherit_cache = False

    def __init__(self, search: ColumnElement[str]) -> None:
        self.search = search


class Rank(ColumnElement[float]):
    """How ill a row that holds `search` fits it: the best comes first."""

    inherit_cache = False
    type = Float()

    def __init__(self, search: ColumnElement[str]) -> None:
        self.search = search


@compiles(Holds, "sqlite")
def _holds_sqlite(element: Holds, compiler: SQLCompiler, **kw: Any) -> str:
    return f"p2p_words MATCH {compiler.process(element.search, **kw)}"


@compiles(Holds, "postgresql")
def _holds_postgresql(element: Holds, compiler: SQLCompiler, **kw: Any) -> str:
    return f"p2p_words.words @@ plainto_tsquery('simple', {compiler.process(element.search, **kw)})"


@compiles(Rank, "sqlite")
def _rank_sqlite(_element: Rank, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "bm25(p2p_words)"


@compiles(Rank, "postgresql")
def _rank_postgresql(element: Rank, compiler: SQLCompiler, **kw: Any) -> str:
    said = compiler.process(element.search, **kw)
    return f"-ts_rank(p2p_words.words, plainto_tsquery('simple', {said}))"


def _search(asked: tuple[str, ...]) -> ColumnElement[str]:
    """Words in quotes: all must be there, and none is read as an operator. PostgreSQL passes quotes over."""
    return literal(" ".join(f'"{word}"' for word in asked))


def stored(asked: Filter, now: float, most: int) -> Select[Any]:
    """What `asked` finds, as column `raw`: the newest first, or the best where words are searched for."""
    limit = most if asked.limit is None else min(asked.limit, most)
    found = select(events.c.raw).where(_conditions(asked, now)).limit(limit)
    if not asked.words:
        return found.order_by(events.c.created_at.desc(), events.c.id)
    search = _search(asked.words)
    return (
        found.join(words, words.c.rowid == events.c.number)
        .where(Holds(search))
        .order_by(Rank(search), events.c.created_at.desc())
    )


def matching(asked: Filter, now: float) -> Select[Any]:
    """The ids of all that `asked` finds, for counting; several filters' may be united."""
    found = select(events.c.id).where(_conditions(asked, now))
    if asked.words:
        found = found.join(words, words.c.rowid == events.c.number).where(Holds(_search(asked.words)))
    return found


def _conditions(asked: Filter, now: float) -> ColumnElement[bool]:
    held: list[ColumnElement[bool]] = [unexpired(now)]
    if asked.ids is not None:
        held.append(events.c.id.in_(sorted(asked.ids)))
    if asked.authors is not None:
        held.append(events.c.pubkey.in_(sorted(asked.authors)))
    if asked.kinds is not None:
        held.append(events.c.kind.in_(sorted(asked.kinds)))
    if asked.since is not None:
        held.append(events.c.created_at >= asked.since)
    if asked.until is not None:
        held.append(events.c.created_at <= asked.until)
    for name, values in sorted(asked.tags.items()):
        bearing = select(tags.c.event).where(tags.c.name == name, tags.c.value.in_(sorted(values)))
        held.append(events.c.number.in_(bearing))
    return and_(*held)


def unexpired(now: float) -> ColumnElement[bool]:
    """Not over yet (NIP-40)."""
    return or_(events.c.expires_at.is_(None), events.c.expires_at > int(now))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a visitor looks for among listings. Prices are minor units of `currency`; `near` is latitude and
    longitude in degrees, `km` how far around it."""

    words: tuple[str, ...] = ()
    category: str = ""
    cell: str = ""  # a geohash that its place begins with
    currency: str = ""
    least: int | None = None
    most: int | None = None
    near: tuple[float, float] | None = None
    km: float = 0.0


def offered(wanted: Wanted, now: float, most: int) -> Select[Any]:
    """Active listings as column `raw`, the newest first."""
    found = (
        select(events.c.raw)
        .join(listings, listings.c.event == events.c.number)
        .where(listings.c.status == "active", unexpired(now))
        .order_by(listings.c.published_at.desc(), events.c.id)
        .limit(most)
    )
    if wanted.words:
        found = found.join(words, words.c.rowid == events.c.number).where(Holds(_search(wanted.words)))
    if wanted.category:
        held = select(tags.c.event).where(tags.c.name == "t", tags.c.value == wanted.category)
        found = found.where(events.c.number.in_(held))
    if wanted.cell:
        after = wanted.cell[:-1] + chr(ord(wanted.cell[-1]) + 1)
        found = found.where(listings.c.geohash >= wanted.cell, listings.c.geohash < after)
    if wanted.currency:
        found = found.where(listings.c.currency == wanted.currency)
    if wanted.least is not None:
        found = found.where(listings.c.price >= wanted.least)
    if wanted.most is not None:
        found = found.where(listings.c.price <= wanted.most)
    return found if wanted.near is None else found.where(_around(wanted.near, wanted.km))


def _around(near: tuple[float, float], km: float) -> ColumnElement[bool]:
    """In the box around a circle: who asks measures what is in it."""
    south, north, west, east = box(near, km)
    across = listings.c.longitude
    between = and_(across >= west, across <= east) if west <= east else or_(across >= west, across <= east)
    return and_(listings.c.latitude >= south, listings.c.latitude <= north, between)
