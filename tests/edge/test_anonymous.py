"""Pages as nobody in particular sees them, through the whole pipeline: shared, and never somebody's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Site
from edge.http.cookies import MARKER, cookies
from edge.http.message import Answer, Fields, Request
from tests.edge.stage import Stage, answer, make_request

Pages = dict[str, Any]


def stage(script: Callable[[Request], Answer], **tables: Any) -> Stage:
    site = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:1"}]}
    document = {**site, "guard": False, **tables}
    return Stage(script, Site(**document).rules())


@dataclass
class Shop:
    """A shop that sets a session for everybody, says so in Vary, and greets whom it knows."""

    cache_control: str | None = None
    sessions: Any = None

    def __post_init__(self) -> None:
        self.sessions = itertools.count(1)

    def __call__(self, request: Request) -> Answer:
        borne = dict(cookies(request.fields))
        name = borne.get("sid", "nobody")
        fields = {"content_type": "text/html", "vary": "Cookie", "etag": f'"{next(self.sessions)}"'}
        if self.cache_control is not None:
            fields["cache_control"] = self.cache_control
        if "sid" not in borne:
            fields["set_cookie"] = f"sid=new{next(self.sessions)}; Path=/; HttpOnly"
        return answer(body=f"for {name}".encode(), **fields)


# Shared -------------------------------------------------------------------------------------------


async def test_a_page_with_cookies_all_over_it_is_shared_from_the_second_visitor_on() -> None:
    shop = stage(Shop(), pages={"mark": True})
    first = await shop.ask("/p/1", {"Cookie": "sid=ani"})
    assert (first.verdict, first.body, first["set-cookie"]) == ("miss", b"for nobody", None)
    assert shop.origin.asked[0].fields.get("cookie") is None
    for fields in ({}, {"Cookie": "sid=budi"}, {"Cookie": "_ga=1"}):
        reply = await shop.ask("/p/1", fields)
        assert (reply.verdict, reply.body, reply["set-cookie"]) == ("hit", b"for nobody", None)
    assert shop.fetches == 1


async def test_the_visitors_browser_still_hears_what_the_page_depends_on() -> None:
    shop = stage(Shop("no-store, private"), pages={"mark": True, "despite": {"paths": ["/p/*"]}})
    for verdict in ("miss", "hit"):
        reply = await shop.ask("/p/1")
        assert reply.verdict == verdict
        assert reply["cache-control"] == "no-store, private"
        assert "cookie" in (reply["vary"] or "").lower()
        assert reply["tepi-cache-control"] is None


@pytest.mark.parametrize(
    ("browsers", "told", "expires"),
    [
        ("as-said", "public, max-age=60", "soon"),
        ("no-cache", "private, no-cache", None),
        ("no-store", "no-store", None),
    ],
)
async def test_a_lifetime_for_caches_is_kept_from_browsers(
    browsers: str, told: str, expires: str | None
) -> None:
    def script(request: Request) -> Answer:
        page = "" if request.path == "/feed" else "text/html"
        return answer(
            content_type=page or "text/xml", cache_control="public, max-age=60", expires="soon", etag='"1"'
        )

    shop = stage(script, pages={"browsers": browsers})
    for verdict in ("miss", "hit"):
        reply = await shop.ask("/p/1")
        assert (reply.verdict, reply["cache-control"], reply["expires"]) == (verdict, told, expires)
    unmodified = await shop.ask("/p/1", {"If-None-Match": '"1"'})
    assert (unmodified.status, unmodified["cache-control"]) == (304, told)
    assert (await shop.ask("/feed"))["cache-control"] == "public, max-age=60"


async def test_a_page_whose_tag_changes_at_every_rendering_is_fetched_anew_when_it_is_stale() -> None:
    shop = stage(Shop(), pages={"mark": True, "seconds": 60})
    first = await shop.ask("/p/1")
    shop.sleep(61)
    second = await shop.ask("/p/1")
    assert (second.verdict, second["set-cookie"]) == ("miss", None)
    assert first["etag"] != second["etag"]
    assert (await shop.ask("/p/1")).verdict == "hit"


async def test_a_confirmed_page_stays_shared_and_nobodys() -> None:
    def script(request: Request) -> Answer:
        if request.fields.get("if-none-match"):
            lines = [("Etag", '"1"'), ("Set-Cookie", "sid=2"), ("Cache-Control", "no-cache, private")]
            return Answer(304, Fields(lines))
        return answer(content_type="text/html", etag='"1"', set_cookie="sid=1", cache_control="no-store")

    shop = stage(script, pages={"mark": True, "seconds": 60, "despite": {"paths": ["/p/*"]}})
    await shop.ask("/p/1")
    shop.sleep(61)
    reply = await shop.ask("/p/1", {"Cookie": "sid=ani"})
    assert (reply.verdict, reply["set-cookie"]) == ("revalidated", None)
    assert (await shop.ask("/p/1")).verdict == "hit"


async def test_a_page_that_turned_private_is_not_kept_by_its_confirmation() -> None:
    def script(request: Request) -> Answer:
        who = dict(cookies(request.fields)).get("sid", "nobody")
        if request.fields.get("if-none-match"):
            return Answer(304, Fields([("Etag", '"1"'), ("Cache-Control", "private")]))
        control = "private" if shop.fetches > 1 else "public"
        return answer(body=who.encode(), content_type="text/html", etag='"1"', cache_control=control)

    shop = stage(script, pages={"mark": True, "seconds": 60})
    assert (await shop.ask("/p/1")).body == b"nobody"
    shop.sleep(61)
    reply = await shop.ask("/p/1", {"Cookie": "sid=ani"})
    assert (reply.body, reply.answer.outcome.detail) == (b"ani", "private")
    assert len(shop.store) == 0


async def test_a_cookie_of_the_key_is_sent_and_makes_a_variant() -> None:
    def script(request: Request) -> Answer:
        return answer(
            body=(request.fields.get("cookie") or "-").encode(), content_type="text/html", vary="Cookie"
        )

    shop = stage(script, pages={"mark": True}, key={"cookies": ["currency"]})
    assert (await shop.ask("/", {"Cookie": "sid=1; currency=EUR"})).body == b"currency=EUR"
    assert (await shop.ask("/", {"Cookie": "currency=EUR; sid=2"})).verdict == "hit"
    assert (await shop.ask("/", {"Cookie": "currency=IDR; sid=2"})).body == b"currency=IDR"
    assert (await shop.ask("/")).body == b"-"


async def test_head_is_answered_as_the_page_is() -> None:
    shop = stage(Shop(), pages={"mark": True})
    reply = await shop.ask("/p/1", {"Cookie": "sid=ani"}, method="HEAD")
    assert (reply.status, reply["set-cookie"]) == (200, None)
    assert shop.origin.asked[0].fields.get("cookie") is None
    await shop.ask("/p/1")
    assert (await shop.ask("/p/1", method="HEAD")).verdict == "hit"


# Somebody's ---------------------------------------------------------------------------------------


async def test_what_proves_private_is_asked_for_as_the_visitor_himself() -> None:
    shop = stage(Shop("private"), pages={"mark": True})
    first = await shop.ask("/account", {"Cookie": "sid=ani"})
    assert (first.body, first.answer.outcome.detail, shop.fetches) == (b"for ani", "private", 2)
    second = await shop.ask("/account", {"Cookie": "sid=budi"})
    assert (second.body, second.answer.outcome.detail, shop.fetches) == (b"for budi", "private", 3)
    third = await shop.ask("/account")
    assert (third.body, shop.fetches) == (b"for nobody", 4)
    assert third["set-cookie"] is not None  # his own, for nobody else asked for it
    assert len(shop.store) == 0


async def test_what_was_private_is_tried_again_as_nobodys_after_a_while() -> None:
    script = Shop("private")
    shop = stage(script, pages={"mark": True})
    for _ in range(3):
        await shop.ask("/p/1", {"Cookie": "sid=ani"})
    assert shop.fetches == 4
    script.cache_control = None
    shop.sleep(61)
    assert (await shop.ask("/p/1", {"Cookie": "sid=ani"})).body == b"for nobody"
    assert (await shop.ask("/p/1", {"Cookie": "sid=ani"})).verdict == "hit"


async def test_waiting_for_anothers_page_is_not_getting_it() -> None:
    shop = stage(Shop("private"), pages={"mark": True})
    shop.origin.gate = asyncio.Event()
    asking = [
        asyncio.create_task(shop.ask("/account", {"Cookie": f"sid={name}"}))
        for name in ("ani", "budi", "citra")
    ]
    await asyncio.sleep(0)
    shop.origin.gate.set()
    assert [reply.body for reply in await asyncio.gather(*asking)] == [b"for ani", b"for budi", b"for citra"]


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_refusal_of_nobody_is_not_a_refusal_of_somebody(status: int) -> None:
    def script(request: Request) -> Answer:
        known = "sid" in dict(cookies(request.fields))
        return answer(200 if known else status, content_type="text/html", set_cookie="x=1")

    shop = stage(script, pages={"mark": True})
    assert (await shop.ask("/p/1", {"Cookie": "sid=ani"})).status == 200
    assert (await shop.ask("/p/1")).status == status
    assert len(shop.store) == 0


async def test_an_error_is_not_asked_for_twice() -> None:
    shop = stage(lambda request: answer(500, content_type="text/html"), pages={"mark": True})
    assert (await shop.ask("/p/1", {"Cookie": "sid=ani"})).status == 500
    assert shop.fetches == 1


async def test_a_link_that_fills_a_basket_is_followed_for_each() -> None:
    def script(request: Request) -> Answer:
        who = dict(cookies(request.fields)).get("sid", "new")
        return answer(302, b"", location="/cart", set_cookie=f"sid={who}; Path=/", content_type="text/html")

    shop = stage(script, pages={"mark": True})
    for name in ("ani", "budi"):
        reply = await shop.ask("/add/7", {"Cookie": f"sid={name}"})
        assert (reply["set-cookie"], reply.answer.outcome.detail) == (
            f"sid={name}; Path=/",
            "personal-redirect",
        )


async def test_a_script_gets_no_page_and_leaves_none() -> None:
    def script(request: Request) -> Answer:
        part = request.fields.get("x-requested-with") == "XMLHttpRequest"
        return answer(
            body=b"part" if part else b"page", content_type="text/html", cache_control="max-age=60, public"
        )

    shop = stage(script, pages={"mark": True})
    ajax = {"X-Requested-With": "XMLHttpRequest"}
    assert (await shop.ask("/c/1", ajax)).body == b"part"
    assert (await shop.ask("/c/1")).body == b"page"
    assert ((await shop.ask("/c/1", ajax)).verdict, (await shop.ask("/c/1", ajax)).body) == ("hit", b"part")
    assert (await shop.ask("/c/1")).verdict == "hit"
    assert all("tepi-variant" not in asked.fields for asked in shop.origin.asked)


async def test_a_bypass_cookie_beats_pages_and_one_that_no_rule_knows_does_too() -> None:
    shop = stage(Shop(), bypass_cookies=["sid"], pages={"ignore_cookies": ["csrftoken"]})
    assert (await shop.ask("/p/1", {"Cookie": "csrftoken=1; _ga=2"})).verdict == "miss"
    assert (await shop.ask("/p/1", {"Cookie": "csrftoken=9"})).verdict == "hit"
    mine = await shop.ask("/p/1", {"Cookie": "sid=ani"})
    assert (mine.reason, mine.body) == ("personal", b"for ani")
    assert (await shop.ask("/p/1", {"Cookie": "remember=1"})).reason == "personal"


# Marked -------------------------------------------------------------------------------------------


async def test_whoever_sends_a_form_gets_pages_of_his_own_from_then_on() -> None:
    shop = stage(Shop(), pages={"mark": True, "mark_seconds": 3600}, files=[{"paths": ["/static/*"]}])
    assert (await shop.ask("/p/1", {"Cookie": "sid=ani"}))["set-cookie"] is None
    sent = await shop.ask("/cart/add", {"Cookie": "sid=ani"}, method="POST", body=b"sku=7")
    assert sent["set-cookie"] == f"{MARKER}=1; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"
    mine = await shop.ask("/p/1", {"Cookie": f"sid=ani; {MARKER}=1"})
    assert (mine.verdict, mine.reason, mine.body) == ("pass", "marked", b"for ani")
    assert MARKER in (mine["set-cookie"] or "")
    assert (await shop.ask("/p/1", {"Cookie": "sid=budi"})).body == b"for nobody"
    assert [asked.fields.get("cookie") for asked in shop.origin.asked] == [None, "sid=ani", "sid=ani"]


async def test_files_are_shared_with_the_marked_and_say_nothing_of_it() -> None:
    shop = stage(
        lambda request: answer(content_type="text/css", set_cookie="sid=1"),
        pages={"mark": True},
        files=[{"paths": ["/static/*"], "seconds": 60}],
    )
    for verdict in ("miss", "hit"):
        reply = await shop.ask("/static/a.css", {"Cookie": f"sid=1; {MARKER}=1"})
        assert (reply.verdict, reply["set-cookie"]) == (verdict, None)


async def test_a_failed_form_marks_too_for_it_may_have_been_done() -> None:
    def script(request: Request) -> Answer:
        raise ValueError("gone")

    shop = stage(script, pages={"mark": True})
    sent = await shop.ask("/cart/add", method="POST", body=b"sku=7")
    assert sent.status == 502
    assert MARKER in (sent["set-cookie"] or "")


async def test_a_logins_way_back_marks_and_is_never_shared() -> None:
    shop = stage(Shop("public, max-age=60"), pages={"mark": True, "marking": {"paths": ["/login/done"]}})
    for _ in range(2):
        reply = await shop.ask("/login/done")
        assert (reply.reason, MARKER in (reply["set-cookie"] or "")) == ("never-rule", True)


@pytest.mark.parametrize(("outdate", "verdict"), [({}, "miss"), ({"outdate": False}, "hit")])
async def test_a_form_outdates_the_pages_it_concerns_unless_a_shop_knows_better(
    outdate: dict[str, bool], verdict: str
) -> None:
    def script(request: Request) -> Answer:
        if request.method == "POST":
            return answer(303, b"", location="/")
        return answer(content_type="text/html", set_cookie="sid=1")

    shop = stage(script, pages=outdate)
    for target in ("/", "/p/1"):
        await shop.ask(target)
    await shop.ask("/p/1", method="POST", body=b"add=1")
    for target in ("/", "/p/1"):
        assert (await shop.ask(target)).verdict == verdict


async def test_what_is_no_page_is_outdated_as_everywhere() -> None:
    def script(request: Request) -> Answer:
        return answer(content_type="application/json", cache_control="max-age=60")

    shop = stage(script, pages={})
    wants = {"Accept": "application/json"}
    await shop.ask("/api/p/1", wants)
    assert (await shop.ask("/api/p/1", wants)).verdict == "hit"
    await shop.ask("/api/p/1", wants, method="PUT", body=b"{}")
    assert (await shop.ask("/api/p/1", wants)).verdict == "miss"


async def test_without_mark_nobody_is_marked() -> None:
    shop = stage(Shop(), pages={})
    sent = await shop.ask("/cart/add", {"Cookie": "sid=ani"}, method="POST", body=b"sku=7")
    assert sent["set-cookie"] is None
    assert (await shop.ask("/p/1", {"Cookie": f"{MARKER}=1"})).verdict == "miss"


# Precedence ---------------------------------------------------------------------------------------

EVERYTHING: Pages = {
    "never": {"paths": ["/checkout/*"]},
    "files": [{"paths": ["*.css"]}],
    "bypass_cookies": ["vip"],
    "pages": {"mark": True, "despite": {"paths": ["/*"]}},
}


@pytest.mark.parametrize(
    ("target", "fields", "content_type", "decided"),
    [
        ("/checkout/x.css", {}, "text/css", "never-rule"),
        ("/checkout/1", {"Cookie": "vip=1"}, "text/html", "never-rule"),
        ("/a.css", {"Cookie": "vip=1"}, "text/css", "hit"),
        ("/a.css", {}, "text/html", "not-the-file"),
        ("/p/1", {"Cookie": "vip=1"}, "text/html", "personal"),
        ("/p/1", {"Cookie": f"{MARKER}=1"}, "text/html", "marked"),
        ("/p/1", {"Cookie": f"vip=1; {MARKER}=1"}, "text/html", "personal"),
        ("/p/1", {"Authorization": "Basic YTpi"}, "text/html", "set-cookie"),
        ("/p/1", {"Cookie": "sid=1"}, "text/html", "hit"),
    ],
)
async def test_never_then_files_then_the_session_then_pages(
    target: str, fields: dict[str, str], content_type: str, decided: str
) -> None:
    shop = stage(lambda request: answer(content_type=content_type, set_cookie="sid=1"), **EVERYTHING)
    shop.rules = Site(
        name="shop",
        hosts=("shop.test",),
        origins=({"url": "http://127.0.0.1:1"},),  # type: ignore[arg-type]
        **{**EVERYTHING, "files": [{"paths": ["*.css"], "seconds": 60}]},
    ).rules()
    await shop.ask(target, fields)
    reply = await shop.ask(target, fields)
    outcome = reply.answer.outcome
    assert decided in (outcome.verdict, outcome.reason, outcome.detail)


async def test_a_page_for_credentials_is_kept_apart_even_if_it_may_be_kept() -> None:
    def script(request: Request) -> Answer:
        who = "staff" if "authorization" in request.fields else "nobody"
        return answer(body=who.encode(), content_type="text/html", cache_control="public, max-age=60")

    shop = stage(script, pages={"mark": True})
    for _ in range(2):
        assert (await shop.ask("/", {"Authorization": "Basic YTpi"})).body == b"staff"
        assert (await shop.ask("/")).body == b"nobody"


# Nobody sees another's ----------------------------------------------------------------------------

VISITORS = ("ani-3f9a", "budi-77c1", None)
STEP = st.tuples(
    st.sampled_from(VISITORS),
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["/", "/p/1", "/c/2", "/c/2?page=2", "/checkout/1", "/a.css"]),
    st.sampled_from([200, 200, 200, 301, 302, 304, 404, 403, 500]),
    st.sampled_from(
        [None, "no-store", "private", "no-cache, private", "max-age=5", "public, max-age=60", "no-cache"]
    ),
    st.sampled_from(["text/html", "text/css", "application/json", ""]),
    st.sampled_from([None, "Cookie", "*", "Accept-Language, Cookie"]),
    st.booleans(),  # whether it sets a cookie
    st.booleans(),  # whether a script asks
    st.integers(0, 400),  # seconds that pass
)  # fmt: skip
RULES = st.sampled_from(
    [
        EVERYTHING,
        {"pages": {"mark": True}},
        {"pages": {}, "bypass_cookies": ["sid"]},
        {"pages": {}, "key": {"cookies": ["currency"]}},
        {"platform": "woocommerce"},
        {"guard": True, "pages": {"mark": True, "despite": {"paths": ["/*"]}}},
        {"guard": True, "platform": "laravel"},
    ]
)


@settings(max_examples=60, deadline=None)
@given(RULES, st.lists(STEP, min_size=2, max_size=12))
def test_no_sequence_of_answers_shows_anybody_anothers(tables: Pages, steps: list[Any]) -> None:
    """A shop that writes whom it sees into every page, as unwisely as can be."""

    async def play() -> None:
        said: Any = None

        def script(request: Request) -> Answer:
            _, _, _, status, control, content_type, vary, sets, _, _ = said
            who = dict(cookies(request.fields)).get("sid", "nobody")
            fields = {"content_type": content_type, "x_greets": who, "etag": f'"{who}"'}
            fields |= {"cache_control": control} if control else {}
            fields |= {"vary": vary} if vary else {}
            fields |= {"set_cookie": f"sid={who}; Path=/"} if sets else {}
            fields |= {"location": f"/of/{who}"} if status in (301, 302) else {}
            return answer(status, b"" if status == 304 else f"for {who}".encode(), **fields)

        shop = stage(script, **tables)
        for said in steps:
            who, method, target, _, _, _, _, _, by_script, passing = said
            lines = {} if who is None else {"Cookie": f"sid={who}"}
            lines |= {"X-Requested-With": "XMLHttpRequest"} if by_script else {}
            body = b"a=1" if method == "POST" else None
            reply = await shop.ask(target, lines, method=method, body=body)
            seen = reply.body.decode() + str(list(reply.answer.fields.lines))
            others = [other for other in VISITORS if other not in (None, who)]
            explicit = "public, max-age=60"  # a shop that says so of a script's answer gets what it asks for
            if not (by_script and any(step[4] in (explicit, "max-age=5") for step in steps)):
                assert [other for other in others if other in seen] == []
            shop.sleep(passing)

    asyncio.run(play())


# Explained ----------------------------------------------------------------------------------------


async def test_explain_names_platform_class_and_what_each_cookie_means() -> None:
    shop = stage(
        Shop(), platform="woocommerce", key={"cookies": ["currency"]}, pages={"despite": {"paths": ["/shop"]}}
    )
    told = await shop.pipeline.explain(
        make_request("/shop", {"Cookie": "currency=EUR; _ga=1; wordpress_logged_in_1=ani"})
    )
    steps = {step.step: step for step in told.steps}
    assert steps["site"].facts["platform"] == shop.rules.platform
    assert (told.decision, told.reason) == ("pass", "personal")
    assert steps["cookies"].facts == {
        "currency": "key", "_ga": "ignored", "wordpress_logged_in_1": "bypass",
    }  # fmt: skip
    assert "ani" not in str(told.as_json()["steps"])
    told = await shop.pipeline.explain(make_request("/shop", {"Cookie": "currency=EUR"}))
    kind = next(step for step in told.steps if step.step == "kind")
    assert "nobody in particular" in kind.finding
    assert kind.facts["no_store_overridden"] is True
    assert kind.facts["cookies_sent"] == ["currency"]
    told = await shop.pipeline.explain(make_request("/shop", {"Authorization": "Basic YTpi"}))
    assert "field authorization" in str(told.as_json()["steps"])
