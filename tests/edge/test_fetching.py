"""Stories of the origin being asked: again, in vain, and with methods that change things."""

from __future__ import annotations

import pytest

from edge.http.message import Answer, Fields, Request
from edge.policy.rules import SiteRules
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Stage, answer, confirming

PAGE = b"<!doctype html><title>Kopi Gayo</title>" + b"<p>fresh from the mountains of Aceh</p>" * 40


def down(request: Request) -> Answer:
    raise UpstreamError("connect", "origin-1", "refused", sent=False)


async def test_a_304_renews_the_entry_and_its_fields() -> None:
    stage = Stage(confirming)
    await stage.ask()
    stage.sleep(61)
    renewed = await stage.ask()
    again = await stage.ask()
    assert (renewed.verdict, renewed.reason, renewed.status, renewed.body) == (
        "revalidated",
        "stale",
        200,
        b"body",
    )
    assert (again.verdict, again.body, again["x-new"], again["x-old"]) == ("hit", b"body", "yes", "yes")
    assert again["content-length"] == "4"
    assert stage.fetches == 2


async def test_a_304_that_speaks_of_something_else_is_not_believed() -> None:
    def script(request: Request) -> Answer:
        if "if-none-match" in request.fields:
            return Answer(304, Fields([("Etag", '"v2"')]))
        return answer(etag='"v1"', cache_control="max-age=60", body=b"asked %d" % stage.fetches)

    stage = Stage(script)
    await stage.ask()
    stage.sleep(61)
    reply = await stage.ask()
    assert (reply.status, reply.body) == (200, b"asked 3")


async def test_a_304_that_takes_the_permission_back_is_the_last_use() -> None:
    def script(request: Request) -> Answer:
        if "if-none-match" in request.fields:
            return Answer(304, Fields([("Etag", '"v1"'), ("Cache-Control", "private")]))
        return answer(etag='"v1"', cache_control="max-age=60")

    stage = Stage(script)
    await stage.ask()
    stage.sleep(61)
    assert (await stage.ask()).body == b"body"
    assert len(stage.store) == 0


async def test_no_cache_is_kept_but_asked_about_every_time() -> None:
    def script(request: Request) -> Answer:
        if request.fields.get("if-none-match") == '"v1"':
            return Answer(304, Fields([("Etag", '"v1"')]))
        return answer(etag='"v1"', cache_control="no-cache, max-age=60")

    stage = Stage(script)
    await stage.ask()
    for _ in range(2):
        reply = await stage.ask()
        assert (reply.verdict, reply.reason, reply.body) == ("revalidated", "no-cache", b"body")
    assert stage.fetches == 3


async def test_a_cookie_that_comes_with_a_304_reaches_its_asker_alone() -> None:
    def script(request: Request) -> Answer:
        if "if-none-match" in request.fields:
            return Answer(304, Fields([("Etag", '"v1"'), ("Set-Cookie", "who=me")]))
        return answer(etag='"v1"', cache_control="max-age=60")

    stage = Stage(script)
    await stage.ask()
    stage.sleep(61)
    assert (await stage.ask())["set-cookie"] == "who=me"
    assert (await stage.ask())["set-cookie"] is None


async def test_a_reload_asks_the_origin_only_where_the_site_lets_it() -> None:
    reload = {"Cache-Control": "no-cache"}
    deaf = Stage(confirming)
    await deaf.ask()
    assert (await deaf.ask(fields=reload)).verdict == "hit"
    heeding = Stage(confirming, SiteRules("shop", obey_reload=True))
    await heeding.ask()
    reply = await heeding.ask(fields=reload)
    assert (reply.verdict, reply.reason) == ("revalidated", "request")
    assert "fwd=request" in (reply["cache-status"] or "")
    assert (await heeding.ask(fields={"Pragma": "no-cache"})).verdict == "revalidated"


async def test_only_if_cached_is_never_forwarded() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    wish = {"Cache-Control": "only-if-cached"}
    refused = await stage.ask(fields=wish)
    assert (refused.status, refused.verdict, stage.fetches) == (504, "refused", 0)
    await stage.ask()
    assert (await stage.ask(fields=wish)).verdict == "hit"
    stage.sleep(61)
    assert (await stage.ask(fields=wish)).status == 504


async def test_stale_while_revalidate_lasts_exactly_as_long_as_it_says() -> None:
    stage = Stage(
        lambda request: answer(
            cache_control="max-age=10, stale-while-revalidate=5", body=b"%d" % stage.fetches
        )
    )
    await stage.ask()
    stage.sleep(14.5)
    stale = await stage.ask()
    assert (stale.verdict, stale.reason, stale.body) == ("stale", "stale-while-revalidate", b"1")
    assert stale["cache-status"] is not None and "hit; ttl=-5" in stale["cache-status"]
    refreshed = await stage.ask()
    assert (refreshed.verdict, refreshed.body) == ("hit", b"2")
    stage.sleep(15)
    assert (await stage.ask()).verdict == "miss"


