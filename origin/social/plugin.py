"""Social media and marketing as a plugin: its declaration and its routes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field

from origin.contract import GET, Answer, CachePolicy, Call, Host, Page, Plugin, PluginDefaults, Product, Route
from origin.social import sitemap
from origin.social.feeds import CHANNELS, Shop, feed, rejects

PERMISSION = "social.feeds"
CHECKED = CachePolicy()  # read a few times a day: asked for each time, so that it agrees with the pages
MISSING = CachePolicy(seconds=30)
XML = "application/xml; charset=utf-8"


class SocialSettings(BaseModel):
    """What channels and crawlers are told of the shop."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shop: str = Field("", max_length=70, description="The shop's name and brand in feeds; else the site's.")
    language: str = Field(
        "id", pattern="^[a-z]{2,3}$", description="The language of feeds that ask for none by ?language=."
    )
    hidden: list[str] = Field(
        ["/basket", "/en/basket", "/search", "/en/search"],
        description="Paths that robots.txt asks crawlers to leave alone.",
    )


@dataclass(slots=True)
class Social(PluginDefaults):
    """Feeds, sitemaps and robots.txt, from whichever catalogue the shop has."""

    name: ClassVar[str] = "social"
    settings: ClassVar[type[BaseModel]] = SocialSettings
    _host: Host = field(init=False)
    _set: SocialSettings = field(init=False)

    async def start(self, host: Host) -> None:
        """Nothing but settings is needed: the catalogue is read when it is asked for."""
        assert isinstance(host.settings, SocialSettings)
        self._host, self._set = host, host.settings
        for path in self._set.hidden:
            if not path.startswith("/") or any(sign.isspace() for sign in path):
                raise ValueError(f"hidden: got {path[:80]!r}, expected a path such as /basket")

    def routes(self) -> Iterable[Route]:
        """Feeds under the commerce prefix, sitemaps and robots.txt where crawlers look for them."""
        yield GET("/social/feeds/{name}", self._feed)
        yield GET("/sitemap.xml", self._index, at_root=True)
        yield GET("/sitemap/{number:[0-9]{1,6}}.xml", self._part, at_root=True)
        yield GET("/robots.txt", self._robots, at_root=True)

    def permissions(self) -> Iterable[str]:
        """Who may see what channels would refuse."""
        yield PERMISSION

    def pages(self) -> Iterable[Page]:
        """What each channel would refuse, and why."""
        yield Page("/feeds", {"id": "Umpan produk", "en": "Product feeds"}, self._report, PERMISSION)

    async def _feed(self, call: Call) -> Answer:
        channel = CHANNELS.get(call.match["name"])
        if channel is None:
            return _missing("name", call.match["name"], f"one of {', '.join(CHANNELS)}")
        products = await self._products()
        shop, spoken = self._shop(call), {language for one in products for language in one.names}
        if shop.language not in spoken and "language" in call.request.query:
            return _missing("language", shop.language, f"one of {', '.join(sorted(spoken))}")
        body = io.BytesIO()
        body.writelines(feed(channel, shop, products))
        return Answer(body.getvalue(), CHECKED, content_type=channel.content_type)

    async def _report(self, call: Call) -> Answer:
        products, shop = await self._products(), self._shop(call)
        found = {name: list(rejects(one, shop, products)) for name, one in CHANNELS.items()}
        english = call.request.query.get("language") == "en"
        html = TEMPLATES.get_template("feeds.html").render(
            found=found, count=len(products), english=english, prefix=self._host.prefix
        )
        return Answer(html)

    async def _index(self, call: Call) -> Answer:
        return Answer(sitemap.index(_site(call), len(await self._products())), CHECKED, content_type=XML)

    async def _part(self, call: Call) -> Answer:
        text = sitemap.part(_site(call), await self._products(), int(call.match["number"]))
        if text is None:
            return _missing("number", call.match["number"], "one that /sitemap.xml lists")
        return Answer(text, CHECKED, content_type=XML)

    async def _robots(self, call: Call) -> Answer:
        text = sitemap.robots(_site(call), self._set.hidden)
        return Answer(text, CHECKED, content_type="text/plain; charset=utf-8")

    async def _products(self) -> Sequence[Product]:
        """Everything for sale; nothing where no plugin has a catalogue."""
        try:
            found: Sequence[Product] = await self._host.use("catalogue").products()
        except LookupError:
            return ()
        return found

    def _shop(self, call: Call) -> Shop:
        site = _site(call)
        return Shop(site, self._set.shop or site, call.request.query.get("language") or self._set.language)


def _site(call: Call) -> str:
    return call.visitor.site or call.request.host


def _missing(field: str, got: str, expected: str) -> Answer:
    detail = f"{field}: got {got[:80]!r}, expected {expected}"
    problem = {"title": "There is no such thing", "status": 404, "detail": detail, "field": field}
    return Answer(problem, MISSING, status=404, content_type="application/problem+json")


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
_: type[Plugin] = Social
