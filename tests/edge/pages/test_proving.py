"""The leak guard: nothing is shared that has not proved everybody's, and what has is asked for as nobody."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from edge.http.cookies import cookies
from edge.http.message import Answer, Fields, Request
from edge.pages.proofs import DAY, LONGEST_PAUSE, PAUSE, Proofs
from edge.policy.patterns import Patterns
from edge.policy.rules import ClassRules, KeyRules, PageRules, SiteRules, TokenRule
from edge.position import ALONE
from edge.purge import Purge
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Reply, Stage, answer, make_request

PAGES = SiteRules("shop", guard=True, classes=ClassRules(pages=PageRules(300, mark=True)))
PLAIN = SiteRules("shop", guard=True)
ANI = {"Cookie": "sid=ani-0123456789"}
BUDI = {"Cookie": "sid=budi-0123456789"}

Body = Callable[[Request], str]


def page(body: Body, **fields: str) -> Callable[[Request], Answer]:
    """A shop that gives every visitor a session, and whose pages are what `body` says."""
    serial = itertools.count(1)

    def script(request: Request) -> Answer:
        said = {"content_type": "text/html", **fields}
        if "cookie" not in request.fields:
            said.setdefault("set_cookie", f"sid=new-{next(serial)}")
        if said.get("set_cookie") == "":
            del said["set_cookie"]
        return answer(body=f"<body class=product>{body(request)}</body>".encode(), **said)

    return script


def who(request: Request) -> str:
    return dict(cookies(request.fields)).get("sid", "nobody").partition("-")[0]


def same(request: Request) -> str:
    return "<p>Kopi Gayo</p>"


def asked(stage: Stage) -> list[str]:
    return [who(request) for request in stage.origin.asked]


def told(reply: Reply) -> tuple[str, str | None]:
    return reply.verdict, reply.answer.outcome.detail


# A template's first visitor -----------------------------------------------------------------------


@pytest.mark.parametrize("rules", [PAGES, PLAIN], ids=["pages", "explicit-freshness"])
async def test_the_first_gets_his_own_and_all_others_what_nobody_got(rules: SiteRules) -> None:
    shop = Stage(page(same, cache_control="max-age=60", set_cookie=""), rules)
    first = await shop.ask("/p/1", ANI)
    assert told(first) == ("miss", "unproven")
    assert asked(shop) == ["ani", "nobody"]
    for fields in (BUDI, {}, ANI):
        assert (await shop.ask("/p/1", fields)).verdict == "hit"
    assert shop.pipeline.proving.done == {("shop", "fetch"): 1, ("shop", "proven"): 1}


@pytest.mark.parametrize("rules", [PAGES, PLAIN], ids=["pages", "explicit-freshness"])
async def test_later_pages_of_a_proven_template_are_asked_for_as_nobody_at_once(rules: SiteRules) -> None:
    shop = Stage(page(same, cache_control="max-age=60", set_cookie=""), rules)
    await shop.ask("/p/1", ANI)
    second = await shop.ask("/p/2", BUDI)
    assert told(second) == ("miss", None)
    assert asked(shop) == ["ani", "nobody", "nobody"]
    assert (await shop.ask("/p/2")).verdict == "hit"


async def test_the_first_keeps_the_cookie_that_the_shop_gave_him_and_nobody_else_gets_it() -> None:
    shop = Stage(page(same), PAGES)
    assert (await shop.ask("/p/1"))["set-cookie"] == "sid=new-1"
    for fields in ({}, BUDI):
        reply = await shop.ask("/p/1", fields)
        assert (reply.verdict, reply["set-cookie"]) == ("hit", None)


async def test_a_personal_page_is_passed_and_the_place_is_told_but_not_the_name() -> None:
    shop = Stage(page(lambda request: f'<b class="who">{who(request)}</b>'), PAGES)
    assert told(await shop.ask("/p/1", ANI)) == ("miss", "unproven")
    reply = await shop.ask("/p/1", ANI)
    assert reply.body == b'<body class=product><b class="who">ani</b></body>'
    assert reply.answer.outcome.detail == "leak-guard: line 1, after <b class=who>"
    assert 'detail="leak-guard: line 1, after <b class=who>"' in (reply["cache-status"] or "")
    assert (await shop.ask("/p/1", BUDI)).body == b'<body class=product><b class="who">budi</b></body>'
    assert shop.pipeline.proving.done["shop", "leak-guard"] == 1


async def test_a_visitor_without_cookies_can_prove_what_one_with_them_could_not() -> None:
    shop = Stage(page(lambda request: f"<b>{who(request)}</b>", set_cookie=""), PAGES)
    await shop.ask("/p/1", ANI)
    assert (await shop.ask("/p/1")).answer.outcome.detail == "unproven"
    assert (await shop.ask("/p/1")).verdict == "hit"


async def test_a_page_that_is_never_twice_the_same_is_nobody_elses() -> None:
    serial = itertools.count()
    shop = Stage(page(lambda request: f"<p>{next(serial)}</p>"), PAGES)
    await shop.ask("/p/1")
    reply = await shop.ask("/p/1")
    assert reply.answer.outcome.detail == "leak-guard: line 1, after <p>"
    assert len(shop.store) == 0


async def test_failures_are_tried_again_after_longer_and_longer_pauses() -> None:
    serial = itertools.count()
    shop = Stage(page(lambda request: f"<p>{next(serial)}</p>"), PAGES)
    await shop.ask("/p/1")
    for pause in (PAUSE, 2 * PAUSE, 4 * PAUSE):
        shop.sleep(pause - 1)
        assert told(await shop.ask("/p/1"))[1] != "unproven"
        shop.sleep(1)
        assert told(await shop.ask("/p/1"))[1] == "unproven"
    shop.origin.script = page(same)
    shop.sleep(LONGEST_PAUSE)
    await shop.ask("/p/1")
    assert (await shop.ask("/p/1")).verdict == "hit"


async def test_a_proof_holds_a_day() -> None:
    shop = Stage(page(same), PAGES)
    await shop.ask("/p/1", ANI)
    shop.sleep(DAY - 1)
    assert told(await shop.ask("/p/2", ANI)) == ("miss", None)
    shop.sleep(1)
    assert told(await shop.ask("/p/3", ANI)) == ("miss", "unproven")


async def test_one_proof_at_a_time_and_nobody_waits_for_a_slow_reader() -> None:
    shop = Stage(page(same), PAGES)
    slow = await shop.pipeline.handle(make_request("/p/1", ANI))
    assert told(await shop.ask("/p/1", BUDI)) == ("miss", "unproven")
    assert asked(shop) == ["ani", "budi"]
    await Reply.of(slow)
    await shop.settle()
    assert asked(shop) == ["ani", "budi", "nobody"]
    assert (await shop.ask("/p/1")).verdict == "hit"


async def test_who_comes_while_it_is_proven_waits_for_the_proof() -> None:
    shop = Stage(page(same), PAGES)
    await Reply.of(await shop.pipeline.handle(make_request("/p/1", ANI)))
    shop.origin.gate = asyncio.Event()
    waiting = asyncio.create_task(shop.ask("/p/1", BUDI))
    while len(shop.origin.asked) < 2:
        await asyncio.sleep(0)
    shop.origin.gate.set()
    assert (await waiting).verdict == "hit"
    assert asked(shop) == ["ani", "nobody"]


async def test_who_waits_for_a_proof_that_fails_gets_his_own() -> None:
    shop = Stage(page(lambda request: who(request)), PAGES)
    await Reply.of(await shop.pipeline.handle(make_request("/p/1", ANI)))
    replies = await asyncio.gather(*(shop.ask("/p/1", fields) for fields in (BUDI, ANI)))
    assert [b"budi" in replies[0].body, b"ani" in replies[1].body] == [True, True]


async def test_a_visitor_who_goes_away_proves_nothing_and_keeps_nobody_from_it() -> None:
    shop = Stage(page(same), PAGES)
    gone = await shop.pipeline.handle(make_request("/p/1", ANI))
    await gone.body.aclose()  # type: ignore[union-attr]
    await shop.settle()
    assert asked(shop) == ["ani"]
    await shop.ask("/p/1", BUDI)
    assert (await shop.ask("/p/1")).verdict == "hit"


async def test_a_second_fetch_that_fails_costs_nobody_his_answer() -> None:
    shop = Stage(page(same), PAGES)
    await Reply.of(await shop.pipeline.handle(make_request("/p/1", ANI)))

    def broken(request: Request) -> Answer:
        if who(request) == "nobody":
            raise UpstreamError("timeout", "origin-1", "slow", sent=True)
        return page(same)(request)

    shop.origin.script = broken
    assert (await shop.ask("/p/1", BUDI)).status == 200
    shop.origin.script = page(same)
    await shop.ask("/p/1", BUDI)
    assert (await shop.ask("/p/1")).verdict == "hit"


# Which template it is -----------------------------------------------------------------------------


async def test_another_body_must_be_proven_anew() -> None:
    def script(request: Request) -> Answer:
        kind = "account" if request.path == "/p/2" else "product"
        body = f"<body class={kind}>{who(request) if kind == 'account' else ''}</body>"
        return answer(body=body.encode(), content_type="text/html", set_cookie="sid=x")

    shop = Stage(script, PAGES)
    await shop.ask("/p/1", ANI)
    reply = await shop.ask("/p/2", ANI)
    assert told(reply) == ("miss", "unproven")
    assert b"ani" in reply.body
    assert (await shop.ask("/p/2", BUDI)).body == b"<body class=account>budi</body>"
    assert told(await shop.ask("/p/3", ANI)) == ("miss", None)


async def test_a_purge_of_the_site_and_new_rules_drop_its_proofs() -> None:
    shop = Stage(page(same), PAGES)
    await shop.ask("/p/1", ANI)
    await shop.pipeline.purge(Purge("tag", "x"), ALONE)
    assert told(await shop.ask("/p/2", ANI)) == ("miss", None)
    await shop.pipeline.purge(Purge("site", "shop"), ALONE)
    assert told(await shop.ask("/p/2", ANI)) == ("miss", "unproven")
    await shop.ask("/p/2", ANI)
    shop.rules = replace(PAGES, stale_if_error=1)
    assert told(await shop.ask("/p/3", ANI)) == ("miss", "unproven")


def test_only_so_many_templates_are_remembered() -> None:
    proofs = Proofs(most=3)
    kept = [proofs.of(PAGES, shape) for shape in ("/a", "/b", "/c")]
    proofs.of(PAGES, "/a")
    proofs.of(PAGES, "/d")
    assert len(proofs) == 3
    assert proofs.of(PAGES, "/a") is kept[0]
    assert proofs.known(PAGES, "/b") is None
    proofs.forget("shop")
    assert len(proofs) == 0


# Canaries -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("<p>ani@rumah.test</p>", "leak-guard: e-mail address"),
        ("<p>Hello, Ani</p>", "leak-guard: greeting"),
        ("<a href='/logout'>bye</a>", "leak-guard: way to log out"),
        ("<p>session budi-0123456789</p>", "leak-guard: value of cookie sid"),
        ("<input name=_token value=q8Zr2LmX0vT5bN7y>", "tokens-not-understood: input _token"),
    ],
)
@pytest.mark.parametrize("rules", [PAGES, PLAIN], ids=["pages", "explicit-freshness"])
async def test_what_gives_a_person_away_is_not_shared_on_a_templates_credit(
    body: str, detail: str, rules: SiteRules
) -> None:
    def bodies(request: Request) -> str:
        return body if request.path == "/p/2" else "<p>info@shop.test</p>"

    shop = Stage(page(bodies, cache_control="max-age=60", set_cookie=""), rules)
    await shop.ask("/p/1", BUDI)
    reply = await shop.ask("/p/2", BUDI)
    assert told(reply) == ("miss", detail)
    assert asked(shop)[-1] == "budi"
    assert told(await shop.ask("/p/2", BUDI))[0] == "miss"
    assert told(await shop.ask("/p/3", ANI)) == ("miss", None)


async def test_a_cookie_of_the_key_may_show_in_the_page() -> None:
    rules = replace(PAGES, key=KeyRules(cookies=Patterns(("currency",))))
    shop = Stage(page(lambda request: dict(cookies(request.fields)).get("currency", "")), rules)
    rupiah = {"Cookie": "currency=indonesian-rupiah"}
    await shop.ask("/p/1", rupiah)
    reply = await shop.ask("/p/1", rupiah)
    assert (reply.verdict, b"rupiah" in reply.body) == ("hit", True)
    assert b"rupiah" not in (await shop.ask("/p/1")).body


# What else comes ----------------------------------------------------------------------------------


async def test_what_is_no_page_is_not_the_guards_business() -> None:
    shop = Stage(lambda request: answer(content_type="application/json", cache_control="max-age=60"), PLAIN)
    assert told(await shop.ask("/api/1", ANI)) == ("miss", None)
    assert (await shop.ask("/api/1", BUDI)).verdict == "hit"
    assert shop.fetches == 1


async def test_data_under_a_proven_templates_path_is_the_askers_own() -> None:
    def script(request: Request) -> Answer:
        kind = "application/json" if request.path == "/p/2" else "text/html"
        return answer(body=who(request).encode() if "json" in kind else b"", content_type=kind,
                      cache_control="max-age=60")  # fmt: skip

    shop = Stage(script, PLAIN)
    await shop.ask("/p/1", ANI)
    assert (await shop.ask("/p/2", ANI)).body == b"ani"


@pytest.mark.parametrize(
    ("rules", "kind"), [(PAGES, "application/json"), (PAGES, "text/html"), (PLAIN, "text/html")]
)
async def test_a_part_that_came_for_somebody_is_nobody_elses(rules: SiteRules, kind: str) -> None:
    """As anything is that was asked for in a visitor's name: that there is more of it proves nothing."""

    def script(request: Request) -> Answer:
        said = {"content_type": kind, "cache_control": "max-age=60", "content_range": "bytes 0-9/99"}
        return answer(206, f"{who(request):10}".encode(), **said)

    shop = Stage(script, rules)
    first = await shop.ask("/account", {**ANI, "Range": "bytes=0-9"})
    assert (first.status, first.body) == (206, b"ani       ")
    other = await shop.ask("/account", {**BUDI, "Range": "bytes=0-9"})
    assert b"ani" not in other.body


