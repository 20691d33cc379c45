"""A site's rules from its document to the pipeline: what is in the key, never kept, or a file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.sites import parse_site
from edge.config import Site
from edge.document.problems import Refused
from edge.http.message import Answer, Client, Request
from edge.policy.keying import device_of, key_query
from edge.policy.patterns import Patterns
from edge.policy.rules import QueryRules
from edge.position import ALONE
from edge.purge import Purge
from tests.edge.stage import Stage, answer, make_request

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140 Safari/537.36"
PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140 Mobile Safari/537.36"


def stage(script: Any = None, **tables: Any) -> Stage:
    document = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:1"}], **tables}
    return Stage(script or (lambda request: answer(cache_control="max-age=60")), Site(**document).rules())


# The query ----------------------------------------------------------------------------------------


async def test_tracking_parameters_make_no_variants_but_reach_the_origin() -> None:
    shop = stage()
    first = await shop.ask("/p/1?size=m&utm_source=ig&fbclid=IwAR0")
    assert first.verdict == "miss"
    assert shop.origin.asked[0].query == "size=m&utm_source=ig&fbclid=IwAR0"
    assert (await shop.ask("/p/1?gclid=Cj0&size=m")).verdict == "hit"
    assert (await shop.ask("/p/1?size=m")).verdict == "hit"
    assert (await shop.ask("/p/1?size=l")).verdict == "miss"
    assert shop.fetches == 2


async def test_a_query_of_nothing_but_tracking_is_the_page_itself() -> None:
    shop = stage()
    await shop.ask("/p/1")
    assert (await shop.ask("/p/1?utm_campaign=lebaran")).verdict == "hit"


async def test_parameters_can_be_kept_dropped_and_sorted_by_rule() -> None:
    shop = stage(key={"query": {"keep": ["q", "page"], "sort": True}})
    await shop.ask("/search?q=kopi&page=2&token=1")
    assert (await shop.ask("/search?page=2&other=x&q=kopi")).verdict == "hit"
    assert (await shop.ask("/search?page=3&q=kopi")).verdict == "miss"


async def test_purging_a_url_finds_it_however_its_query_is_spelled() -> None:
    shop = stage(key={"query": {"sort": True}})
    await shop.ask("/p/1?b=2&a=1&utm_source=x")
    purge = Purge("url", "http://shop.test/p/1?a=1&gclid=y&b=2")
    assert await shop.pipeline.purge(purge, ALONE) == 1
    assert (await shop.ask("/p/1?a=1&b=2")).verdict == "miss"


@pytest.mark.parametrize("field", ["Location", "Content-Location"])
async def test_an_unsafe_method_outdates_a_url_however_its_query_is_spelled(field: str) -> None:
    def script(request: Request) -> Answer:
        if request.method == "POST":
            return answer(303, b"", **{field.replace("-", "_"): "/p/1?b=2&utm_source=x&a=1"})
        return answer(cache_control="max-age=60")

    shop = stage(script, key={"query": {"sort": True}})
    await shop.ask("/p/1?a=1&b=2")
    assert (await shop.ask("/p/1?b=2&a=1")).verdict == "hit"
    await shop.ask("/p/1/review", method="POST", body=b"stars=5")
    assert (await shop.ask("/p/1?a=1&b=2")).verdict == "miss"


QUERIES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "utm_x", "z%41"]), st.text("012=+%", max_size=3)), max_size=6
)


@given(QUERIES)
def test_a_querys_key_is_its_own_key(pairs: list[tuple[str, str]]) -> None:
    rules = QueryRules(Patterns(("utm_*",)), None, True)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    key = key_query(query, rules)
    assert key is None or key_query(key, rules) == key
    assert key is None or "utm_x" not in key


@given(QUERIES)
def test_without_rules_the_query_is_left_alone(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    assert key_query(query, QueryRules()) == query


# Variants -----------------------------------------------------------------------------------------


async def test_a_cookie_in_the_key_makes_variants_and_others_do_not() -> None:
    shop = stage(key={"cookies": ["currency"]})
    await shop.ask(fields={"Cookie": "currency=IDR; visitor=1"})
    assert (await shop.ask(fields={"Cookie": "visitor=2; currency=IDR"})).verdict == "hit"
    assert (await shop.ask(fields={"Cookie": "currency=EUR"})).reason == "vary-miss"
    assert (await shop.ask(fields={"Cookie": "currency=EUR; x=y"})).verdict == "hit"
    assert [asked.fields.get("tepi-variant") for asked in shop.origin.asked] == [
        "cookie currency=IDR",
        "cookie currency=EUR",
    ]


async def test_visitors_of_one_bucket_share_and_those_of_another_do_not() -> None:
    shop = stage(key={"place": {"buckets": {"EUR": ["DE", "FR"], "IDR": ["ID"]}, "otherwise": "USD"}})

    async def verdict(country: str | None) -> str:
        return (await shop.ask(client=Client("192.0.2.1", country=country))).verdict

    assert [await verdict(country) for country in ("DE", "FR", "ID", "US", None, "BR")] == [
        "miss", "hit", "miss", "miss", "hit", "hit",
    ]  # fmt: skip
    assert [asked.fields.get("tepi-variant") for asked in shop.origin.asked] == [
        "place=EUR", "place=IDR", "place=USD",
    ]  # fmt: skip


async def test_phones_get_pages_of_their_own_if_the_site_wants_it() -> None:
    shop = stage(key={"device": True})
    await shop.ask(fields={"User-Agent": BROWSER})
    assert (await shop.ask(fields={"User-Agent": PHONE})).verdict == "miss"
    assert (await shop.ask(fields={"User-Agent": PHONE})).verdict == "hit"
    assert (await shop.ask(fields={"User-Agent": BROWSER + " Edg/140"})).verdict == "hit"
    assert device_of("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X)") == "tablet"


async def test_a_stranger_cannot_name_the_variant() -> None:
    shop = stage(key={"device": True})
    await shop.ask(fields={"User-Agent": BROWSER, "Tepi-Variant": "device=mobile"})
    assert shop.origin.asked[0].fields.all("tepi-variant") == ("device=desktop",)
    assert (await shop.ask(fields={"User-Agent": PHONE})).verdict == "miss"


# Never, and personal ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/checkout", "/checkout/pay", "/%63heckout/pay", "/p/1?add-to-cart=3", "/p/1?add%2Dto-cart"]
)
async def test_what_is_never_cached_is_not_even_if_it_says_it_may_be(target: str) -> None:
    shop = stage(never={"paths": ["/checkout", "/checkout/*"], "query": ["add-to-cart"]})
    for _ in range(2):
        reply = await shop.ask(target)
        assert (reply.verdict, reply.reason) == ("pass", "never-rule")
    assert shop.fetches == 2


async def test_a_never_rule_beats_a_file_rule() -> None:
    shop = stage(
        lambda request: answer(cache_control="max-age=60", content_type="text/css"),
        never={"paths": ["/account/*"]},
        files=[{"paths": ["*.css"]}],
    )
    assert (await shop.ask("/account/x.css")).reason == "never-rule"


async def test_the_bearer_of_a_session_gets_his_own_page_and_leaves_none_behind() -> None:
    shop = stage(bypass_cookies=["wordpress_logged_in_*", "cart"])
    mine = await shop.ask(fields={"Cookie": "wordpress_logged_in_ab12=me"})
    assert (mine.verdict, mine.reason) == ("pass", "personal")
    assert shop.origin.asked[0].fields.get("cookie") == "wordpress_logged_in_ab12=me"
    assert (await shop.ask()).verdict == "miss"
    assert (await shop.ask(fields={"Cookie": "cart=1"})).verdict == "pass"
    assert (await shop.ask(fields={"Cookie": "_ga=1"})).verdict == "hit"


# Files --------------------------------------------------------------------------------------------


def picture(request: Request) -> Answer:
    return answer(content_type="image/webp", vary="Accept-Language, Cookie", set_cookie="sid=1; Path=/")


async def test_a_picture_with_cookies_all_over_it_is_shared_without_them() -> None:
    shop = stage(picture, files=[{"paths": ["/media/*"], "seconds": 3600}], bypass_cookies=["sid"])
    first = await shop.ask("/media/kopi.webp", {"Cookie": "sid=2"})
    assert (first.verdict, first["set-cookie"], first["vary"]) == ("miss", None, "accept-language")
    assert shop.origin.asked[0].fields.get("cookie") is None
    second = await shop.ask("/media/kopi.webp", {"Cookie": "sid=3"})
    assert (second.verdict, second["set-cookie"], second["tepi-cache-control"]) == ("hit", None, None)
    shop.sleep(3601)
    assert (await shop.ask("/media/kopi.webp")).verdict == "miss"


async def test_a_files_own_lifetime_is_not_overridden() -> None:
    shop = stage(
        lambda request: answer(content_type="text/css", cache_control="max-age=10"),
        files=[{"paths": ["/static/*"], "seconds": 3600}],
    )
    await shop.ask("/static/shop.css")
    shop.sleep(11)
    assert (await shop.ask("/static/shop.css")).verdict == "miss"


@pytest.mark.parametrize(
    ("content_type", "cache_control"),
    [
        pytest.param("text/html", "max-age=600", id="a-page-in-a-files-clothes"),
        pytest.param("text/css", "private, max-age=600", id="private"),
        pytest.param("text/css", "no-store", id="no-store"),
    ],
)
async def test_somebodys_page_under_a_files_path_is_his_alone(content_type: str, cache_control: str) -> None:
    def account(request: Request) -> Answer:
        name = (request.fields.get("cookie") or "nobody").encode()
        return answer(body=name, content_type=content_type, cache_control=cache_control)

    shop = stage(account, files=[{"paths": ["*.css"]}])
    for cookie in ("sid=ani", "sid=budi"):
        reply = await shop.ask("/account/x.css", {"Cookie": cookie})
        assert (reply.verdict, reply.body) == ("miss", cookie.encode())
        assert reply.answer.outcome.detail == "not-the-file"
    assert (await shop.ask("/account/x.css")).body == b"nobody"
    assert len(shop.store) == 0


# Explained, and refused ---------------------------------------------------------------------------


async def test_explain_names_the_rule_the_variant_and_the_query_as_sent() -> None:
    shop = stage(key={"device": True}, never={"paths": ["/checkout/*"]})
    told = await shop.pipeline.explain(make_request("/p/1?utm_source=x", {"User-Agent": PHONE}))
    steps = {step.step: step for step in told.steps}
    assert steps["key"].facts["query_as_sent"] == "utm_source=x"
    assert steps["key"].facts["variant"] == "device=mobile"
    told = await shop.pipeline.explain(make_request("/checkout/1"))
    assert (told.decision, told.reason) == ("pass", "never-rule")
    assert "never cached: path /checkout/1" in [step.finding for step in told.steps]


@pytest.mark.parametrize(
    ("tables", "field"),
    [
        ({"key": {"query": {"tracking": "maybe"}}}, "key.query.tracking"),
        ({"key": {"place": {"buckets": {"EUR": ["Germany"]}}}}, "key.place.buckets.EUR.0"),
        ({"key": {"place": {"buckets": {"EUR": ["DE"], "CHF": ["DE"]}}}}, "key.place.buckets"),
        ({"files": [{"paths": []}]}, "files.0.paths"),
        ({"files": [{"paths": ["/x"], "seconds": -1}]}, "files.0.seconds"),
        ({"never": {"path": ["/x"]}}, "never.path"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_path(tables: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_site({"name": "a", "hosts": ["a.test"], "origins": [{"url": "http://127.0.0.1:1"}], **tables})
    assert field in [problem.field for problem in refused.value.problems]
