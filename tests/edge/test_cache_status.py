"""Cache-Status (RFC 9211) on every way through the pipeline, and behind other caches."""

from __future__ import annotations

import asyncio

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.cache_status import cache_status, of_caches_before
from edge.http.message import Answer, Fields, Request
from edge.policy.rules import SiteRules
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Reply, Stage, answer, confirming, make_request

KEY = 'key="http://shop.test/p/1"'


def told(reply: Reply) -> str:
    """Our own member, the key left out."""
    lines = reply.answer.fields.all("cache-status")
    assert lines[-1].endswith(KEY) or KEY in lines[-1]
    return lines[-1].replace(f"; {KEY}", "")


async def test_a_hit_is_told_by_hit_and_how_long_it_stays_one() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    assert told(await stage.ask()) == "tepi; fwd=uri-miss; fwd-status=200; ttl=60; stored"
    stage.sleep(10.5)
    assert told(await stage.ask()) == "tepi; hit; ttl=49"


async def test_a_stale_hit_has_a_negative_ttl_and_says_why() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10, stale-while-revalidate=60"))
    await stage.ask()
    stage.sleep(15.5)
    assert told(await stage.ask()) == "tepi; hit; ttl=-6; detail=stale-while-revalidate"


async def test_a_validation_went_forward_and_says_what_came_back() -> None:
    stage = Stage(confirming)
    await stage.ask()
    stage.sleep(61)
    assert told(await stage.ask()) == "tepi; fwd=stale; fwd-status=304; ttl=60; stored"
    stage.sleep(61)
    stage.origin.script = lambda request: answer(cache_control="max-age=5", etag='"v2"')
    assert told(await stage.ask()) == "tepi; fwd=stale; fwd-status=200; ttl=5; stored"


async def test_what_went_forward_and_came_back_as_an_error_is_no_hit() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10, stale-if-error=60"))
    await stage.ask()
    stage.sleep(15)
    stage.origin.script = lambda request: answer(503)
    assert told(await stage.ask()) == "tepi; fwd=stale; fwd-status=503; ttl=-5; detail=stale-if-error"
    assert told(await stage.ask(method="HEAD")) == (
        "tepi; fwd=stale; fwd-status=503; ttl=-5; detail=stale-if-error"
    )


@pytest.mark.parametrize(("sent", "how"), [(True, "fwd=stale"), (False, "hit")])
async def test_an_origin_that_can_not_be_reached_was_not_asked(sent: bool, how: str) -> None:
    def down(request: Request) -> Answer:
        raise UpstreamError("timeout", "http://shop", "no answer", sent=sent)

    stage = Stage(lambda request: answer(cache_control="max-age=10"))
    await stage.ask()
    stage.sleep(15)
    stage.origin.script = down
    for method in ("GET", "HEAD"):
        assert told(await stage.ask(method=method)) == f"tepi; {how}; ttl=-5; detail=origin-unreachable"


@pytest.mark.parametrize(
    ("fields", "more", "expected"),
    [
        ({}, {}, "tepi; fwd=uri-miss; detail=timeout"),
        ({}, {"method": "HEAD"}, "tepi; fwd=uri-miss; detail=timeout"),
        ({}, {"method": "POST"}, "tepi; fwd=method; detail=timeout"),
        ({"If-Match": '"1"'}, {}, "tepi; fwd=bypass; detail=timeout"),
    ],
)
async def test_a_failure_says_why_the_origin_was_asked(
    fields: dict[str, str], more: dict[str, str], expected: str
) -> None:
    def down(request: Request) -> Answer:
        raise UpstreamError("timeout", "http://shop", "no answer", sent=True)

    assert told(await Stage(down).ask("/p/1", fields, **more)) == expected


async def test_what_the_store_has_no_say_in_is_told_by_method_or_bypass() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    assert told(await stage.ask(method="POST")) == "tepi; fwd=method; fwd-status=200"
    precondition = await stage.ask(fields={"If-Match": '"1"'})
    assert told(precondition) == "tepi; fwd=bypass; fwd-status=200; detail=precondition"


async def test_what_is_not_stored_says_why() -> None:
    stage = Stage(lambda request: answer(cache_control="private"), max_object=1000)
    assert told(await stage.ask()) == "tepi; fwd=uri-miss; fwd-status=200; detail=private"
    stage.origin.script = lambda request: answer(cache_control="max-age=60", body=b"x" * 1001)
    assert told(await stage.ask()) == "tepi; fwd=uri-miss; fwd-status=200; ttl=60; detail=too-large"


async def test_a_fresh_answer_that_the_visitor_did_not_want_is_told_by_request() -> None:
    stage = Stage(confirming, SiteRules("shop", obey_reload=True))
    await stage.ask()
    reply = await stage.ask(fields={"Cache-Control": "no-cache"})
    assert told(reply) == "tepi; fwd=request; fwd-status=304; ttl=60; stored"


async def test_who_waited_in_vain_says_so() -> None:
    stage = Stage(lambda request: answer(cache_control="private"))
    stage.origin.gate = asyncio.Event()
    asking = [asyncio.create_task(stage.pipeline.handle(make_request())) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    replies = [await Reply.of(await each) for each in asking]
    assert sorted(map(told, replies)) == [
        "tepi; fwd=uri-miss; fwd-status=200; collapsed=?0; detail=private",
        "tepi; fwd=uri-miss; fwd-status=200; collapsed=?0; detail=private",
        "tepi; fwd=uri-miss; fwd-status=200; detail=private",
    ]


# Behind other caches ---------------------------------------------------------------------------


async def test_the_caches_before_us_stand_before_us_also_on_a_hit() -> None:
    before = 'origin-cache; hit; ttl=1100, "CDN Company Here"; fwd=uri-miss'
    stage = Stage(lambda request: answer(cache_control="max-age=60", cache_status=before))
    for ours in ("tepi; fwd=uri-miss; fwd-status=200; ttl=60; stored", "tepi; hit; ttl=60"):
        reply = await stage.ask()
        assert reply.answer.fields.all("cache-status") == (before, f"{ours}; {KEY}")
        members = http_sf.parse((reply["cache-status"] or "").encode(), tltype="list")
        assert [str(member[0]) for member in members] == ["origin-cache", "CDN Company Here", "tepi"]


async def test_a_304_tells_anew_how_it_came_about() -> None:
    def script(request: Request) -> Answer:
        fields = {
            "etag": '"1"',
            "cache_control": "max-age=60",
            "cache_status": f"parent; hit; ttl={stage.fetches}",
        }
        return answer(304 if "if-none-match" in request.fields else 200, b"", **fields)

    stage = Stage(script)
    await stage.ask()
    stage.sleep(61)
    for _ in range(2):
        assert (await stage.ask()).answer.fields.all("cache-status")[:-1] == ("parent; hit; ttl=2",)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_a_field_that_is_no_list_does_not_spoil_ours(method: str) -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", cache_status="HIT from somewhere; =;"))
    for _ in range(2):
        (line,) = (await stage.ask(method=method)).answer.fields.all("cache-status")
        assert line.startswith("tepi; ")


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=30), max_size=3))
def test_whatever_came_before_the_whole_field_can_be_read(lines: list[str]) -> None:
    kept = of_caches_before(Fields(("Cache-Status", line) for line in lines))
    whole = kept.plus(("Cache-Status", cache_status("tepi", hit=True, ttl=5))).get("cache-status")
    assert whole is not None
    members = http_sf.parse(whole.encode("latin-1"), tltype="list")
    assert members[-1] == ("tepi", {"hit": True, "ttl": 5})