async def test_what_is_no_page_is_asked_for_as_nobody_before_it_is_shared() -> None:
    def script(request: Request) -> Answer:
        if request.path == "/old":
            return answer(301, b"", location=f"/of/{who(request)}")
        return answer(body=who(request).encode(), content_type="application/json", cache_control="max-age=60")

    shop = Stage(script, PAGES)
    for path in ("/old", "/data"):
        first = await shop.ask(path, ANI)
        assert (first["location"] or first.body.decode()) == ("/of/ani" if path == "/old" else "ani")
        assert told(first) == ("miss", "unproven")
        for fields in (BUDI, {}):
            reply = await shop.ask(path, fields)
            assert (reply["location"] or reply.body.decode()) in ("/of/nobody", "nobody")
    assert len(shop.store) == 2


async def test_a_redirect_of_some_under_a_path_where_others_get_pages_is_not_shared_on_their_credit() -> None:
    def script(request: Request) -> Answer:
        if request.path == "/p/2" and who(request) == "nobody":
            return answer(302, b"<body>", location="/login", content_type="text/html")
        return page(same)(request)

    shop = Stage(script, replace(PAGES, classes=ClassRules(pages=PageRules(300, mark=True))))
    await shop.ask("/p/1", ANI)
    assert (await shop.ask("/p/2", ANI)).status == 200
    assert (await shop.ask("/p/2", BUDI)).status == 200


