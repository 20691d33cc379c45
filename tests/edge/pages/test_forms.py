"""Forms on shared pages: every visitor's own reaches the shop with a token of his, and nobody else's does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from edge.http.cookies import cookies
from edge.http.message import Answer, Fields, Line, Request
from edge.pages.forms import REMEMBERED, SEARCHED
from edge.policy.patterns import Patterns
from edge.policy.rules import ClassRules, EsiRules, PageRules, SiteRules, TokenRule
from edge.policy.standins import stand_ins
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Reply, Stage, answer, make_request
from tests.shops.browser import Browser, Response, Tab
from tests.shops.kedai import Kedai, rules


class Street:
    """A shop behind the edge, and the way to it."""

    def __init__(self, site: SiteRules | None = None, scheme: str = "http") -> None:
        self.shop = Kedai()
        self.stage = Stage(self.says, site or rules())
        self.scheme = scheme
        self.forms = self.stage.pipeline.forms.done

    def says(self, request: Request) -> Answer:
        body = request.body if isinstance(request.body, bytes) else b""
        fields = {name: request.fields.get(name) or "" for name in request.fields.names()}
        said = self.shop.answer(request.method, request.target, fields, body)
        return Answer(said.status, Fields(said.lines), said.body)

    def browser(self) -> Browser:
        return Browser(self.send, f"{self.scheme}://shop.test")

    async def send(self, method: str, target: str, lines: list[Line], body: bytes) -> Response:
        request = make_request(target, lines, method=method, body=body or None, scheme=self.scheme)
        reply = await Reply.of(await self.stage.pipeline.handle(request))
        await self.stage.settle()
        return Response(reply.status, list(reply.answer.fields.lines), reply.body)

    async def warm(self, *paths: str) -> None:
        """So that the next visitor of each gets what is stored."""
        for path in paths:
            await self.browser().visit(path)


def carts(street: Street) -> list[list[str]]:
    return [session.cart for session in street.shop.sessions.values() if session.cart]


# What is shared -----------------------------------------------------------------------------------


async def test_every_visitor_gets_a_page_of_his_own_out_of_one() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani, budi = street.browser(), street.browser()
    tabs = [await ani.visit("/p/kopi"), await budi.visit("/p/kopi")]
    assert [tab.response.verdict for tab in tabs] == ["hit", "hit"]
    tokens = [set(re.findall(r"tepi[0-9a-f]{78}", tab.text)) for tab in tabs]
    assert [len(found) for found in tokens] == [3, 3]  # the page has three renderings of its token
    assert not tokens[0] & tokens[1]
    for tab in tabs:
        assert tab.response["cache-control"] == "private, no-cache"
        assert (tab.response["etag"], tab.response["last-modified"]) == (None, None)
    assert "kedai_session" not in ani.cookies


async def test_no_token_of_the_shop_is_in_what_is_shared() -> None:
    street = Street()
    await street.warm("/", "/p/kopi", "/login")
    stored = "".join(str(entry.content.template) for path in ("/", "/p/kopi", "/login")
                     for entry in street.stage.store.get(f"shop.test{path}\x00http"))  # fmt: skip
    assert "Hole" in stored
    assert all(session.token.hex() not in stored for session in street.shop.sessions.values())
    assert not re.search(r"[0-9a-f]{80}", stored)


async def test_a_visitors_stand_ins_hang_on_one_cookie_for_all_his_pages() -> None:
    street = Street()
    await street.warm("/", "/p/kopi")
    ani = street.browser()
    first, second = await ani.visit("/"), await ani.visit("/p/kopi")
    assert len([name for name in ani.cookies if name.startswith("tepi-form-")]) == 1
    assert not [line for line in second.response.all("set-cookie") if "tepi-form-" in line]
    names = {one.secret for tab in (first, second) for one in stand_ins(tab.response.body)}
    assert len(names) == 1


async def test_over_tls_no_other_host_can_set_the_cookie() -> None:
    street = Street(scheme="https")
    await street.warm("/")
    (line,) = [one for one in (await street.browser().visit("/")).response.all("set-cookie") if "tepi" in one
               and "XSRF" not in one]  # fmt: skip
    assert line.startswith("__Host-tepi-form-")
    assert line.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")


# Forms that arrive --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["urlencoded", "multipart", "json"])
async def test_the_first_form_of_a_visitor_without_a_session_arrives_with_one(how: str) -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    said = await ani.submit(tab, tab.form("/cart/add"), how, quantity="1")
    assert said.status == 303
    assert (street.shop.mismatches, carts(street)) == (0, [["kopi"]])
    assert street.forms == {("shop", "token"): 1, ("shop", "session"): 1}
    assert "kopi" in (await ani.visit("/cart")).text  # the session is his from now on


async def test_every_form_of_a_page_arrives() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    for form in tab.forms:
        assert (await ani.submit(tab, form, quantity="1")).status == 303
    assert carts(street) == [["kopi", "kopi"]]


@pytest.mark.parametrize("field", ["X-CSRF-TOKEN", "X-XSRF-TOKEN"])
async def test_what_scripts_send_in_a_field_arrives(field: str) -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    token = tab.metas["csrf-token"] if "CSRF" in field else ani.seen_by_scripts("XSRF-TOKEN")
    assert token is not None
    for _ in range(2):
        said = await ani.fetch(tab, "/cart/add", {"item": "teh"}, {field: token})
        assert said.status == 200
        token = tab.metas["csrf-token"] if "CSRF" in field else ani.seen_by_scripts("XSRF-TOKEN")
    assert (street.shop.mismatches, carts(street)) == (0, [["teh", "teh"]])


async def test_two_tabs_opened_at_once_both_work() -> None:
    street = Street()
    await street.warm("/", "/p/kopi")
    ani = street.browser()
    other = street.browser()  # the same one, before the first answer has come
    tabs = [await ani.visit("/"), await other.visit("/p/kopi")]
    ani.cookies |= other.cookies
    assert len([name for name in ani.cookies if name.startswith("tepi-form-")]) == 2
    assert (await ani.submit(tabs[0], tabs[0].form("/newsletter"), email="x")).status == 303
    assert (await ani.submit(tabs[1], tabs[1].form("/cart/add"), quantity="1")).status == 303
    assert street.shop.mismatches == 0


async def test_forms_sent_at_once_by_one_visitor_get_one_session() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    token = tab.metas["csrf-token"]
    said = await asyncio.gather(
        *(ani.fetch(tab, "/cart/add", {"item": item}, {"X-CSRF-TOKEN": token}) for item in "abc")
    )
    assert [one.status for one in said] == [200] * 3
    assert [sorted(cart) for cart in carts(street)] == [["a", "b", "c"]]


async def test_whose_session_is_over_gets_another_with_his_next_form() -> None:
    street = Street(rules(mark=False))
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    await ani.submit(tab, tab.form("/cart/add"), quantity="1")
    street.shop.forget_sessions()
    street.stage.sleep(REMEMBERED + 1)
    assert (await ani.submit(tab, tab.form("/cart/add"), quantity="1")).status == 303
    assert street.shop.mismatches == 0


async def test_a_tab_that_was_open_before_the_login_still_works() -> None:
    street = Street()
    await street.warm("/p/kopi", "/register")
    ani = street.browser()
    old, door = await ani.visit("/p/kopi"), await ani.visit("/register")
    await ani.submit(door, door.form("/register"), name="ani", password="x")
    assert "ani's orders" in (await ani.visit("/account")).text
    assert (await ani.submit(old, old.form("/cart/add"), quantity="1")).status == 303
    assert [session.user for session in street.shop.sessions.values() if session.cart] == ["ani"]


async def test_a_marked_visitors_own_token_is_left_alone() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    await ani.submit(tab, tab.form("/cart/add"), quantity="1")
    street.stage.sleep(REMEMBERED + 1)
    own = await ani.visit("/p/kopi")
    assert own.response.verdict == "pass"
    fetches = street.stage.fetches
    assert (await ani.submit(own, own.form("/cart/add"), quantity="1")).status == 303
    assert street.stage.fetches == fetches + 1


# Forms of others ----------------------------------------------------------------------------------


FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.test"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://blog.shop.test"},
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Referer": "http://evil.test/"},
]


async def victim_and_tab(street: Street) -> tuple[Browser, Tab]:
    await street.warm("/p/kopi")
    victim = street.browser()
    tab = await victim.visit("/p/kopi")
    await victim.submit(tab, tab.form("/cart/add"), quantity="1")
    street.shop.mismatches = 0
    return victim, tab


@pytest.mark.parametrize("fields", FOREIGN)
async def test_a_forged_form_fails_as_it_does_at_the_shop_whatever_it_bears(fields: dict[str, str]) -> None:
    street = Street()
    victim, tab = await victim_and_tab(street)
    evil = await street.browser().visit("/p/kopi")
    stolen, constant = tab.form("/cart/add").values["_token"], evil.form("/cart/add").values["_token"]
    for token in (stolen, constant, "x", ""):
        said = await victim.forge("/cart/add", {"_token": token, "item": "gun"}, fields)
        assert said.status == 419
    assert carts(street) == [["kopi"]]
    assert street.forms["shop", "foreign"] == 4


async def test_anothers_stand_in_is_worth_nothing_even_where_nothing_tells_where_it_came_from() -> None:
    street = Street()
    victim, _ = await victim_and_tab(street)
    evil = await street.browser().visit("/p/kopi")
    said = await victim.forge(
        "/cart/add", {"_token": evil.form("/cart/add").values["_token"], "item": "gun"}, {}
    )
    assert (said.status, carts(street)) == (419, [["kopi"]])


async def test_a_forged_form_gets_no_session() -> None:
    street = Street()
    await street.warm("/")
    for fields in FOREIGN:
        fetches = street.stage.fetches
        await street.browser().forge("/newsletter", {"email": "x"}, fields)
        assert street.stage.fetches == fetches + 1


async def test_a_machines_request_gets_no_session() -> None:
    street = Street()
    said = await street.send("POST", "/hooks/payment", [("Content-Type", "application/json")], b"{}")
    assert (said.status, street.stage.fetches) == (419, 1)


# Sessions without tokens --------------------------------------------------------------------------

LOSING = TokenRule("session", (), "session", cookie="sid")


class Losing:
    """A shop without tokens that loses the form of whoever has no session yet."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def __call__(self, request: Request) -> Answer:
        sid = dict(cookies(request.fields)).get("sid")
        if request.method == "POST":
            if sid is not None:
                self.kept.append(sid)
            return Answer(303, Fields([("Location", "/")]))
        lines = [("Content-Type", "text/html")]
        if sid is None:
            lines.append(("Set-Cookie", "sid=s-1; Path=/"))
        return Answer(200, Fields(lines), b"<body>shop")


