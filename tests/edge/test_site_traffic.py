"""Traffic rules through the pipeline: redirects, rewrites, fields, error pages, maintenance, the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from control.sites import parse_site
from edge.config import Site
from edge.document.problems import Refused
from edge.http.message import Answer, Client, Request
from edge.position import ALONE
from edge.purge import Purge
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Reply, Stage, answer, make_request

BROWSER = {"Accept": "text/html"}
FRESH = {"cache_control": "max-age=60"}
Script = Callable[[Request], Answer]


def document(**tables: Any) -> dict[str, Any]:
    return {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:1"}], **tables}


def stage(script: Script | None = None, **tables: Any) -> Stage:
    return Stage(script or (lambda request: answer(**FRESH)), Site.model_validate(document(**tables)).rules())


async def tend(shop: Stage) -> None:
    await shop.pipeline.tend([("shop.test", shop.rules)])
    await shop.settle()


def down(request: Request) -> Answer:
    raise UpstreamError("connect", "origin-1", "refused", sent=False)


# Redirects -----------------------------------------------------------------------------------------


async def test_a_redirect_is_answered_without_origin_and_store() -> None:
    shop = stage(redirects=[{"path": "/old/*", "to": "/new/$1", "status": 308, "cache_control": "max-age=9"}])
    reply = await shop.ask("/old/kopi?size=m")
    assert (reply.status, reply["location"], reply["cache-control"], reply.body) == (
        308, "http://shop.test/new/kopi?size=m", "max-age=9", b"",
    )  # fmt: skip
    assert (reply.verdict, reply.reason) == ("rule", "redirect")
    assert reply["cache-status"] == "tepi; detail=redirect"
    assert reply["date"]
    assert shop.fetches == len(shop.store) == 0
    assert (await shop.ask("/new/kopi")).verdict == "miss"


async def test_what_a_redirect_depends_on_is_told_to_caches() -> None:
    shop = stage(
        redirects=[
            {
                "path": "/", "languages": ["de"], "unless_cookies": ["lang"], "to": "/de/", "status": 302,
                "cache_control": "private, max-age=60",
            }
        ]
    )  # fmt: skip
    assert (await shop.ask("/", {"Accept-Language": "de"}))["vary"] == "Accept-Language, Cookie"
    assert (await shop.ask("/", {"Accept-Language": "de", "Cookie": "lang=en"})).status == 200


async def test_a_redirect_that_would_lead_round_is_not_made_and_says_so() -> None:
    shop = stage(
        redirects=[{"path": "/a/s*", "to": "/b/s$1"}, {"path": "/b/*.txt", "to": "/a/$1.txt"}],
    )
    reply = await shop.ask("/a/sale.txt")
    assert (reply.status, reply.verdict) == (200, "miss")
    assert (reply["cache-status"] or "").endswith("detail=redirect-circle")


# Rewrites -----------------------------------------------------------------------------------------


async def test_the_origin_is_asked_for_something_else_and_the_key_stays_the_visitors() -> None:
    shop = stage(rewrites=[{"path": "/media/*", "to": "/bucket/$1?v=2", "host": "files.internal"}])
    first = await shop.ask("/media/kopi.webp?w=9", {"Host": "shop.test"})
    (asked,) = shop.origin.asked
    assert (asked.path, asked.query) == ("/bucket/kopi.webp", "v=2&w=9")
    assert asked.fields.all("host") == ("files.internal",)
    assert asked.fields.get("x-forwarded-host") == "shop.test"
    assert 'key="http://shop.test/media/kopi.webp?w=9"' in (first["cache-status"] or "")
    assert "detail=rewrite" in (first["cache-status"] or "")
    assert (await shop.ask("/media/kopi.webp?w=9")).verdict == "hit"
    assert await shop.pipeline.purge(Purge("url", "http://shop.test/media/kopi.webp?w=9"), ALONE) == 1
    assert (await shop.ask("/media/kopi.webp?w=9")).verdict == "miss"


async def test_revalidation_and_what_is_fetched_behind_are_rewritten_too() -> None:
    shop = stage(
        lambda request: answer(etag='"1"', cache_control="max-age=9, stale-while-revalidate=60"),
        rewrites=[{"path": "/a", "to": "/b"}],
    )
    await shop.ask("/a")
    shop.sleep(10)
    assert (await shop.ask("/a")).verdict == "stale"
    assert [asked.path for asked in shop.origin.asked] == ["/b", "/b"]
    assert shop.origin.asked[1].fields.get("if-none-match") == '"1"'


@pytest.mark.parametrize("field", ["location", "content_location"])
async def test_an_unsafe_method_outdates_what_the_visitor_sees_of_what_the_origin_names(field: str) -> None:
    def script(request: Request) -> Answer:
        if request.method == "POST":
            return answer(303, b"", **{field: "/app/reviews/1"})
        return answer(**FRESH)

    shop = stage(script, rewrites=[{"path": "/shop/*", "to": "/app/$1"}])
    for path in ("/shop/reviews/1", "/shop/reviews"):
        await shop.ask(path)
        assert (await shop.ask(path)).verdict == "hit"
    posted = await shop.ask("/shop/reviews", method="POST", body=b"stars=5")
    assert posted[field.replace("_", "-")] == "/shop/reviews/1"
    for path in ("/shop/reviews/1", "/shop/reviews"):
        assert (await shop.ask(path)).verdict == "miss"


async def test_a_path_that_would_lead_out_of_a_rewrite_is_refused() -> None:
    shop = stage(rewrites=[{"path": "/media/*", "to": "/bucket/$1"}])
    reply = await shop.ask("/media/..%2f..%2fsecret")
    assert (reply.status, reply.verdict, reply.reason) == (400, "refused", "path-escape")
    assert shop.fetches == 0


# Fields -------------------------------------------------------------------------------------------


async def test_a_change_of_answer_fields_holds_at_once_for_what_is_stored() -> None:
    shop = stage(answer_fields=[{"set": {"X-Frame-Options": "DENY", "Cache-Control": "no-cache"}}])
    first = await shop.ask()
    assert (first["x-frame-options"], first["cache-control"]) == ("DENY", "no-cache")
    assert (await shop.ask())["x-frame-options"] == "DENY"
    shop.rules = Site.model_validate(
        document(answer_fields=[{"set": {"X-Frame-Options": "SAMEORIGIN"}}])
    ).rules()
    second = await shop.ask()
    assert (second.verdict, second["x-frame-options"], second["cache-control"]) == (
        "hit", "SAMEORIGIN", "max-age=60",
    )  # fmt: skip
    assert (second["cache-status"] or "").endswith("detail=answer-fields")
    shop.rules = Site.model_validate(document()).rules()
    assert (await shop.ask())["x-frame-options"] is None


@pytest.mark.parametrize(
    ("target", "method", "status"), [("/closed", "GET", 301), ("/p/1", "GET", 502), ("/p/1", "TRACE", 405)]
)
async def test_answers_that_the_edge_makes_itself_bear_them_too(
    target: str, method: str, status: int
) -> None:
    shop = stage(
        down,
        answer_fields=[{"set": {"X-Content-Type-Options": "nosniff"}}],
        redirects=[{"path": "/closed", "to": "/"}],
    )
    reply = await shop.ask(target, method=method)
    assert (reply.status, reply["x-content-type-options"]) == (status, "nosniff")


async def test_a_304_bears_them_as_its_200_would() -> None:
    shop = stage(lambda request: answer(etag='"1"', **FRESH), answer_fields=[{"set": {"X-A": "$id"}}])
    await shop.ask()
    reply = await shop.ask(fields={"If-None-Match": '"1"'}, id="r-2")
    assert (reply.status, reply["x-a"]) == (304, "r-2")


async def test_vary_speaks_of_what_the_origin_was_told() -> None:
    def script(request: Request) -> Answer:
        return answer(body=(request.fields.get("x-country") or "none").encode(), vary="X-Country", **FRESH)

    shop = stage(script, request_fields=[{"set": {"X-Country": "$country"}}])

    async def seen(country: str | None, forged: str = "XX") -> tuple[bytes, str]:
        client = Client("192.0.2.1", country=country)
        reply = await shop.ask(fields={"X-Country": forged}, client=client)
        return reply.body, reply.verdict

    assert await seen("ID") == (b"ID", "miss")
    assert await seen("DE") == (b"DE", "miss")
    assert await seen("ID", forged="DE") == (b"ID", "hit")
    assert await seen(None, forged="ID") == (b"none", "miss")


async def test_the_operators_credentials_keep_nothing_out_of_the_store() -> None:
    shop = stage(request_fields=[{"set": {"Authorization": "Basic eDp5"}}])
    await shop.ask()
    assert shop.origin.asked[0].fields.all("authorization") == ("Basic eDp5",)
    assert (await shop.ask()).verdict == "hit"
    assert (await shop.ask(fields={"Authorization": "Basic visitors"})).verdict == "miss"


async def test_cookies_that_are_taken_away_make_pages_shareable() -> None:
    shop = stage(request_fields=[{"paths": ["/blog/*"], "unset": ["Cookie"]}], bypass_cookies=["sid"])
    await shop.ask("/blog/1", {"Cookie": "sid=1"})
    assert shop.origin.asked[0].fields.get("cookie") is None
    assert (await shop.ask("/blog/1", {"Cookie": "sid=2"})).verdict == "hit"
    assert (await shop.ask("/p/1", {"Cookie": "sid=2"})).verdict == "pass"


# Error pages --------------------------------------------------------------------------------------


def failing(request: Request) -> Answer:
    if request.path == "/errors/500.html":
        return answer(body=b"<h1>Sorry</h1>", content_type="text/html", etag='"e"', cache_tag="blue", **FRESH)
    if request.path == "/missing":
        return answer(404, b"nothing", content_type="text/html", set_cookie="sid=1", www_authenticate="Basic")
    return answer(502, b'{"error": 1}', content_type="application/json", retry_after="7")


PAGES = [{"status": ["404", "5xx"], "path": "/errors/500.html", "html": "<h1>Down</h1>"}]


async def test_a_page_of_the_site_stands_in_for_errors_under_their_status() -> None:
    shop = stage(failing, error_pages=PAGES)
    reply = await shop.ask("/missing", BROWSER)
    assert (reply.status, reply.body, reply["content-type"]) == (404, b"<h1>Sorry</h1>", "text/html")
    assert (reply["cache-control"], reply["etag"]) == ("no-store", None)
    assert (reply["set-cookie"], reply["www-authenticate"]) == ("sid=1", "Basic")
    assert (reply["cache-status"] or "").endswith('detail="set-cookie, error-page"')
    assert reply.answer.outcome.rules == ("error-page",)


async def test_who_did_not_come_to_read_gets_the_error_itself() -> None:
    shop = stage(failing, error_pages=PAGES)
    for fields in ({"Accept": "*/*"}, {"Accept": "text/html", "Sec-Fetch-Dest": "empty"}):
        assert (await shop.ask("/missing", fields)).body == b"nothing"
    json_error = await shop.ask("/api/x", BROWSER)
    assert (json_error.body, json_error["retry-after"]) == (b'{"error": 1}', "7")


async def test_programs_get_another_error_where_the_operator_says_so() -> None:
    page = {
        "status": ["5xx"],
        "paths": ["/api/*"],
        "audience": "all",
        "json": '{"sorry": true}',
        "html": "<p>",
    }
    shop = stage(failing, error_pages=[page])
    reply = await shop.ask("/api/x", {"Accept": "application/json"})
    assert (reply.status, json.loads(reply.body), reply["content-type"]) == (
        502,
        {"sorry": True},
        "application/json",
    )
    assert (await shop.ask("/api/x")).body == b"<p>"
    assert (await shop.ask("/p/1")).body == b'{"error": 1}'


async def test_the_page_is_there_when_the_origin_dies() -> None:
    shop = stage(failing, error_pages=PAGES)
    await tend(shop)
    assert [asked.path for asked in shop.origin.asked] == ["/errors/500.html"]
    shop.origin.script = down
    shop.sleep(3600)
    await tend(shop)
    reply = await shop.ask("/p/1", BROWSER)
    assert (reply.status, reply.body, reply.verdict, reply.reason) == (
        502,
        b"<h1>Sorry</h1>",
        "error",
        "connect",
    )


async def test_the_page_comes_from_the_cache_and_is_fetched_anew_in_time() -> None:
    shop = stage(failing, error_pages=PAGES)
    await tend(shop)
    fetched = shop.fetches
    await tend(shop)
    assert shop.fetches == fetched  # not due
    assert (await shop.ask("/errors/500.html", scheme="https")).verdict == "hit"
    shop.sleep(61)
    await tend(shop)
    assert shop.fetches == fetched + 1


async def test_a_page_that_can_not_be_had_leaves_the_text_or_the_error() -> None:
    shop = stage(down, error_pages=PAGES)
    assert (await shop.ask("/p/1", BROWSER)).body == b"<h1>Down</h1>"
    asked = shop.fetches
    assert (await shop.ask("/p/1", BROWSER)).body == b"<h1>Down</h1>"
    assert shop.fetches == asked + 1  # it is not tried again for every visitor
    bare = stage(down, error_pages=[{"status": ["5xx"], "path": "/errors/500.html"}])
    assert (await bare.ask("/p/1", BROWSER)).body == b"Bad Gateway: the origin could not answer.\n"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(lambda: answer(500, b"worse", content_type="text/html"), id="an error itself"),
        pytest.param(lambda: answer(302, b"", location="/errors/500.html"), id="a redirect"),
        pytest.param(lambda: answer(body=[b"x" * 65_536] * 5), id="too large"),
        pytest.param(lambda: answer(body=b"x", content_encoding="compress"), id="encoded"),
    ],
)
async def test_what_is_no_page_does_not_stand_in(page: Callable[[], Answer]) -> None:
    shop = stage(
        lambda request: page() if request.path == "/errors/500.html" else down(request), error_pages=PAGES
    )
    assert (await shop.ask("/p/1", BROWSER)).body == b"<h1>Down</h1>"


async def test_an_error_of_the_page_itself_is_answered_once() -> None:
    shop = stage(down, error_pages=[{"status": ["5xx"], "path": "/errors/500.html"}])
    assert (await shop.ask("/errors/500.html", BROWSER)).status == 502
    assert shop.fetches == 2


async def test_stale_pages_come_before_error_pages() -> None:
    shop = stage(failing, error_pages=PAGES)
    shop.origin.script = lambda request: answer(body=b"page", **FRESH)
    await shop.ask("/p/1", BROWSER)
    shop.sleep(61)
    shop.origin.script = down
    reply = await shop.ask("/p/1", BROWSER)
    assert (reply.status, reply.body, reply.verdict) == (200, b"page", "stale")


async def test_a_head_request_is_told_of_the_page_without_it() -> None:
    shop = stage(failing, error_pages=PAGES)
    reply = await shop.ask("/missing", BROWSER, method="HEAD")
    assert (reply.status, reply["content-type"]) == (404, "text/html")


@pytest.mark.parametrize(
    ("purge", "is_gone"),
    [
        (Purge("url", "https://shop.test/errors/500.html"), True),
        (Purge("prefix", "https://shop.test/errors/"), True),
        (Purge("site", "shop"), True),
        (Purge("url", "https://shop.test/other"), False),
        (Purge("url", "https://shop.test/errors/500.html", soft=True), False),
        (Purge("tag", "red"), False),
    ],
)
async def test_a_purge_reaches_the_page_at_hand(purge: Purge, is_gone: bool) -> None:
    shop = stage(failing, error_pages=PAGES)
    await tend(shop)
    await shop.pipeline.purge(purge, ALONE)
    shop.origin.script = down
    assert (await shop.ask("/p/1", BROWSER)).body == (b"<h1>Down</h1>" if is_gone else b"<h1>Sorry</h1>")


async def test_after_a_purge_by_tag_the_page_is_fetched_anew() -> None:
    shop = stage(failing, error_pages=PAGES)
    await tend(shop)
    shop.origin.script = lambda request: answer(body=b"new", content_type="text/html")
    await shop.pipeline.purge(Purge("tag", "blue"), ALONE)
    await tend(shop)
    shop.origin.script = down
    assert (await shop.ask("/p/1", BROWSER)).body == b"new"


async def test_pages_that_no_rule_names_any_more_are_forgotten() -> None:
    shop = stage(failing, error_pages=PAGES)
    await tend(shop)
    rules, shop.rules = shop.rules, Site.model_validate(document()).rules()
    await tend(shop)
    shop.rules = rules
    shop.origin.script = down
    assert (await shop.ask("/p/1", BROWSER)).body == b"<h1>Down</h1>"


# Maintenance --------------------------------------------------------------------------------------

CLOSED = {
    "enabled": True,
    "retry_after": 120,
    "html": "<h1>Back soon</h1>",
    "json": "{}",
    "allow": ["10.0.0.0/8"],
}


async def test_a_closed_site_says_so_whatever_is_stored() -> None:
    shop = stage()
    await shop.ask()
    assert (await shop.ask()).verdict == "hit"
    shop.rules = Site.model_validate(document(maintenance=CLOSED)).rules()
    reply = await shop.ask(fields=BROWSER)
    assert (reply.status, reply.body, reply["retry-after"]) == (503, b"<h1>Back soon</h1>", "120")
    assert (reply.verdict, reply.reason, reply["cache-control"]) == ("rule", "maintenance", "no-store")
    assert (await shop.ask(fields={"Accept": "application/json"})).body == b"{}"
    assert (await shop.ask(method="POST", body=b"x")).status == 503
    staff = await shop.ask(client=Client("10.0.0.7"))
    assert (staff.status, staff.verdict) == (200, "hit")
    assert await shop.pipeline.purge(Purge("site", "shop"), ALONE) == 1
    assert (await shop.ask(client=Client("10.0.0.7"))).verdict == "miss"


async def test_the_page_of_a_closed_site_is_at_hand_before_it_is_closed() -> None:
    page = {"path": "/closed.html", "enabled": False}
    shop = stage(lambda request: answer(body=b"closed for you", content_type="text/html"), maintenance=page)
    await tend(shop)
    shop.rules = Site.model_validate(document(maintenance={**page, "enabled": True})).rules()
    shop.origin.script = down
    assert (await shop.ask("/p/1")).body == b"closed for you"
    bare = stage(down, maintenance={"enabled": True})
    reply: Reply = await bare.ask("/p/1")
    assert (reply.status, reply.body, reply["retry-after"]) == (
        503,
        b"This site is closed for maintenance.\n",
        "600",
    )


# Fragments --------------------------------------------------------------------------------------------


async def test_fragments_are_rewritten_but_neither_closed_sent_elsewhere_nor_stood_in_for() -> None:
    def script(request: Request) -> Answer:
        if request.path == "/p/1":
            body = b'<esi:include src="/part/a"/><esi:include src="/part/gone" alt="/part/b"/>'
            return answer(body=body, content_type="text/html", surrogate_control='content="ESI/1.0"', **FRESH)
        if request.path == "/inner/gone":
            return answer(404, b"nothing", content_type="text/html")
        return answer(body=request.path.encode(), content_type="text/html", **FRESH)

    shop = stage(
        script,
        esi={},
        rewrites=[{"path": "/part/*", "to": "/inner/$1"}],
        redirects=[{"path": "/part/*", "to": "/elsewhere"}],
        error_pages=[{"status": [404], "html": "<h1>not in a page</h1>"}],
    )
    assert (await shop.ask("/p/1", BROWSER)).body == b"/inner/a/inner/b"


# Explained ----------------------------------------------------------------------------------------


async def test_explain_tells_of_every_rule() -> None:
    shop = stage(
        maintenance={**CLOSED, "allow": ["127.0.0.1"]},
        redirects=[{"path": "/old", "to": "/mid"}, {"path": "/mid", "to": "/new"}],
        rewrites=[{"path": "/media/*", "to": "/bucket/$1", "host": "files.internal"}],
        request_fields=[{"set": {"Authorization": "Basic eDp5"}, "unset": ["X-Debug"]}],
        answer_fields=[{"add": {"Link": "</a>; rel=preload"}}],
        error_pages=PAGES,
    )
    told = await shop.pipeline.explain(make_request("/media/a", BROWSER))
    assert [step.step for step in told.steps][:7] == [
        "site", "maintenance", "rewrite", "request fields", "answer fields", "error pages", "kind",
    ]  # fmt: skip
    steps = {step.step: step for step in told.steps}
    assert steps["maintenance"].finding.endswith("not to this request: address 127.0.0.1 is in 127.0.0.1/32")
    assert steps["rewrite"].finding == "rewrites.0: the origin is asked for /bucket/a of host files.internal"
    assert steps["request fields"].facts == {"set": ["Authorization"], "added": [], "unset": ["x-debug"]}
    assert steps["error pages"].facts["404"] == {"page": "/errors/500.html"}
    assert "eDp5" not in json.dumps(told.as_json())
    moved = await shop.pipeline.explain(make_request("/old"))
    assert (moved.decision, moved.reason) == ("rule", "redirect")
    assert moved.steps[0].facts["then"] == ["http://shop.test/new"]
    closed = await shop.pipeline.explain(make_request("/media/a", client=Client("192.0.2.1")))
    assert (closed.decision, closed.reason) == ("rule", "maintenance")
    assert "purges are carried out all the same" in closed.steps[0].finding
    out = await shop.pipeline.explain(make_request("/media/..%2fx"))
    assert (out.decision, out.reason, out.steps[-1].step) == ("refused", "path-escape", "rewrite")
    for one in (told, moved, closed, out):
        json.dumps(one.as_json())


def test_a_site_without_such_rules_has_none_to_look_at() -> None:
    assert Site.model_validate(document()).rules().traffic is None


@pytest.mark.parametrize(
    ("tables", "field"),
    [
        ({"redirects": [{"path": "/a", "to": "//b"}]}, "redirects.0.to"),
        ({"redirects": [{"path": "/a", "to": "/b"}, {"path": "/b", "to": "/a"}]}, "redirects"),
        ({"rewrites": [{"path": "/a", "host": "*"}]}, "rewrites.0.host"),
        ({"request_fields": [{"set": {"Host": "x"}}]}, "request_fields.0.set"),
        ({"answer_fields": [{"status": [1000]}]}, "answer_fields.0.status.0"),
        ({"error_pages": [{"status": [200], "html": "x"}]}, "error_pages.0.status"),
        ({"maintenance": {"on": True}}, "maintenance.on"),
        ({"origins": [{"url": "http://127.0.0.1:1", "backup": True}]}, "origins"),
    ],
)
def test_control_refuses_what_nodes_would_with_the_same_path(tables: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_site(document(**tables))
    assert [problem.field for problem in refused.value.problems] == [field]
