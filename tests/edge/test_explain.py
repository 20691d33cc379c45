"""Explanations: told without asking anybody, and of JSON's types only."""

from __future__ import annotations

import json

from edge.explain import Explanation
from tests.edge.stage import Stage, answer, make_request


def as_json(explanation: Explanation) -> dict[str, object]:
    return json.loads(json.dumps(explanation.as_json()))  # type: ignore[no-any-return]


async def test_a_miss_says_what_would_make_it_a_hit() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    told = await stage.pipeline.explain(make_request("/p/kopi-gayo"))
    assert (told.decision, told.reason, told.key) == ("miss", "uri-miss", "http://shop.test/p/kopi-gayo")
    assert told.hit_when
    assert [step.step for step in told.steps] == ["site", "kind", "key", "rules", "stored", "decision"]
    assert stage.fetches == 0


async def test_a_hit_tells_of_every_stored_variant() -> None:
    stage = Stage(
        lambda request: answer(
            cache_control="s-maxage=60, stale-while-revalidate=5",
            vary="Foo",
            cache_tag="kopi, gayo",
            etag='"1"',
        )
    )
    await stage.ask(fields={"Foo": "1"})
    stage.sleep(10)
    await stage.ask(fields={"Foo": "2"})
    told = as_json(await stage.pipeline.explain(make_request(fields={"Foo": "1"})))
    assert (told["decision"], told["reason"], told["hit_when"]) == ("hit", None, [])
    first, second = told["variants"]  # type: ignore[misc]
    assert first == {
        "status": 200,
        "selected": True,
        "age": 10,
        "lifetime": 60,
        "lifetime_from": "s-maxage",
        "ttl": 50,
        "size": 4,
        "encodings": ["identity"],
        "vary": {"foo": "1"},
        "tags": ["kopi", "gayo"],
        "etag": '"1"',
        "parts": None,
        "groups": [],
    }
    assert (second["selected"], second["vary"]) == (False, {"foo": "2"})
    freshness = next(step for step in told["steps"] if step["step"] == "freshness")  # type: ignore[union-attr, index]
    assert freshness["facts"]["directives"] == {"s-maxage": 60, "stale-while-revalidate": 5}


async def test_what_is_refused_is_explained_as_well() -> None:
    stage = Stage(lambda request: answer())
    told = as_json(await stage.pipeline.explain(make_request(host="nobody.test")))
    assert (told["decision"], told["reason"], told["site"]) == ("refused", "unknown-host", None)


async def test_every_decision_can_be_told() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10, stale-while-revalidate=10", etag='"1"'))
    await stage.ask()
    expected = {
        "hit": (0, {}, "GET"),
        "pass": (0, {}, "POST"),
        "stale": (15, {}, "GET"),
        "revalidate": (10, {}, "GET"),
        "refused": (0, {"Cache-Control": "only-if-cached"}, "GET"),
    }
    for decision, (pause, fields, method) in expected.items():
        stage.sleep(pause)
        told = await stage.pipeline.explain(make_request(fields=fields, method=method))
        assert told.decision == decision
        assert (told.reason is None) == (decision == "hit")