async def test_credentials_prove_nothing_and_get_their_own() -> None:
    def script(request: Request) -> Answer:
        if "authorization" not in request.fields and request.path == "/p/2":
            return answer(401, b"<body>", cache_control="max-age=60", content_type="text/html")
        return page(same, cache_control="public, max-age=60", set_cookie="")(request)

    shop = Stage(script, PLAIN)
    await shop.ask("/p/1", ANI)
    for _ in range(2):
        assert (await shop.ask("/p/2", {**ANI, "Authorization": "Basic x"})).status == 200
    assert (await shop.ask("/p/2", ANI)).status == 401


async def test_hosts_of_a_site_prove_their_templates_each() -> None:
    shop = Stage(page(same), PAGES)
    await shop.ask("/p/1", ANI)
    assert told(await shop.ask("/p/2", ANI, host="admin.shop.test")) == ("miss", "unproven")


async def test_a_page_by_cookie_is_by_cookie() -> None:
    def script(request: Request) -> Answer:
        return answer(body=who(request).encode(), content_type="text/html", vary="Cookie", etag='"1"',
                      cache_control="max-age=60")  # fmt: skip

    shop = Stage(script, PLAIN)
    for _ in range(2):
        for fields, name in ((ANI, b"ani"), (BUDI, b"budi")):
            assert (await shop.ask("/p/1", fields)).body == name
    assert shop.fetches == 2
    shop.sleep(61)
    assert (await shop.ask("/p/1", ANI)).body == b"ani"
    assert asked(shop)[-1] == "ani"


