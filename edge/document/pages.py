"""The tables of a site's document about pages: how they are shared, and the form tokens in them."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from edge.document.notation import Many, Name, Prefix, Table
from edge.policy.patterns import Patterns
from edge.policy.rules import ALPHABET, PAGE_TYPES, Habit, PageRules, TokenRule, TokenSource

DAY = 86_400


class RouteTable(Table):
    """Some of a site's requests, told by path or by query: either is enough."""

    paths: Annotated[tuple[str, ...], Many] = Field((), description="Paths, as patterns: /catalogue/*.")
    query: Annotated[tuple[str, ...], Many] = Field(
        (), description="Names of query parameters, as patterns: orderby."
    )


class DespiteTable(RouteTable):
    """Pages of which the framework says private, no-store or no-cache by habit: there it does not hold."""

    directives: Annotated[tuple[Habit, ...], Many, Field(min_length=1)] = Field(
        ("private", "no-store", "no-cache"),
        description="What is said by habit; what else is said is meant.",
    )


class MarkingTable(RouteTable):
    """Requests that mark a visitor though they are safe: a login's way back, a basket filled by a link."""


class SparingTable(RouteTable):
    """Requests that do not mark a visitor though they are unsafe: beacons, consent, queries sent by POST."""


class TokenTable(Table):
    """A form token in the shop's pages. Each visitor gets his own in its place."""

    name: Name = Field(description="A short name; a site's token takes the place of its platform's namesake.")
    find: Annotated[tuple[str, ...], Many] = Field(
        (),
        description="Regular expressions, each with one group: the token in a page. None: scripts read "
        "it from the cookie.",
    )
    source: TokenSource = Field(
        description="Where a visitor's own comes from: cookie, the edge makes it and the shop's cookie; "
        "session, it is fetched with a session of his when he first sends a form; common, all have the same."
    )
    cookie: str = Field("", validate_default=True, description="The shop's cookie that the token belongs to.")
    alphabet: Annotated[str, Field(min_length=2, pattern=r"^[A-Za-z0-9_.~+/=-]+$")] = Field(
        ALPHABET, description="Characters of tokens the edge makes."
    )
    length: int = Field(32, ge=16, le=1024, description="How many of them.")
    page: Prefix | None = Field(
        None, description="The page that is fetched for a visitor's own; unset, the one with the form."
    )
    fields: Annotated[tuple[str, ...], Many] = Field(
        (), description="Request fields in which scripts send the token."
    )

    @field_validator("find")
    @classmethod
    def _finds_one_thing(cls, find: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in find:
            try:
                compiled = re.compile(pattern.encode("latin-1"))
            except (re.error, UnicodeEncodeError) as error:
                raise ValueError(f"a regular expression: {pattern!r} is none ({error})") from None
            if compiled.groups != 1 or compiled.match(b"") is not None:
                raise ValueError(f"expressions with one group that need some text; {pattern!r} is not")
        return find

    @field_validator("cookie")
    @classmethod
    def _belongs(cls, cookie: str, others: ValidationInfo) -> str:
        source = others.data.get("source")
        if source in ("cookie", "session") and not cookie:
            raise ValueError(f"the name of the shop's cookie, since source is {source}")
        if not others.data.get("find", True) and not cookie:
            raise ValueError("the name of the shop's cookie, since there is nothing to find in pages")
        return cookie

    def rule(self) -> TokenRule:
        """As policy sees it."""
        return TokenRule(
            self.name,
            self.find,
            self.source,
            self.cookie,
            self.alphabet,
            self.length,
            self.page,
            tuple(name.lower() for name in self.fields),
        )


class PagesTable(Table):
    """Pages shared though the shop sets cookies with each: asked for as nobody in particular, kept without.

    Whoever bears a bypass cookie, or the edge's marker, gets pages of his own.
    """

    share: bool = Field(
        True, description="Whether pages are shared this way; false where a platform says so."
    )
    seconds: int = Field(300, ge=0, le=31_536_000, description="The lifetime of pages that come without one.")
    types: Annotated[tuple[str, ...], Many, Field(min_length=1)] = Field(
        PAGE_TYPES.patterns, description="Media types of pages, as patterns."
    )
    despite: DespiteTable = Field(DespiteTable(), description="Where an answer's no-store does not hold.")
    ignore_cookies: Annotated[tuple[str, ...], Many] = Field(
        (),
        description="Cookies that say nothing of their bearer, as patterns; well-known analytics' are known. "
        "Without mark, any other cookie makes its bearer's pages his own.",
    )
    browsers: Literal["as-said", "no-cache", "no-store"] = Field(
        "as-said",
        description="What browsers are told of pages: what the shop says, to ask again each time, or to keep "
        "nothing. A lifetime that is meant for caches alone keeps them from seeing purges.",
    )
    outdate: bool = Field(
        True,
        description="Whether a form that was taken outdates the page at its address and the one it leads to, "
        "as RFC 9111 §4.4 demands; false for a shop whose baskets' forms change nothing in its pages.",
    )
    mark: bool = Field(
        False,
        description="Whether visitors are anonymous, whatever cookies they bear, until they send an unsafe "
        "request (a form), when the edge marks them with a cookie of its own.",
    )
    mark_seconds: int = Field(
        14 * DAY, ge=60, le=400 * DAY, description="How long a mark lasts after the last answer of their own."
    )
    marking: MarkingTable = Field(MarkingTable(), description="Safe requests that mark.")
    sparing: SparingTable = Field(SparingTable(), description="Unsafe requests that do not.")
    tokens: Annotated[tuple[TokenTable, ...], Many] = Field((), description="Form tokens in the pages.")

    @field_validator("tokens")
    @classmethod
    def _are_told_apart(cls, tokens: tuple[TokenTable, ...]) -> tuple[TokenTable, ...]:
        names = [token.name for token in tokens]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"tokens with names of their own; {', '.join(twice)} is there twice")
        return tokens

    def rules(self) -> PageRules | None:
        """As policy sees it; None where pages are not shared this way."""
        if not self.share:
            return None
        return PageRules(
            seconds=self.seconds,
            despite_paths=Patterns(self.despite.paths),
            despite_query=Patterns(self.despite.query),
            ignore_cookies=Patterns((*self.ignore_cookies, *harmless_cookies())),
            mark=self.mark,
            tokens=tuple(token.rule() for token in self.tokens),
            types=Patterns(self.types),
            habits=frozenset(self.despite.directives),
            mark_seconds=self.mark_seconds,
            marking_paths=Patterns(self.marking.paths),
            marking_query=Patterns(self.marking.query),
            sparing_paths=Patterns(self.sparing.paths),
            sparing_query=Patterns(self.sparing.query),
            outdate=self.outdate,
            browsers={"as-said": None, "no-cache": "private, no-cache", "no-store": "no-store"}[
                self.browsers
            ],
        )


@cache
def harmless_cookies() -> tuple[str, ...]:
    """The list of cookies that comes along, as patterns: analytics', advertisers', consent tools'."""
    path = Path(__file__).parents[1] / "data" / "cookies.toml"
    families = tomllib.loads(path.read_text(encoding="utf-8"))["cookies"]
    return tuple(name for names in families.values() for name in names)
