"""Stories of requests on their way through the pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.http.message import Answer, Request
from edge.policy.rules import SiteRules
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Stage, answer


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
