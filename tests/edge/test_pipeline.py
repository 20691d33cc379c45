"""Stories of requests on their way through the pipeline: what is kept, for whom, and what travels."""

from __future__ import annotations

import pytest

from edge.http.dates import format_date
from edge.http.message import Answer, Client, Request
from edge.policy.rules import SiteRules
from edge.upstream.contract import UpstreamError
from tests.edge.stage import T0, Stage, answer

PAGE = b"<!doctype html><title>Kopi Gayo</title>" + b"<p>fresh from the mountains of Aceh</p>" * 40


def down(request: Request) -> Answer:
    raise UpstreamError("connect", "origin-1", "refused", sent=False)


async def test_the_second_visitor_gets_a_hit_with_age() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    first = await stage.ask()
    stage.sleep(10)
    second = await stage.ask()
    assert (first.verdict, first.reason) == ("miss", "uri-miss")
    assert first["age"] is None
    assert (second.verdict, second.body, second["age"]) == ("hit", b"body", "10")
    assert second["cache-status"] == 'tepi; hit; ttl=50; key="http://shop.test/p/1"'
    assert stage.fetches == 1


async def test_an_answer_is_fetched_again_once_it_is_stale() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    await stage.ask()
    stage.sleep(60)
    assert (await stage.ask()).verdict == "miss"
    assert stage.fetches == 2


async def test_the_origins_age_is_shown_on_a_miss_and_grows_on_hits() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", age="30"))
    assert (await stage.ask())["age"] == "30"
    stage.sleep(5)
    assert (await stage.ask())["age"] == "35"
    stage.sleep(26)
    assert (await stage.ask()).verdict == "miss"


async def test_an_answer_without_date_gets_the_one_of_its_arrival_and_keeps_it() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    first = await stage.ask()
    stage.sleep(10)
    second = await stage.ask()
    assert first["date"] == second["date"] == format_date(int(T0))


async def test_heuristic_freshness_is_a_tenth_of_the_age_of_the_last_change() -> None:
    stage = Stage(lambda request: answer(last_modified=format_date(int(T0) - 1000)))
    await stage.ask()
    stage.sleep(99)
    assert (await stage.ask()).verdict == "hit"
    stage.sleep(1)
    assert (await stage.ask()).verdict != "hit"


async def test_an_answer_that_says_nothing_is_not_kept() -> None:
    stage = Stage(lambda request: answer())
    await stage.ask()
    reply = await stage.ask()
    assert reply.verdict == "miss"
    assert "detail=no-freshness" in (reply["cache-status"] or "")
    assert len(stage.store) == 0


@pytest.mark.parametrize(
    ("fields", "lasts"),
    [
        ({"tepi_cache_control": "max-age=30", "cdn_cache_control": "no-store"}, True),
        ({"cdn_cache_control": "max-age=30", "cache_control": "no-store"}, True),
        ({"cdn_cache_control": "no-store", "cache_control": "max-age=30"}, False),
        ({"cdn_cache_control": 'max-age="30"', "cache_control": "no-store"}, False),
        ({"cdn_cache_control": "max-age=30, &&", "cache_control": "max-age=60"}, True),
        ({"cdn_cache_control": "max-age=0", "expires": format_date(int(T0) + 99)}, False),
    ],
)
async def test_the_most_specific_cache_control_that_is_well_formed_decides(
    fields: dict[str, str], lasts: bool
) -> None:
    stage = Stage(lambda request: answer(**fields))
    first = await stage.ask()
    assert ((await stage.ask()).verdict == "hit") is lasts
    assert first["cdn-cache-control"] == fields.get("cdn_cache_control")
    assert first["tepi-cache-control"] is None


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"cache_control": "private, max-age=60"}, "private"),
        ({"cache_control": "no-store, max-age=60"}, "no-store"),
        ({"cache_control": "max-age=60", "set_cookie": "a=b"}, "set-cookie"),
        ({"cache_control": "max-age=60", "vary": "Accept, *"}, "vary-star"),
        ({"cache_control": "max-age=0"}, "born-stale"),
    ],
)
async def test_an_answer_for_one_visitor_never_reaches_another(fields: dict[str, str], detail: str) -> None:
    count = iter(range(10))
    stage = Stage(lambda request: answer(body=b"for %d" % next(count), **fields))
    first, second = await stage.ask(), await stage.ask()
    assert (first.body, second.body) == (b"for 0", b"for 1")
    assert f"detail={detail}" in (first["cache-status"] or "")
    assert len(stage.store) == 0