async def test_without_cookies_nothing_is_to_be_proven_that_rfc_9111_shares() -> None:
    shop = Stage(page(same, cache_control="max-age=60", set_cookie=""), PLAIN)
    assert told(await shop.ask("/p/1")) == ("miss", None)
    assert (await shop.ask("/p/1", ANI)).verdict == "hit"


async def test_a_shared_cookie_must_be_the_same_for_all() -> None:
    rules = replace(PLAIN, share_set_cookie=True)
    shop = Stage(page(same, cache_control="max-age=60", set_cookie="lang=id"), rules)
    await shop.ask("/p/1")
    reply = await shop.ask("/p/1")
    assert (reply.verdict, reply["set-cookie"]) == ("hit", "lang=id")
    shop = Stage(page(same, cache_control="max-age=60"), rules)
    await shop.ask("/p/1")
    assert told(await shop.ask("/p/1")) == ("miss", "leak-guard: field set-cookie")


@pytest.mark.parametrize(
    ("fields", "body", "detail"),
    [
        ({"content_encoding": "br"}, b"<body>x", "encoding"),
        ({}, b"<body>" + b"x" * 2**20, "size"),
        ({}, "<body>é".encode("utf-16"), "charset"),
    ],
)
async def test_what_can_not_be_read_is_not_shared_and_reaches_its_visitor_whole(
    fields: dict[str, str], body: bytes, detail: str
) -> None:
    def script(request: Request) -> Answer:
        half = len(body) // 2
        return answer(body=[body[:half], body[half:]], content_type="text/html", **fields)

    for rules in (PAGES, replace(PAGES, guard=False)):
        shop = Stage(script, rules)
        for name in (ANI, BUDI, {}):
            assert (await shop.ask("/p/1", name)).body == body
        assert len(shop.store) == 0


