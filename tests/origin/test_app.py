"""The origin as a process: what it answers, whom it believes, what runs beside it, how it ends."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import ssl
import stat
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select

from edge.webhooks.standard import sign
from origin.app import BadSecret, Bound, CannotListen, Wiring, own_secret
from origin.contract import (
    GET,
    POST,
    Answer,
    CachePolicy,
    Call,
    Event,
    Hearer,
    Host,
    Page,
    PluginDefaults,
    Route,
    Statements,
    Task,
    Webhook,
)
from origin.db.database import Database, sqlite_url
from origin.db.tables import outbox
from origin.registry import BrokenPlugin
from tests.origin.standing import (
    NOON,
    Clock,
    Keys,
    NoSettings,
    eventually,
    running,
    with_mutual,
    without_certificate,
)

SECRET = "whsec_" + base64.b64encode(b"the secret of these tests").decode()


class Shelf(PluginDefaults):
    """A plugin with a page of each kind."""

    name = "shelf"
    settings = NoSettings
    host: Host
    asked = 0

    async def start(self, host: Host) -> None:
        self.host = host

    def routes(self) -> Iterable[Route]:
        yield GET("/{rest:.*}", self.missing, at_root=True)
        yield GET("/", self.page, at_root=True)
        yield GET("/shelf/who", self.who)
        yield GET("/shelf/basket", self.basket)
        yield GET("/shelf/broken", self.broken)
        yield GET("/shelf/gone", self.gone)
        yield GET("/shelf/slow", self.slow)
        yield POST("/shelf/change", self.change)

    def webhooks(self) -> Iterable[Webhook]:
        yield Webhook("shop", self.hooked)

    def pages(self) -> Iterable[Page]:
        yield Page("/goods", {"en": "Goods"}, self.goods, "shelf.read")
        yield Page("/goods", {"en": "Goods"}, self.goods, "shelf.write", method="POST")

    async def missing(self, call: Call) -> Answer:
        return Answer("nothing here", CachePolicy(5), status=404)

    async def page(self, call: Call) -> Answer:
        return Answer("<p>home", CachePolicy(60, tags=("home",)), last_modified=NOON)

    async def who(self, call: Call) -> Answer:
        seen = call.visitor
        return Answer({"address": seen.address, "country": seen.country, "asn": seen.asn, "site": seen.site,
                       "trusted": seen.trusted, "id": call.id})  # fmt: skip

    async def basket(self, call: Call) -> Answer:
        return Answer("yours", cookies=("basket=1; Path=/; HttpOnly", "count=1; Path=/"))

    async def broken(self, call: Call) -> Answer:
        raise RuntimeError("a secret detail")

    async def gone(self, call: Call) -> Answer:
        raise web.HTTPGone

    async def slow(self, call: Call) -> Answer:
        await asyncio.sleep(0.3)
        return Answer("at last")

    async def change(self, call: Call) -> Answer:
        body = await call.request.read()
        async with self.host.write() as connection:
            await self.host.events.purge(connection, "product-1")
        return Answer({"size": len(body)})

    async def goods(self, call: Call) -> Answer:
        return Answer({"goods": []})

    async def hooked(self, connection: Statements, body: Mapping[str, Any]) -> None:
        await self.host.events.emit(connection, "hooked", body)


@asynccontextmanager
async def shelf(directory: Path, **options: Any) -> AsyncIterator[tuple[Bound, aiohttp.ClientSession]]:
    async with running(directory, Shelf, **options) as (_, bound), aiohttp.ClientSession() as session:
        yield bound, session


async def get(session: aiohttp.ClientSession, url: str, **options: Any) -> tuple[int, Mapping[str, str], str]:
    async with session.get(url, **options) as response:
        return response.status, response.headers, await response.text()


# What it answers --------------------------------------------------------------------------------


async def test_a_page_says_how_long_and_under_which_tags_it_may_be_kept(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (bound, session):
        status, fields, body = await get(session, f"http://{bound.plain}/")
    assert (status, body) == (200, "<p>home")
    assert fields["Cache-Control"] == "public, max-age=0, s-maxage=60"
    assert fields["Cache-Tag"] == "home"
    assert fields["Last-Modified"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    assert fields["ETag"].startswith('"')


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": "W/{etag}"}, 304),
        ({"If-None-Match": '"x", {etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": '"x"', "If-Modified-Since": "Fri, 15 Jan 2027 08:00:00 GMT"}, 200),
        ({"If-Modified-Since": "Fri, 15 Jan 2027 08:00:00 GMT"}, 304),
        ({"If-Modified-Since": "Fri, 15 Jan 2027 07:59:59 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ],
)
async def test_what_the_client_has_is_not_sent_again(
    tmp_path: Path, asked: dict[str, str], status: int
) -> None:
    async with shelf(tmp_path) as (bound, session):
        url = f"http://{bound.plain}/"
        _, first, _ = await get(session, url)
        headers = {name: value.format(etag=first["ETag"]) for name, value in asked.items()}
        found, fields, body = await get(session, url, headers=headers)
    assert found == status
    assert bool(body) == (status == 200)
    for name in ("ETag", "Cache-Control", "Cache-Tag", "Last-Modified"):
        assert fields[name] == first[name], "RFC 9110 §15.4.5"


async def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (bound, session):
        _, got, body = await get(session, f"http://{bound.plain}/")
        async with session.head(f"http://{bound.plain}/") as response:
            assert response.status == 200
            assert {k: v for k, v in response.headers.items() if k != "Date"} == {
                k: v for k, v in got.items() if k != "Date"
            }
            assert int(response.headers["Content-Length"]) == len(body)
            assert await response.read() == b""


async def test_a_private_answer_is_kept_by_nobody(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (bound, session):
        url = f"http://{bound.plain}/commerce/shelf/basket"
        async with session.get(url, headers={"If-None-Match": "*"}) as response:
            assert response.status == 200
            assert response.headers["Cache-Control"] == "private, no-store"
            assert "ETag" not in response.headers
            assert len(response.headers.getall("Set-Cookie")) == 2


async def test_a_route_that_takes_all_is_asked_last_however_early_it_was_declared(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (bound, session):
        assert (await get(session, f"http://{bound.plain}/"))[0] == 200
        assert (await get(session, f"http://{bound.plain}/commerce/shelf/who"))[0] == 200
        status, fields, body = await get(session, f"http://{bound.plain}/no/such/page")
    assert (status, body, fields["Cache-Control"]) == (404, "nothing here", "public, max-age=0, s-maxage=5")


async def test_a_handler_that_fails_is_told_in_the_log_not_to_the_visitor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with shelf(tmp_path) as (bound, session):
        status, fields, body = await get(
            session, f"http://{bound.plain}/commerce/shelf/broken", headers={"X-Request-Id": "r-7"}
        )
    assert (status, fields["Cache-Control"]) == (500, "private, no-store")
    assert "secret detail" not in body
    assert "GET /commerce/shelf/broken failed (request r-7)" in caplog.text


async def test_a_refusal_that_a_handler_raises_is_its_answer(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (bound, session):
        assert (await get(session, f"http://{bound.plain}/commerce/shelf/gone"))[0] == 410


async def test_a_body_that_is_too_large_is_413_and_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with shelf(tmp_path) as (bound, session):
        url = f"http://{bound.plain}/commerce/shelf/change"
        async with session.post(url, data=io.BytesIO(b"x" * 1_048_576)) as response:
            assert (response.status, await response.json()) == (200, {"size": 1_048_576})
        async with session.post(url, data=io.BytesIO(b"x" * 1_048_577)) as response:
            assert response.status == 413
    assert "failed" not in caplog.text


async def test_the_prefix_is_the_operators(tmp_path: Path) -> None:
    async with shelf(tmp_path, prefix="/shop/api") as (bound, session):
        assert (await get(session, f"http://{bound.plain}/shop/api/shelf/who"))[0] == 200
        assert (await get(session, f"http://{bound.plain}/commerce/shelf/who"))[0] == 404


# Whom it believes -------------------------------------------------------------------------------

CLAIM = {
    "Tepi-Client-Address": "36.66.0.1",
    "Tepi-Client-Country": "ID",
    "Tepi-Client-ASN": "7713",
    "Tepi-Site": "shop",
    "X-Forwarded-For": "36.66.0.1",
    "X-Request-Id": "r-1",
}
BELIEVED = {
    "address": "36.66.0.1",
    "country": "ID",
    "asn": 7713,
    "site": "shop",
    "trusted": True,
    "id": "r-1",
}
STRANGER = {"address": "127.0.0.1", "country": None, "asn": None, "site": None, "trusted": False, "id": "r-1"}


async def test_over_plain_http_nobodys_word_is_taken(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (bound, session):
        _, _, body = await get(session, f"http://{bound.plain}/commerce/shelf/who", headers=CLAIM)
    assert json.loads(body) == STRANGER


@asynccontextmanager
async def fleet(directory: Path) -> AsyncIterator[tuple[str, Keys, dict[str, str]]]:
    """An origin with a listener for nodes: its URL, the fleet's keys, and the members' serials."""
    keys = Keys.under(directory)
    own, _ = keys.identity("origin", "origin")
    serials: dict[str, str] = {}
    wiring = with_mutual(Wiring(Clock(), lambda: 0.5), own, serials)
    async with running(
        directory / "state",
        Shelf,
        wiring=wiring,
        mutual_listen="127.0.0.1:0",
        control={"url": "https://127.0.0.1:1"},
    ) as (_, bound):
        assert bound.mutual is not None
        yield f"https://{bound.mutual}/commerce/shelf/who", keys, serials


async def asks(url: str, context: ssl.SSLContext, claim: Mapping[str, str] = CLAIM) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context, headers=claim) as response:
        return await response.json()


async def test_a_node_of_the_fleet_speaks_for_its_visitor(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (url, keys, serials):
        node, serials["jakarta"] = keys.identity("jakarta", "edge")
        assert await asks(url, node.client_context()) == BELIEVED
        odd = await asks(url, node.client_context(), {"Tepi-Client-ASN": "AS7713"})
        assert (odd["asn"], odd["address"], odd["trusted"]) == (None, "127.0.0.1", True)


async def test_a_member_that_is_no_edge_node_speaks_for_nobody(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (url, keys, serials):
        node, serials["ns1"] = keys.identity("ns1", "dns")
        assert await asks(url, node.client_context()) == STRANGER


async def test_a_revoked_node_speaks_for_nobody(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (url, keys, serials):
        node, serials["jakarta"] = keys.identity("jakarta", "edge")
        del serials["jakarta"]
        assert await asks(url, node.client_context()) == STRANGER
        serials["jakarta"] = "0af1"
        assert await asks(url, node.client_context()) == STRANGER, "its name belongs to another certificate"


async def test_without_a_certificate_of_the_fleet_nobody_is_let_in(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    async with fleet(tmp_path) as (url, keys, serials):
        node, serials["jakarta"] = keys.identity("jakarta", "edge")
        with pytest.raises(aiohttp.ClientError):
            await asks(url, without_certificate(node))
        foreign, _ = Keys.under(tmp_path / "foreign").identity("jakarta", "edge")
        context = without_certificate(node)
        context.load_cert_chain(foreign.certificate, foreign.key)
        with pytest.raises(aiohttp.ClientError):
            await asks(url, context)


# Webhooks ---------------------------------------------------------------------------------------


async def test_webhooks_are_answered_by_what_became_of_them(tmp_path: Path) -> None:
    body = b'{"paid":true}'
    signed = {
        "Webhook-Id": "m1",
        "Webhook-Timestamp": str(int(NOON)),
        "Webhook-Signature": sign(SECRET, "m1", int(NOON), body),
    }
    wiring = Wiring(Clock(), lambda: 0.5, webhook_secret=SECRET)
    async with shelf(tmp_path, wiring=wiring) as (bound, session):

        async def post(provider: str, data: bytes) -> tuple[int, str]:
            url = f"http://{bound.plain}/commerce/hooks/{provider}"
            async with session.post(url, data=io.BytesIO(data), headers=signed) as response:
                return response.status, await response.text()

        assert await post("shop", body) == (200, "taken\n")
        assert await post("shop", body) == (200, "taken before\n")
        assert await post("shop", b"{}") == (401, "webhook-signature: none is right\n")
        assert (await post("other", body))[0] == 404
        assert (await post("shop", b"x" * 2_000_000))[0] == 413


async def test_without_a_secret_no_webhook_is_taken(tmp_path: Path) -> None:
    async with (
        shelf(tmp_path) as (bound, session),
        session.post(f"http://{bound.plain}/commerce/hooks/shop", data=b"{}") as response,
    ):
        assert response.status in (404, 405)


# Beside the listeners ---------------------------------------------------------------------------


async def test_a_change_reaches_control_as_a_purge_at_once(tmp_path: Path) -> None:
    asked = []

    async def purges(request: web.Request) -> web.Response:
        asked.append((request.headers["Authorization"], await request.json()))
        return web.json_response({"id": "p1"}, status=202)

    app = web.Application()
    app.router.add_post("/api/v1/purges", purges)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    control = "http://{}:{}".format(*runner.addresses[0][:2])
    try:
        async with running(
            tmp_path,
            Shelf,
            wiring=Wiring(Clock(), lambda: 0.5, purge_token="t0ken"),
            purges={"url": control, "token": "env:TOKEN"},
        ) as (origin, bound):
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://{bound.plain}/commerce/shelf/change") as response,
            ):
                assert response.status == 200

            async def receipt_kept() -> bool:
                async with origin.database.read() as connection:
                    return (await connection.execute(select(outbox.c.receipt))).scalars().all() == [
                        {"id": "p1"}
                    ]

            await eventually(receipt_kept)
    finally:
        await runner.cleanup()
    assert asked == [("Bearer t0ken", {"kind": "tag", "value": "product-1"})]


async def test_plugins_hear_one_another_without_knowing_one_another(tmp_path: Path) -> None:
    heard: list[Event] = []

    class Ear(PluginDefaults):
        name = "ear"
        settings = NoSettings

        def hears(self) -> Mapping[str, Hearer]:
            return {"hooked": self.hear}

        async def hear(self, event: Event) -> None:
            heard.append(event)

    async with running(tmp_path, Ear, Shelf) as (origin, _):
        plugin = origin.plugins["shelf"]
        assert isinstance(plugin, Shelf)
        async with plugin.host.write() as connection:
            await plugin.hooked(connection, {"n": 1})

        async def arrived() -> bool:
            return [event.body for event in heard] == [{"n": 1}]

        await eventually(arrived)


async def test_a_task_runs_again_though_it_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = []

    class Busy(PluginDefaults):
        name = "busy"
        settings = NoSettings

        def tasks(self) -> Iterable[Task]:
            yield Task("count", 0.01, self.count)

        async def count(self) -> None:
            runs.append(1)
            if len(runs) == 1:
                raise RuntimeError

    async with running(tmp_path, Busy):

        async def thrice() -> bool:
            return len(runs) >= 3

        await eventually(thrice)
    assert "task count failed" in caplog.text


async def test_what_one_plugin_offers_another_uses_and_nobody_offers_twice(tmp_path: Path) -> None:
    class Offers(PluginDefaults):
        name = "offers"
        settings = NoSettings

        async def start(self, host: Host) -> None:
            host.offer("rates", self)
            assert host.use("rates") is self
            with pytest.raises(LookupError, match="no plugin offers ledger"):
                host.use("ledger")

    class Too(Offers):
        name = "too"

    async with running(tmp_path, Offers):
        pass
    with pytest.raises(BrokenPlugin, match="plugin too can't start: rates: two plugins offer it"):
        async with running(tmp_path, Offers, Too):
            pass


# Secrets, start and end -------------------------------------------------------------------------


async def test_each_plugin_has_a_secret_of_its_own_that_outlives_a_restart(tmp_path: Path) -> None:
    seen: list[bytes] = []

    class One(PluginDefaults):
        name = "one"
        settings = NoSettings

        async def start(self, host: Host) -> None:
            seen.append(host.secret)

    class Two(One):
        name = "two"

    for _ in range(2):
        async with running(tmp_path, One, Two):
            pass
    assert seen[:2] == seen[2:]
    assert len(set(seen)) == 2
    assert {len(secret) for secret in seen} == {32}
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_half_a_secret_is_refused_with_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"half")
    with pytest.raises(BadSecret, match=f"{tmp_path / 'secret'} with 32 bytes, found 4"):
        own_secret(tmp_path / "secret")


@pytest.mark.parametrize("listener", ["listen", "admin"])
async def test_an_address_in_use_is_named_and_everything_is_given_back(tmp_path: Path, listener: str) -> None:
    async with running(tmp_path / "one", Shelf) as (_, bound):
        sentence = f"{bound.plain} is in use: stop the other process or choose another with {listener}"
        with pytest.raises(CannotListen) as refused:
            async with running(tmp_path / "two", Shelf, **{listener: bound.plain}):
                pass
        assert str(refused.value) == sentence
        async with running(tmp_path / "two", Shelf):
            pass


async def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CannotListen, match=r"192\.0\.2\.1:0 can't be listened on \(.+\): choose another with"
    ):
        async with running(tmp_path, Shelf, listen="192.0.2.1:0"):
            pass


async def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with running(tmp_path, Shelf) as (_, bound):
            asking = asyncio.create_task(get(session, f"http://{bound.plain}/commerce/shelf/slow"))
            await asyncio.sleep(0.1)
        assert (await asking)[::2] == (200, "at last")


async def test_the_admin_listener_tells_how_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, Shelf) as (origin, bound), aiohttp.ClientSession() as session:
        await get(session, f"http://{bound.plain}/")
        admin = f"http://{bound.admin}"
        assert (await get(session, f"{admin}/healthz"))[0] == 200
        assert (await get(session, f"{admin}/readyz"))[::2] == (200, "ready\n")
        _, _, metrics = await get(session, f"{admin}/metrics")
        assert 'tepi_origin_requests_total{plugin="shelf",status="200"} 1.0' in metrics
        assert (await get(session, f"http://{bound.plain}/metrics"))[0] == 404, "on the admin listener only"
        await origin.database.close()
        threads = threading.active_count()
        origin.database = Database(sqlite_url(tmp_path / "gone" / "origin.db"))
        status, _, said = await get(session, f"{admin}/readyz")
        assert (status, said) == (503, "the database does not answer: OperationalError\n")

        async def driver_has_given_up() -> bool:
            return threading.active_count() <= threads

        await eventually(driver_has_given_up)


async def test_pages_for_the_dashboard_are_at_the_admin_listener_and_take_json(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (bound, session):
        url = f"http://{bound.admin}/plugins/shelf/goods"
        assert (await get(session, url))[::2] == (200, '{"goods":[]}')
        async with session.post(url, json={}) as response:
            assert response.status == 200
        async with session.post(url, data={"price": "1"}) as response:
            assert response.status == 415, "no foreign page's form may change a price"
        assert (await get(session, f"http://{bound.plain}/plugins/shelf/goods"))[0] == 404


async def test_wiring_without_a_node_certificate_opens_no_listener_for_nodes(tmp_path: Path) -> None:
    async with running(tmp_path, Shelf) as (_, bound):
        assert bound.mutual is None
