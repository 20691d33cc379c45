"""The table of a site's document that says how its pages are made of fragments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.document.notation import Many, Seconds, Size, Table
from edge.policy.patterns import Patterns
from edge.policy.rules import PAGES, EsiRules


class EsiTable(Table):
    """Pages made of fragments (ESI 1.0). The table alone, even empty, turns it on.

    Pages whose answer says `Surrogate-Control: content="ESI/1.0"` are put together at the edge.
    """

    paths: Annotated[tuple[str, ...], Many] = Field(
        (), description="Pages that are put together without saying so, as patterns of paths: /shop/*."
    )
    types: Annotated[tuple[str, ...], Many, Field(min_length=1)] = Field(
        PAGES.patterns, description="Media types of those pages, as patterns."
    )
    cookies: Annotated[tuple[str, ...], Many] = Field(
        (), description="Cookies whose values pages may show with $(HTTP_COOKIE{…}), as patterns of names."
    )
    depth: int = Field(
        3, ge=1, le=10, description="Levels of fragments within fragments; deeper ones are left out."
    )
    number: int = Field(
        64, ge=1, le=1000, description="Fragments of one page, those of its fragments included."
    )
    ahead: int = Field(8, ge=1, le=64, description="Fragments of one page that are asked for at a time.")
    size: Size = Field(256 * 1024, description="Bytes that one fragment may have.")
    seconds: Seconds = Field(5.0, description="Time that one fragment may take, in seconds.")

    def rules(self) -> EsiRules:
        """As policy sees it."""
        return EsiRules(
            paths=Patterns(self.paths),
            types=Patterns(self.types),
            cookies=Patterns(self.cookies),
            depth=self.depth,
            number=self.number,
            ahead=self.ahead,
            size=self.size,
            seconds=self.seconds,
        )