async def test_a_stale_page_is_refreshed_as_nobody() -> None:
    rules = replace(PAGES, stale_while_revalidate=60)
    shop = Stage(page(same), rules)
    await shop.ask("/p/1", ANI)
    shop.sleep(301)
    assert (await shop.ask("/p/1", BUDI)).verdict == "stale"
    assert asked(shop) == ["ani", "nobody", "nobody"]
    shop.sleep(DAY)
    await shop.ask("/p/1", BUDI)
    shop.sleep(301)
    assert (await shop.ask("/p/1", BUDI)).verdict == "stale"
    assert asked(shop)[-1] == "nobody"
    assert (await shop.ask("/p/1", BUDI)).verdict == "hit"


async def test_nothing_of_a_personal_confirmation_gets_into_what_is_shared() -> None:
    def script(request: Request) -> Answer:
        fields = Fields([("ETag", '"1"'), ("X-Who", who(request)), ("Set-Cookie", f"sid={who(request)}")])
        if "if-none-match" in request.fields:
            return Answer(304, fields)
        return answer(body=b"<body>", content_type="text/html", etag='"1"', x_who=who(request))

    shop = Stage(script, PAGES)
    await shop.ask("/p/1", ANI)
    shop.sleep(301)
    reply = await shop.ask("/p/1", ANI)
    assert (reply.verdict, reply["x-who"], reply["set-cookie"]) == ("revalidated", "nobody", None)
    await shop.ask("/p/1", ANI, method="HEAD")
    assert (await shop.ask("/p/1", BUDI))["x-who"] == "nobody"


async def test_without_a_guard_pages_are_asked_for_as_nobody_from_the_first() -> None:
    shop = Stage(page(same), replace(PAGES, guard=False))
    assert told(await shop.ask("/p/1", ANI)) == ("miss", None)
    assert asked(shop) == ["nobody"]


async def test_known_tokens_do_not_count_as_differences() -> None:
    serial = itertools.count()
    rule = TokenRule("nonce", (r"nonce=([0-9a-f]+)",), "common")
    rules = replace(PAGES, classes=ClassRules(pages=PageRules(300_000, tokens=(rule,), mark=True)))
    shop = Stage(page(lambda request: f"<p nonce={next(serial):010x}>", etag='"1"'), rules)
    await shop.ask("/p/1")
    reply = await shop.ask("/p/1")
    assert (reply.verdict, reply["etag"]) == ("hit", None)
    assert (reply.answer.outcome.ttl or 0) <= 4 * 3600


# What is told -------------------------------------------------------------------------------------


async def test_explanations_tell_what_is_known_of_a_template() -> None:
    shop = Stage(page(lambda request: f"<b>{who(request)}</b>" if request.path == "/q/1" else ""), PAGES)

    async def told_of(path: str) -> str:
        steps = (await shop.pipeline.explain(make_request(path, ANI))).steps
        return next(step.finding for step in steps if step.step == "guard")

    assert await told_of("/p/1") == "pages like /p/* are yet to prove that they are the same for all"
    await shop.ask("/p/1", ANI)
    assert await told_of("/p/2") == "pages like /p/* are the same for all who are anonymous"
    await shop.ask("/q/1", ANI)
    assert await told_of("/q/2") == "pages like /q/* are not shared: leak-guard: line 1, after <b>"


async def test_second_fetches_and_failures_are_counted_apart() -> None:
    shop = Stage(page(lambda request: who(request)), PAGES)
    await shop.ask("/p/1", ANI)
    counted = {(one.name, one.labels.get("result")): one.value for one in shop.pipeline.counts()}
    assert counted == {("guard_fetches", None): 1, ("guard_verdicts", "leak-guard"): 1}
    assert shop.pipeline.proving.failures() == {"shop": {"leak-guard": 1}}