async def test_a_form_without_a_session_is_not_lost_where_there_are_no_tokens() -> None:
    shop = Losing()
    site = SiteRules("shop", classes=ClassRules(pages=PageRules(300, mark=True, tokens=(LOSING,))))
    stage = Stage(shop, site)
    await stage.ask("/")
    page = await stage.ask("/")
    assert (page.verdict, page["set-cookie"]) == ("hit", None)
    said = await stage.ask("/add", {"Referer": "http://shop.test/"}, method="POST", body=b"item=1")
    assert shop.kept == ["s-1"]
    assert said.answer.fields.all("set-cookie")[0] == "sid=s-1; Path=/"
    await stage.ask("/add", {"Referer": "http://shop.test/", "Cookie": "sid=mine"}, method="POST", body=b"")
    assert shop.kept == ["s-1", "mine"]


# What may go wrong --------------------------------------------------------------------------------


async def test_a_form_whose_page_can_not_be_had_goes_on_as_it_is() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    says = street.says

    def half(request: Request) -> Answer:
        if request.method == "GET":
            raise UpstreamError("timeout", "origin-1", "slow", sent=True)
        return says(request)

    street.stage.origin.script = half
    assert (await ani.submit(tab, tab.form("/cart/add"), quantity="1")).status == 419
    assert street.forms["shop", "failed"] == 1


