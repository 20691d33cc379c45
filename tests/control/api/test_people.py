"""Users, tokens and rights over the API; every change and every denial has its line in the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.control.planes import Control, controlling

SHOP = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}
BLOG = {"name": "blog", "hosts": ["*.blog.test"], "origins": [{"url": "http://127.0.0.1:9001"}]}
PASSWORD = "kopi-gayo-enak"


@pytest.fixture
async def control(tmp_path: Path, postgres_url: str) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control", database=postgres_url) as made:
        for site in (SHOP, BLOG):
            assert (await made.ask("POST", "/sites", site))[0] == 201
        yield made


async def token(control: Control, name: str, *scopes: str, **more: Any) -> str:
    status, made = await control.ask("POST", "/tokens", {"name": name, "scopes": list(scopes), **more})
    assert status == 201, made
    return str(made["token"])


async def last(control: Control, count: int = 1) -> list[tuple[str, str, str, str]]:
    _, told = await control.ask("GET", f"/audit?limit={count}")
    return [(one["who"], one["action"], one["subject"], one["outcome"]) for one in told["entries"]]


async def test_each_scope_opens_what_it_says_and_the_rest_is_denied_and_written_down(
    control: Control,
) -> None:
    purge = {"kind": "tag", "value": "kopi"}
    node = {"name": "jakarta", "role": "dns", "addresses": ["127.0.0.1"]}
    asked = {
        "read": ("GET", "/nodes", None, 200),
        "purge": ("POST", "/purges", purge, 202),
        "sites": ("PUT", "/sites/shop", SHOP, 200),
        "nodes": ("POST", "/nodes", node, 201),
        "people": ("GET", "/users", None, 200),
    }
    for scope in asked:
        bearer = await token(control, f"only-{scope}", scope)
        for needed, (method, path, body, good) in asked.items():
            status, told = await control.ask(method, path, body, token=bearer)
            if needed == scope:
                assert status == good, (scope, needed, told)
            else:
                assert status == 403, (scope, needed)
                assert told["detail"] == f"only-{scope} has {scope}; this needs {needed}"
                denied = (f"only-{scope}", "denied", f"{method} /api/v1{path}", "denied")
                assert await last(control) == [denied]
        _, me = await control.ask("GET", "/me", token=bearer)
        assert me == {"name": f"only-{scope}", "kind": "token", "rights": [scope], "sites": None}


async def test_a_token_for_a_site_touches_no_other(control: Control) -> None:
    bearer = await token(control, "shopkeeper", "read", "purge", "sites", sites=["shop"])
    _, told = await control.ask("GET", "/sites", token=bearer)
    assert [site["name"] for site in told["sites"]] == ["shop"]
    for method, path, body in (
        ("GET", "/sites/blog", None), ("PUT", "/sites/blog", BLOG), ("DELETE", "/sites/blog", None),
        ("POST", "/sites", {**BLOG, "name": "mine", "hosts": ["mine.test"]}), ("POST", "/nodes", {}),
        ("POST", "/explain", {"url": "http://a.blog.test/"}), ("GET", "/users", None),
    ):  # fmt: skip
        assert (await control.ask(method, path, body, token=bearer))[0] == 403, (method, path)
    for kind, value, site, status in (
        ("url", "http://shop.test/p", None, 202), ("url", "https://SHOP.test:443/p", None, 202),
        ("prefix", "http://shop.test/", None, 202), ("site", "shop.test", None, 202),
        ("site", "shop", None, 202), ("tag", "kopi", "shop", 202),
        ("url", "http://a.blog.test/p", None, 403), ("prefix", "http://a.blog.test", None, 403),
        ("url", "http://shop.test@a.blog.test/p", None, 403), ("site", "blog", None, 403),
        ("site", "a.blog.test", None, 403), ("tag", "kopi", None, 403), ("tag", "kopi", "blog", 403),
        ("url", "http://nobody.test/p", None, 403),
    ):  # fmt: skip
        body = {"kind": kind, "value": value, "site": site}
        got, told = await control.ask("POST", "/purges", body, token=bearer)
        assert got == status, (kind, value, site, told)
    _, others = await control.ask("POST", "/purges", {"kind": "tag", "value": "secret"})
    _, told = await control.ask("GET", "/purges", token=bearer)
    assert {order["by"] for order in told["purges"]} == {"shopkeeper"}
    assert (await control.ask("GET", f"/purges/{others['id']}", token=bearer))[0] == 404


async def test_a_token_that_has_expired_says_so_and_one_that_was_struck_is_nothing(control: Control) -> None:
    bearer = await token(control, "short", "read", hours=1)
    assert (await control.ask("GET", "/nodes", token=bearer))[0] == 200
    control.shift.wall += 3601
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{control.api}/api/v1/nodes", headers={"Authorization": f"Bearer {bearer}"}) as answer,
    ):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tepi", error="invalid_token"'
        assert "the token short expired at 2" in (await answer.json())["detail"]
    assert (await control.ask("DELETE", "/tokens/short"))[0] == 204
    status, told = await control.ask("GET", "/nodes", token=bearer)
    assert (status, "expected a bearer token" in told["detail"]) == (401, True)
    assert (await control.ask("DELETE", "/tokens/short"))[0] == 404


async def test_nobody_gives_what_he_has_not(control: Control) -> None:
    bearer = await token(control, "clerk", "people", "read")
    for method, path, body in (
        ("POST", "/tokens", {"name": "more", "scopes": ["admin"]}),
        ("POST", "/tokens", {"name": "more", "scopes": ["read", "nodes"]}),
        ("POST", "/users", {"name": "more", "password": PASSWORD, "role": "admin"}),
        ("PATCH", "/users/admin", {"password": PASSWORD}),
        ("DELETE", "/users/admin", None),
    ):
        status, told = await control.ask(method, path, body, token=bearer)
        assert (status, "lacks" in told["detail"]) == (403, True), (path, told)
    assert (await control.ask("POST", "/tokens", {"name": "as-much", "scopes": ["read"]}, token=bearer))[
        0
    ] == 201


async def test_a_users_life(control: Control) -> None:
    siti = {"name": "siti", "password": PASSWORD, "role": "operator", "sites": ["shop"]}
    status, made = await control.ask("POST", "/users", siti)
    assert (status, made["role"], made["sites"], made["second_factor"]) == (201, "operator", ["shop"], False)
    assert (await control.ask("POST", "/users", siti))[0] == 409
    session = await control.is_up.auth.login("siti", PASSWORD, "127.0.0.1")
    who = await control.is_up.auth.by_cookie(session.cookie)
    assert who is not None
    assert (who.rights, who.sites) == ({"read", "purge", "sites"}, {"shop"})
    status, changed = await control.ask("PATCH", "/users/siti", {"role": "viewer"})
    assert (status, changed["role"], changed["sites"]) == (200, "viewer", None)
    who = await control.is_up.auth.by_cookie(session.cookie)
    assert who is not None
    assert who.rights == {"read"}
    assert (await control.ask("PATCH", "/users/siti", {"password": "a-new-password"}))[0] == 200
    assert await control.is_up.auth.by_cookie(session.cookie) is None
    assert (await control.ask("DELETE", "/users/siti"))[0] == 204
    assert (await control.ask("GET", "/users/siti"))[0] == 404
    _, told = await control.ask("GET", "/audit?limit=3")
    removed, password, role = told["entries"]
    assert [one["action"] for one in (removed, password, role)] == [
        "user.remove",
        "user.change",
        "user.change",
    ]
    assert (role["before"]["role"], role["after"]["role"]) == ("operator", "viewer")
    assert password["after"]["password"] == "changed"
    assert PASSWORD not in str(told)
    assert "argon2" not in str(told)


async def test_one_admin_is_always_left(control: Control) -> None:
    for method, body in (
        ("DELETE", None),
        ("PATCH", {"role": "operator"}),
        ("PATCH", {"role": "admin", "sites": ["shop"]}),
    ):
        status, told = await control.ask(method, "/users/admin", body)
        assert (status, "one admin of the whole fleet has to be left" in told["detail"]) == (409, True)
    _, told = await control.ask("GET", "/users")
    assert [(user["name"], user["role"], user["sites"]) for user in told["users"]] == [
        ("admin", "admin", None)
    ]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/users", {"name": "Siti", "password": PASSWORD, "role": "admin"}, "name"),
        ("/users", {"name": "siti", "password": "short", "role": "admin"}, "password"),
        ("/users", {"name": "siti", "password": PASSWORD, "role": "god"}, "role"),
        ("/users", {"name": "siti", "password": PASSWORD, "role": "admin", "sites": []}, "sites"),
        ("/tokens", {"name": "t", "scopes": []}, "scopes"),
        ("/tokens", {"name": "t", "scopes": ["reed"]}, "scopes.0"),
        ("/tokens", {"name": "t", "scopes": ["read"], "hours": 0}, "hours"),
        ("/sites", {**SHOP, "name": "new", "hosts": ["a\x00b"]}, "hosts.0"),
        ("/purges", {"kind": "tag", "value": "half \ud800"}, "value"),
    ],
)
async def test_what_is_wrong_is_named_by_its_path(control: Control, path: str, body: Any, field: str) -> None:
    status, told = await control.ask("POST", path, body)
    assert (status, [error["field"] for error in told["errors"]]) == (422, [field])
    assert "short" not in str(told)


async def test_the_log_of_a_control_is_whole(control: Control) -> None:
    _, told = await control.ask("GET", "/audit/verify")
    assert told["holds"]
    assert (await control.ask("GET", f"/audit/verify?known={told['head']}"))[1]["holds"]
    _, wrong = await control.ask("GET", "/audit/verify?known=abc")
    assert (wrong["holds"], "cut off" in wrong["why"]) == (False, True)
    for query in ("limit=0", "limit=501", "limit=x", "before=-1"):
        assert (await control.ask("GET", f"/audit?{query}"))[0] == 400


async def test_what_no_endpoint_answers_is_a_problem_document_too(control: Control) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PUT", "/users", 405),
        ("GET", "/sites/%00", 404),
    ):
        got, told = await control.ask(method, path)
        assert (got, told["status"]) == (status, status)
