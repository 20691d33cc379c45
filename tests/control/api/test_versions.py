"""Versions of a site: each change is one, two can be compared, and any of them comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from control.db.tables import site_versions
from control.versions import KEPT, differences
from tests.control.planes import Control, controlling, joined
from tests.edge.scripted import eventually, running

SHOP: dict[str, Any] = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}
WIDER = {**SHOP, "hosts": ["shop.test", "www.shop.test"]}

KEYS = st.text("abc", min_size=1, max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
async def control(tmp_path: Path, database_setting: str) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control", database=database_setting) as made:
        yield made


async def numbers(control: Control) -> list[int]:
    status, told = await control.ask("GET", "/sites/shop/versions")
    assert status == 200, told
    return [version["number"] for version in told["versions"]]


async def test_each_change_is_a_version_that_says_who_made_it(control: Control) -> None:
    await control.ask("POST", "/sites", SHOP)
    await control.ask("PUT", "/sites/shop", WIDER)
    _, told = await control.ask("GET", "/sites/shop/versions")
    assert [(one["number"], one["by"]) for one in told["versions"]] == [(2, "first"), (1, "first")]
    assert await control.ask("GET", "/sites/shop/versions/1") == (200, SHOP)
    assert await control.ask("GET", "/sites/shop/changes") == (
        200,
        {"from": 1, "to": 2, "changes": [{"place": "hosts.1", "before": None, "after": "www.shop.test"}]},
    )
    status, _ = await control.ask("PUT", "/sites/shop", {**SHOP, "hosts": ["not a host"]})
    assert status == 422
    assert await numbers(control) == [2, 1]


async def test_an_earlier_version_comes_back_on_every_node(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        await control.ask("POST", "/sites", SHOP)
        await control.ask("PUT", "/sites/shop", WIDER)
        assert await control.ask("POST", "/sites/shop/restore", {"version": 1}) == (200, SHOP)
        await eventually(lambda: [e.kind for e in node.told.events].count("site.put") == 3)
    assert [e.body["hosts"] for e in node.told.events if e.kind == "site.put"][-1] == SHOP["hosts"]
    assert await numbers(control) == [3, 2, 1]


async def test_a_site_that_was_removed_comes_back(control: Control) -> None:
    await control.ask("POST", "/sites", SHOP)
    await control.ask("DELETE", "/sites/shop")
    assert await control.ask("POST", "/sites/shop/restore", {"version": 1}) == (200, SHOP)
    assert await control.ask("GET", "/sites/shop") == (200, SHOP)


async def test_a_version_whose_host_is_another_sites_now_is_refused_and_changes_nothing(
    control: Control,
) -> None:
    await control.ask("POST", "/sites", WIDER)
    await control.ask("PUT", "/sites/shop", SHOP)
    await control.ask("POST", "/sites", {**SHOP, "name": "other", "hosts": ["www.shop.test"]})
    status, told = await control.ask("POST", "/sites/shop/restore", {"version": 1})
    assert (status, told["errors"][0]["field"]) == (422, "hosts.1")
    assert await control.ask("GET", "/sites/shop") == (200, SHOP)
    assert await numbers(control) == [2, 1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/sites/none/versions", None, 404),
        ("GET", "/sites/shop/versions/9", None, 404),
        ("GET", "/sites/shop/versions/x", None, 400),
        ("GET", "/sites/shop/changes?from=9", None, 404),
        ("GET", "/sites/shop/changes?to=0", None, 400),
        ("POST", "/sites/shop/restore", {"version": 9}, 404),
        ("POST", "/sites/shop/restore", {"version": 0}, 422),
        ("POST", "/sites/shop/restore", {"version": "1"}, 422),
        ("POST", "/sites/none/restore", {"version": 1}, 404),
    ],
)
async def test_what_is_not_there_is_said_so(
    control: Control, method: str, path: str, body: Any, status: int
) -> None:
    await control.ask("POST", "/sites", SHOP)
    assert (await control.ask(method, path, body))[0] == status
    assert await numbers(control) == [1]


async def test_old_versions_go_when_there_are_many(control: Control) -> None:
    await control.ask("POST", "/sites", SHOP)
    async with control.is_up.database.write() as connection:
        row = {"site": "shop", "document": SHOP, "at": 0.0, "by": "x"}
        rows = [{**row, "number": number} for number in range(2, KEPT + 3)]
        await connection.execute(site_versions.insert().values(rows))
    await control.ask("PUT", "/sites/shop", WIDER)
    async with control.is_up.database.read() as connection:
        kept = await connection.execute(select(site_versions.c.number).order_by(site_versions.c.number))
        assert list(kept.scalars()) == list(range(4, KEPT + 4))


@given(JSON)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    assert list(differences(document, document)) == []


@given(JSON, JSON)
def test_what_differs_is_told_and_both_ways_alike(before: Any, after: Any) -> None:
    there = list(differences(before, after))
    back = list(differences(after, before))
    assert {(one.place, repr(one.before), repr(one.after)) for one in there} == {
        (one.place, repr(one.after), repr(one.before)) for one in back
    }
    if repr(before) != repr(after) and not _alike(before, after):
        assert there


def _alike(one: Any, other: Any) -> bool:
    """Whether two differ only in keys whose value is null, or in the order of their keys."""
    match one, other:
        case dict(), dict():
            return all(_alike(one.get(key), other.get(key)) for key in {*one, *other})
        case list(), list():
            longest = max(len(one), len(other))
            filled = [each + [None] * (longest - len(each)) for each in (one, other)]
            return all(_alike(*pair) for pair in zip(*filled, strict=True))
        case _:
            return type(one) is type(other) and bool(one == other)