async def test_the_token_is_looked_for_on_the_front_page_where_the_forms_page_has_none() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    lost = replace(tab, path="/gone")
    assert (await ani.submit(lost, tab.form("/cart/add"), quantity="1")).status == 303


async def test_a_redirect_on_the_way_to_the_token_is_followed_within_the_site() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    says = street.says

    def moving(request: Request) -> Answer:
        if request.target == "/old":
            return Answer(302, Fields([("Location", "/p/kopi"), ("Set-Cookie", "seen=1; Path=/")]))
        return says(request)

    street.stage.origin.script = moving
    said = await ani.submit(replace(tab, path="/old"), tab.form("/cart/add"), quantity="1")
    assert (said.status, ani.cookies["seen"]) == (303, "1")


async def test_a_long_form_is_streamed_and_its_length_stays_true() -> None:
    street = Street()
    await street.warm("/p/kopi")
    ani = street.browser()
    tab = await ani.visit("/p/kopi")
    start = f"_token={tab.form('/cart/add').values['_token']}&item=kopi&more=".encode()
    size = len(start) + 3 * SEARCHED
    got: list[tuple[bytes, str | None]] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield start
        for _ in range(3):
            yield b"x" * SEARCHED

    async def read(site: str, request: Request) -> Answer:
        if request.method == "GET":
            return street.says(request)
        assert not isinstance(request.body, bytes | None)
        body = b"".join([chunk async for chunk in request.body])
        got.append((body, request.fields.get("content-length")))
        return answer()

    street.stage.origin.fetch = read  # type: ignore[method-assign]
    cookie = "; ".join(f"{name}={value}" for name, value in ani.cookies.items())
    fields = [("Cookie", cookie), ("Content-Length", str(size)), ("Sec-Fetch-Site", "same-origin"),
              ("Content-Type", "application/x-www-form-urlencoded")]  # fmt: skip
    await street.stage.ask("/cart/add", fields, method="POST", body=pieces())  # type: ignore[arg-type]
    ((body, length),) = got
    assert length == str(len(body))
    assert not stand_ins(body)
    assert body.endswith(b"x" * 3 * SEARCHED)