async def test_answers_to_credentials_are_shared_only_with_the_origins_word() -> None:
    words = iter(["max-age=60", "public, max-age=60"])
    stage = Stage(lambda request: answer(cache_control=next(words)))
    await stage.ask(fields={"Authorization": "Basic x"})
    assert (await stage.ask()).verdict == "miss"
    assert (await stage.ask(fields={"Authorization": "Basic y"})).verdict == "hit"


async def test_what_was_stored_without_that_word_does_not_answer_credentials() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    await stage.ask()
    reply = await stage.ask(fields={"Authorization": "Basic x"})
    assert (reply.verdict, reply.reason) == ("miss", "authorization")


async def test_a_page_for_a_cookie_is_not_shared_on_a_guess() -> None:
    stage = Stage(lambda request: answer(last_modified=format_date(int(T0) - 100_000)))
    assert (await stage.ask(fields={"Cookie": "session=1"}))["cache-status"] == (
        'tepi; fwd=uri-miss; fwd-status=200; key="http://shop.test/p/1"; '
        "detail=cookie-without-explicit-freshness"
    )
    assert len(stage.store) == 0


async def test_set_cookie_is_kept_and_replayed_only_where_the_site_says_so() -> None:
    rules = SiteRules("shop", share_set_cookie=True)
    stage = Stage(lambda request: answer(cache_control="max-age=60", set_cookie="a=b"), rules)
    await stage.ask()
    reply = await stage.ask()
    assert (reply.verdict, reply["set-cookie"]) == ("hit", "a=b")


async def test_fields_that_no_cache_names_reach_the_asker_alone() -> None:
    stage = Stage(
        lambda request: answer(cache_control='max-age=60, no-cache="x-personal, set-cookie"',
                               x_personal="1", set_cookie="a=b", x_other="2")
    )  # fmt: skip
    first, second = await stage.ask(), await stage.ask()
    assert (first["x-personal"], first["set-cookie"], first["x-other"]) == ("1", "a=b", "2")
    assert second.verdict == "hit"
    assert (second["x-personal"], second["set-cookie"], second["x-other"]) == (None, None, "2")


async def test_a_client_that_forbids_storing_is_obeyed() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    await stage.ask(fields={"Cache-Control": "no-store"})
    assert (await stage.ask()).verdict == "miss"


async def test_variants_live_side_by_side() -> None:
    stage = Stage(
        lambda request: answer(
            cache_control="max-age=60", vary="Foo", body=(request.fields.get("foo") or "-").encode()
        )
    )
    for foo in "12":
        assert (await stage.ask(fields={"Foo": foo})).body == foo.encode()
    reply = await stage.ask(fields={"Foo": "1"})
    assert (reply.verdict, reply.body) == ("hit", b"1")
    missed = await stage.ask()
    assert (missed.verdict, missed.reason, missed.body) == ("miss", "vary-miss", b"-")
    assert "fwd=vary-miss" in (missed["cache-status"] or "")


async def test_equal_wishes_in_other_words_are_one_variant() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", vary="Accept-Language, X-Shop"))
    await stage.ask(fields={"Accept-Language": "id, en;q=0.5", "X-Shop": "a, b"})
    reply = await stage.ask(fields=[("Accept-Language", "EN;q=0.50 ,ID"), ("X-Shop", "a"), ("X-Shop", "b")])
    assert reply.verdict == "hit"


async def test_an_answer_in_the_favourite_language_fits() -> None:
    stage = Stage(
        lambda request: answer(cache_control="max-age=60", vary="Accept-Language", content_language="id")
    )
    await stage.ask(fields={"Accept-Language": "en, id"})
    assert (await stage.ask(fields={"Accept-Language": "fr;q=0.5, id"})).verdict == "hit"
    assert (await stage.ask(fields={"Accept-Language": "fr"})).verdict == "miss"