@pytest.mark.parametrize("word", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=10"])
async def test_nothing_stale_is_served_against_the_origins_word(word: str) -> None:
    rules = SiteRules("shop", stale_while_revalidate=600, stale_if_error=600)
    stage = Stage(lambda request: answer(cache_control=f"max-age=10, {word}", etag='"1"'), rules)
    await stage.ask()
    stage.origin.script = down
    stage.sleep(11)
    reply = await stage.ask()
    assert (reply.status, reply.verdict, reply.reason) == (504, "error", "connect")  # RFC 9111 §5.2.2.2
    assert (await stage.ask(method="HEAD")).status == 504


async def test_an_answer_that_makes_no_sense_is_a_bad_gateway_whatever_is_stored() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10, must-revalidate", etag='"1"'))
    await stage.ask()
    stage.sleep(11)

    def babble(request: Request) -> Answer:
        raise UpstreamError("protocol", "origin-1", "not HTTP", sent=True)

    stage.origin.script = babble
    assert (await stage.ask()).status == 502


async def test_what_must_be_asked_about_is_no_stand_in_for_an_error_even_while_it_is_fresh() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60, no-cache", etag='"1"'))
    await stage.ask()
    stage.origin.script = down
    assert (await stage.ask()).status == 504
    stage.origin.script = lambda request: answer(503, b"sorry")
    assert (await stage.ask()).status == 503


async def test_s_maxage_yields_to_explicit_stale_while_revalidate() -> None:
    stage = Stage(lambda request: answer(cache_control="s-maxage=10, stale-while-revalidate=30"))
    await stage.ask()
    stage.sleep(11)
    assert (await stage.ask()).verdict == "stale"


async def test_stale_if_error_lasts_exactly_as_long_as_it_says() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10, stale-if-error=5"))
    await stage.ask()
    stage.origin.script = lambda request: answer(503, b"sorry")
    stage.sleep(14.5)
    reply = await stage.ask()
    assert (reply.status, reply.verdict, reply.reason) == (200, "stale", "stale-if-error")
    stage.sleep(0.5)
    assert (await stage.ask()).status == 503
    stage.origin.script = down
    assert (await stage.ask()).status == 502


async def test_an_unreachable_origin_is_covered_for_even_if_the_answer_said_nothing() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10"))
    await stage.ask()
    stage.sleep(11)
    stage.origin.script = down
    reply = await stage.ask()
    assert (reply.status, reply.reason, reply.body) == (200, "origin-unreachable", b"body")
    stage.sleep(86_400)
    assert (await stage.ask()).status == 502


async def test_head_is_covered_for_like_get() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10, stale-if-error=60"))
    await stage.ask()
    stage.sleep(11)
    for script in (down, lambda request: Answer(503)):
        stage.origin.script = script
        reply = await stage.ask(method="HEAD")
        assert (reply.status, reply.verdict, reply.reason) == (200, "stale", "stale-if-error")
    stage.sleep(60)
    assert (await stage.ask(method="HEAD")).status == 503


async def test_an_error_that_is_not_excused_is_forwarded() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10"))
    await stage.ask()
    stage.sleep(11)
    stage.origin.script = lambda request: answer(500, b"oops")
    assert (await stage.ask()).body == b"oops"


@pytest.mark.parametrize(
    ("failure", "status"),
    [("timeout", 504), ("connect", 502), ("no-healthy-origin", 503), ("overloaded", 503), ("protocol", 502)],
)
async def test_a_failure_has_a_name_and_a_fitting_status(failure: str, status: int) -> None:
    def script(request: Request) -> Answer:
        raise UpstreamError(failure, "origin-1", "as told", sent=False)  # type: ignore[arg-type]

    reply = await Stage(script).ask()
    assert (reply.status, reply.verdict, reply.reason) == (status, "error", failure)
    assert reply["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"])
async def test_a_successful_change_outdates_what_was_stored(method: str) -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    await stage.ask()
    assert (await stage.ask(method=method, body=b"x")).verdict == "pass"
    assert (await stage.ask()).verdict == "miss"


async def test_a_failed_change_outdates_nothing() -> None:
    stage = Stage(lambda request: answer(200 if request.method == "GET" else 500, cache_control="max-age=60"))
    await stage.ask()
    await stage.ask(method="POST", body=b"x")
    assert (await stage.ask()).verdict == "hit"


async def test_a_change_whose_answer_was_lost_outdates_to_be_safe() -> None:
    def script(request: Request) -> Answer:
        if request.method == "POST":
            raise UpstreamError("reset", "origin-1", "gone", sent=True)
        return answer(cache_control="max-age=60")

    stage = Stage(script)
    await stage.ask()
    assert (await stage.ask(method="POST", body=b"x")).status == 502
    assert (await stage.ask()).verdict == "miss"


async def test_a_change_outdates_the_places_it_names_within_its_origin() -> None:
    def script(request: Request) -> Answer:
        if request.method == "POST":
            return answer(201, location="/list?page=1", content_location="http://other.shop.test/item")
        return answer(cache_control="max-age=60")

    stage = Stage(script)
    await stage.ask("/list?page=1")
    await stage.ask("/item", host="other.shop.test")
    await stage.ask(method="POST", body=b"x")
    assert (await stage.ask("/list?page=1")).verdict == "miss"
    assert (await stage.ask("/item", host="other.shop.test")).verdict == "hit"


async def test_a_posts_answer_stands_for_get_if_it_says_that_it_is_the_same() -> None:
    def script(request: Request) -> Answer:
        return answer(cache_control="max-age=60", content_location="http://shop.test/p/1", body=b"made")

    stage = Stage(script)
    assert (await stage.ask(method="POST", body=b"x")).body == b"made"
    reply = await stage.ask()
    assert (reply.verdict, reply.body) == ("hit", b"made")


async def test_what_a_head_says_with_a_cookie_renews_nothing() -> None:
    """Or one visitor's page, kept only to be confirmed for him, would become everybody's."""

    def script(request: Request) -> Answer:
        who = (request.fields.get("cookie") or "").encode()
        if request.method == "HEAD":
            return answer(cache_control="max-age=60", set_cookie="seen=1", body=who)
        return answer(cache_control="no-cache, max-age=60", etag=f'"{who.decode()}"', body=who)

    stage = Stage(script)
    await stage.ask(fields={"Cookie": "ani"})
    await stage.ask(fields={"Cookie": "ani"}, method="HEAD")
    assert (await stage.ask(fields={"Cookie": "budi"})).body == b"budi"