async def test_a_token_is_escaped_as_the_form_wants_it() -> None:
    rule = TokenRule("t", (r'name=t value="([^"]+)"',), "session", "sid")
    site = SiteRules("shop", classes=ClassRules(pages=PageRules(300, mark=True, tokens=(rule,))))
    got: list[bytes] = []

    def script(request: Request) -> Answer:
        if request.method == "POST":
            assert isinstance(request.body, bytes)
            got.append(request.body)
            return answer()
        return answer(body=b'<body><input name=t value="a+b/c=d&quot;e&amp;f">', content_type="text/html",
                      set_cookie="sid=1")  # fmt: skip

    stage = Stage(script, site)
    await stage.ask("/")
    for kind, written in (
        ("application/x-www-form-urlencoded", b"t=a%2Bb%2Fc%3Dd%22e%26f"),
        ("application/json", b't=a+b/c=d\\"e&f'),
        ("multipart/form-data; boundary=x", b't=a+b/c=d"e&f'),
    ):
        page = await stage.ask("/")
        cookie = (page["set-cookie"] or "").partition(";")[0]
        (one,) = stand_ins(page.body)
        await stage.ask(
            "/add", {"Cookie": cookie, "Content-Type": kind}, method="POST", body=b"t=" + one.written
        )
        assert got[-1] == written


# Double submit ------------------------------------------------------------------------------------

KEY = TokenRule("key", (r'name="form_key" value="(\w+)"',), "cookie", "form_key", length=16)


def double(request: Request) -> Answer:
    """A shop that compares a form's key with a cookie of the same value, and makes either if it must."""
    borne = dict(cookies(request.fields))
    if request.method == "POST":
        given = (request.body or b"").decode().partition("form_key=")[2].partition("&")[0]  # type: ignore[union-attr]
        return answer(200 if given and given == borne.get("form_key") else 403)
    key = borne.get("form_key") or f"{double.made:016d}"  # type: ignore[attr-defined]
    double.made += 1  # type: ignore[attr-defined]
    lines = {"content_type": "text/html"}
    if "form_key" not in borne:
        lines["set_cookie"] = f"form_key={key}; Path=/; Max-Age=3600; SameSite=Lax"
    form = f'<form><input name="form_key" value="{key}"></form>' if request.path != "/plain" else ""
    return answer(body=f"<body>{form}".encode(), **lines)


