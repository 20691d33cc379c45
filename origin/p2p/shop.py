"""The listings' addresses: what is asked for is looked up, and handed to the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, quote, urlencode

from origin.contract import GET, POST, Answer, Call, Host, Route
from origin.p2p.asking import BadQuestion, read_question
from origin.p2p.geohash import GEOHASH, encode
from origin.p2p.pages import ASKED, LANGUAGES, Language, Pages
from origin.p2p.searching import Wanted
from origin.p2p.settings import P2PSettings
from origin.p2p.store import Store
from origin.p2p.trade import BrokenChain, prove, read_chain

SHOWN = 60
CELL = 4  # letters of a country's middle: some 20 km
FAR = 500  # km around it


class Shop:
    """`centres` are the countries' places, for whoever looks near himself."""

    def __init__(
        self, host: Host, settings: P2PSettings, store: Store, centres: Mapping[str, tuple[float, float]]
    ) -> None:
        self._host = host
        self._settings = settings
        self._store = store
        self._centres = centres
        self._pages = Pages(f"{host.prefix}/p2p", settings.title, settings.seconds)

    def routes(self) -> Iterable[Route]:
        """Pages in both languages."""
        for language in LANGUAGES:
            yield from self._in(language)
        yield GET("/p2p/static/{name}", self._file)

    def _in(self, language: Language) -> Iterable[Route]:
        root = "/p2p" if language == LANGUAGES[0] else f"/p2p/{language}"

        async def listing(call: Call) -> Answer:
            ref = call.match["ref"]
            found = await self._store.listing(ref)
            return self._pages.listing(language, ref, found, call.request.host, self._host.now())

        async def search(call: Call) -> Answer:
            return await self._search(language, call)

        async def sell(_call: Call) -> Answer:
            return self._pages.sell(language, self._settings.currency)

        async def verify(call: Call) -> Answer:
            return await self._verify(language, call)

        async def feed(call: Call) -> Answer:
            return await self._feed(language, call, atom=False)

        async def atom(call: Call) -> Answer:
            return await self._feed(language, call, atom=True)

        yield GET(f"{root}/l/{{ref:[0-9a-f]{{20}}}}", listing)
        yield GET(f"{root}/search", search)
        yield GET(f"{root}/sell", sell)
        yield GET(f"{root}/verify", verify)
        yield POST(f"{root}/verify", verify)
        for path in ("", "/c/{category}", f"/at/{{cell:{GEOHASH.pattern[:-2]}}}"):
            yield GET(f"{root}{path}/", feed)
            yield GET(f"{root}{path}/feed.atom", atom)

    async def _feed(self, language: Language, call: Call, *, atom: bool) -> Answer:
        category, cell = call.match.get("category", "").lower(), call.match.get("cell", "")
        path = f"/c/{category}" if category else f"/at/{cell}" if cell else ""
        found = await self._store.offered(Wanted(category=category, cell=cell), SHOWN)
        now, heading = self._host.now(), category or cell
        if atom:
            return self._pages.atom(language, path, heading, found, call.request.host, now)
        return self._pages.feed(language, path, heading, found, now)

    async def _verify(self, language: Language, call: Call) -> Answer:
        if call.request.method != "POST":
            return self._pages.verify(language, "", None)
        form = parse_qs((await call.request.read()).decode("utf-8", "replace"))
        chain = form.get("chain", [""])[0]
        try:
            return self._pages.verify(language, chain, prove(read_chain(chain.encode())))
        except BrokenChain as error:
            return self._pages.verify(language, chain, error)

    async def _search(self, language: Language, call: Call) -> Answer:
        asked = {name: call.request.query[name] for name in ASKED if call.request.query.get(name)}
        if asked.get("near") == "me":
            return self._near(language, call, asked)
        try:
            wanted = read_question(asked, self._settings.currency)
        except BadQuestion as error:
            return self._pages.refused(language, str(error))
        return self._pages.search(language, asked, await self._store.offered(wanted, SHOWN), self._host.now())

    def _near(self, language: Language, call: Call, asked: dict[str, str]) -> Answer:
        """Sends on to a search around the visitor's country, which all who are there can share."""
        place = self._centres.get(call.visitor.country or "")
        if place is None:
            return self._pages.refused(
                language, "near: got 'me', but nothing tells where that is; expected a geohash"
            )
        where = {"km": str(FAR), **asked, "near": encode(*place, CELL)}
        address = f"{self._pages.base(language)}/search?{urlencode(where, quote_via=quote)}"
        return Answer("", status=303, fields={"Location": address})

    async def _file(self, call: Call) -> Answer:
        return self._pages.file(call.match["name"])