async def test_the_origin_learns_who_asks_and_no_stranger_can_lie_about_it() -> None:
    stage = Stage(lambda request: answer())
    await stage.ask(
        "/p/1",
        [("X-Forwarded-For", "9.9.9.9"), ("Forwarded", "for=9.9.9.9"),
         ("Tepi-Site", "evil"), ("X-Real-IP", "9.9.9.9"),
         ("Connection", "close, x-hop"), ("X-Hop", "1"), ("TE", "trailers"), ("Cookie", "a=b")],
        scheme="https",
        client=Client("2001:db8::1", country="ID", asn=7713),
    )  # fmt: skip
    seen = stage.origin.asked[0].fields
    assert seen.get("x-forwarded-for") == "2001:db8::1"
    assert seen.get("x-forwarded-proto") == "https"
    assert seen.get("x-forwarded-host") == "shop.test"
    assert seen.get("forwarded") == 'for="[2001:db8::1]";host="shop.test";proto=https'
    assert (seen.get("via"), seen.get("cdn-loop"), seen.get("x-request-id")) == ("1.1 tepi", "tepi", "r-1")
    assert (seen.get("cookie"), seen.get("accept-encoding")) == ("a=b", "identity")
    assert not {"x-hop", "te", "connection", "tepi-site", "x-real-ip"} & set(seen.names())


async def test_the_commerce_origin_is_told_site_and_client() -> None:
    stage = Stage(lambda request: answer())
    await stage.ask(
        "/commerce/checkout",
        {"Tepi-Client-Address": "9.9.9.9"},
        client=Client("1.2.3.4", country="ID", asn=1),
    )
    seen = stage.origin.asked[0].fields
    assert seen.all("tepi-client-address") == ("1.2.3.4",)
    assert (seen.get("tepi-site"), seen.get("tepi-client-country"), seen.get("tepi-client-asn")) == (
        "shop",
        "ID",
        "1",
    )
    await stage.ask("/commerce-fair")
    assert "tepi-site" not in stage.origin.asked[1].fields


async def test_visitors_see_neither_tags_nor_hop_by_hop_fields() -> None:
    stage = Stage(
        lambda request: answer(
            cache_control="max-age=60", cache_tag="a", surrogate_key="b", xkey="c", x_magento_tags="d",
            surrogate_control="x", connection="a-hop", a_hop="1", keep_alive="5", b="2",
        )
    )  # fmt: skip
    for _ in range(2):
        reply = await stage.ask()
        names = set(reply.answer.fields.names())
        assert not names & {"cache-tag", "surrogate-key", "xkey", "x-magento-tags", "surrogate-control"}
        assert not names & {"connection", "a-hop", "keep-alive"}
        assert reply["b"] == "2"
    assert reply.verdict == "hit"


async def test_every_answer_says_how_it_came_about() -> None:
    stage = Stage(
        lambda request: answer(cache_control="max-age=60", via="1.1 varnish", server_timing="db;dur=5")
    )
    miss, hit = await stage.ask(), await stage.ask(id="r-2")
    assert miss["via"] == "1.1 varnish, 1.1 tepi"
    assert miss["server-timing"] is not None and miss["server-timing"].startswith(
        'db;dur=5, tepi;desc="miss"'
    )
    assert hit["server-timing"] == 'tepi;desc="hit"'
    assert hit["x-request-id"] == "r-2"
    assert (
        miss["cache-status"]
        == 'tepi; fwd=uri-miss; fwd-status=200; ttl=60; stored; key="http://shop.test/p/1"'
    )


@pytest.mark.parametrize(
    ("fields", "more", "status", "reason"),
    [
        ({"CDN-Loop": "other, Tepi; v=1"}, {}, 508, "loop"),
        ({}, {"host": "elsewhere.test"}, 421, "unknown-host"),
        ({}, {"method": "TRACE"}, 405, "method-not-allowed"),
    ],
)
async def test_what_the_edge_refuses_never_reaches_an_origin(
    fields: dict[str, str], more: dict[str, str], status: int, reason: str
) -> None:
    stage = Stage(lambda request: answer())
    reply = await stage.ask("/", fields, **more)
    assert (reply.status, reply.verdict, reply.reason, stage.fetches) == (status, "refused", reason, 0)