double.made = 1  # type: ignore[attr-defined]
DOUBLE = SiteRules("shop", guard=True, classes=ClassRules(pages=PageRules(300, tokens=(KEY,))))


async def test_a_double_submit_token_is_made_here_in_page_and_cookie() -> None:
    stage = Stage(double, DOUBLE)
    await stage.ask("/")
    keys = []
    for _ in range(2):
        page = await stage.ask("/")
        (key,) = re.findall(rb'value="(\w+)"', page.body)
        keys.append(key)
        assert page.verdict == "hit"
        assert page["set-cookie"] == f"form_key={key.decode()}; Path=/; SameSite=Lax; Max-Age=3600"
        sent = await stage.ask(
            "/add", {"Cookie": f"form_key={key.decode()}"}, method="POST", body=b"form_key=" + key
        )
        assert sent.status == 200
    assert keys[0] != keys[1]
    assert {len(key) for key in keys} == {16}


async def test_a_visitors_own_cookie_is_what_his_page_gets() -> None:
    stage = Stage(double, DOUBLE)
    await stage.ask("/")
    page = await stage.ask("/", {"Cookie": "form_key=abcdefghij012345"})
    assert (page.verdict, b'value="abcdefghij012345"' in page.body) == ("hit", True)
    assert "form_key=abcdefghij012345;" in (page["set-cookie"] or "")  # it lasts an hour from each page


async def test_a_cookie_that_could_break_the_page_is_replaced() -> None:
    stage = Stage(double, DOUBLE)
    await stage.ask("/")
    for evil in ('"><script>alert(1)</script>', "short", "a" * 600, "' onload='x"):
        page = await stage.ask("/", {"Cookie": f"form_key={evil}"})
        assert page.verdict == "hit"
        assert evil.encode() not in page.body
        assert page["set-cookie"] is not None


async def test_a_cookie_that_comes_with_a_page_without_forms_comes_all_the_same() -> None:
    stage = Stage(double, DOUBLE)
    await stage.ask("/plain")
    page = await stage.ask("/plain")
    assert (page.verdict, page.body) == ("hit", b"<body>")
    assert (page["set-cookie"] or "").startswith("form_key=")


async def test_a_page_is_private_to_its_visitor_and_never_not_modified() -> None:
    stage = Stage(double, DOUBLE)
    await stage.ask("/")
    for fields in (
        {"If-None-Match": "*"},
        {"Range": "bytes=0-3"},
        {"If-Modified-Since": "Fri, 15 Jan 2040 08:01:00 GMT"},
    ):
        page = await stage.ask("/", fields)
        assert (page.status, page["cache-control"], page["accept-ranges"]) == (200, "private, no-cache", None)
    head = await stage.ask("/", method="HEAD")
    assert (head.status, head["set-cookie"], head.body) == (200, None, b"")


# Fragments ----------------------------------------------------------------------------------------


async def test_a_form_in_a_fragment_hangs_on_the_pages_cookie() -> None:
    street = Street()
    says = street.says

    def framed(request: Request) -> Answer:
        if request.path == "/framed":
            lines = [("Content-Type", "text/html"), ("Surrogate-Control", 'content="ESI/1.0"')]
            return Answer(200, Fields(lines), b'<body class=framed><esi:include src="/p/kopi"/></body>')
        return says(request)

    street.stage.rules = replace(street.stage.rules, esi=EsiRules(types=Patterns(("text/html",))))
    street.stage.origin.script = framed
    await street.warm("/p/kopi", "/framed")
    ani = street.browser()
    tab = await ani.visit("/framed")
    assert tab.response.verdict == "hit"
    assert (await ani.submit(tab, tab.form("/cart/add"), quantity="1")).status == 303
    assert street.shop.mismatches == 0
