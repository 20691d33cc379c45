"""Users, tokens, audit and accounts on the dashboard: by each role, with and without a second factor."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pyotp
import pytest

from tests.control.dashboard.looking import Member
from tests.control.planes import Control, controlling

PASSWORD = "kopi-gayo-enak"
SHOP = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}
OF_PEOPLE = ("/users", "/tokens", "/audit")


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as control:
        assert (await control.ask("POST", "/sites", SHOP))[0] == 201
        yield control


@contextlib.asynccontextmanager
async def member(
    control: Control, user: str, password: str = PASSWORD, code: str = ""
) -> AsyncIterator[Member]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        member = Member(control, session)
        status, page = await member.post("/login", {"user": user, "password": password, "code": code})
        assert status == 303, page
        yield member


async def csrf(member: Member) -> str:
    _, page = await member.get("/account")
    return page.split('name="csrf" value="', 1)[1].split('"', 1)[0]


async def test_each_role_sees_its_pages_and_may_no_more(control: Control) -> None:
    for role in ("viewer", "operator", "admin"):
        body = {"name": role if role != "admin" else "chief", "password": PASSWORD, "role": role}
        assert (await control.ask("POST", "/users", body))[0] == 201
        async with member(control, body["name"]) as one:
            for path in ("/", "/purges", "/explain", "/account"):
                assert (await one.get(path))[0] == 200, (role, path)
            for path in OF_PEOPLE:
                status, page = await one.get(path)
                assert (status, f'href="{path}"' in page) == (
                    (200, True) if role == "admin" else (403, False)
                )
            _, page = await one.get("/purges")
            assert ('action="/purges"' in page) == (role != "viewer")
            form = {"kind": "tag", "value": "kopi", "do": "purge", "csrf": await csrf(one)}
            assert (await one.post("/purges", form))[0] == (403 if role == "viewer" else 303)
    _, told = await control.ask("GET", "/audit?who=viewer")
    assert {one["subject"] for one in told["entries"] if one["outcome"] == "denied"} == {
        "GET /users", "GET /tokens", "GET /audit", "POST /purges",
    }  # fmt: skip


async def test_an_operator_of_a_site_purges_there_alone(control: Control) -> None:
    body = {"name": "siti", "password": PASSWORD, "role": "operator", "sites": ["shop"]}
    assert (await control.ask("POST", "/users", body))[0] == 201
    async with member(control, "siti") as siti:
        token = await csrf(siti)
        for value, status in (("http://shop.test/", 303), ("http://other.test/", 403)):
            form = {"kind": "url", "value": value, "do": "purge", "csrf": token}
            assert (await siti.post("/purges", form))[0] == status
        assert (await siti.get("/explain?url=http://other.test/"))[0] == 403


async def test_an_admin_adds_and_strikes_users_and_tokens(control: Control) -> None:
    async with member(control, "admin", control.first_run["password"]) as admin:
        token = await csrf(admin)
        form = {"csrf": token, "name": "budi", "password": PASSWORD, "role": "operator", "site": "shop"}
        assert (await admin.post("/users", form))[0] == 303
        assert "budi" in (await admin.get("/users"))[1]
        assert (await control.ask("GET", "/users/budi"))[1]["sites"] == ["shop"]
        for wrong in ({}, {"name": "BUDI"}, {"password": "short"}, {"role": "god"}):
            status, page = await admin.post("/users", {**form, **wrong})
            assert (status, 'role="alert"' in page, PASSWORD in page) == (422, True, False), wrong
        assert (await admin.post("/users", {"csrf": token, "do": "remove", "name": "admin"}))[0] == 422
        assert (await admin.post("/users", {"csrf": token, "do": "remove", "name": "budi"}))[0] == 303
        assert "budi" not in (await admin.get("/users"))[1]
        form = {"csrf": token, "name": "printer", "scope": "purge", "site": "shop", "days": "7"}
        status, page = await admin.post("/tokens", form)
        assert status == 200
        (fresh,) = re.findall(r"tepi_[\w-]{40,}", page)
        assert (await control.ask("GET", "/me", token=fresh))[1]["rights"] == ["purge"]
        assert fresh not in (await admin.get("/tokens"))[1]
        assert (await admin.post("/tokens", {"csrf": token, "do": "remove", "name": "printer"}))[0] == 303
        assert (await control.ask("GET", "/me", token=fresh))[0] == 401
        for path in OF_PEOPLE:
            assert (await admin.post(path, {"name": "x"}))[0] in (403, 405), "without the CSRF token"
        status, page = await admin.get("/audit?verify=yes")
        assert (status, "whole and unchanged" in page, "token.remove" in page) == (200, True, True)


async def test_a_second_factor_is_asked_for_and_each_code_is_good_once(control: Control) -> None:
    password = control.first_run["password"]
    async with member(control, "admin", password) as admin:
        token = await csrf(admin)
        secret = pyotp.random_base32()
        now = control.is_up.clocks.wall
        code = pyotp.TOTP(secret).at(int(now()))
        form = {"csrf": token, "do": "second-factor", "secret": secret}
        assert (await admin.post("/account", {**form, "current": "wrong", "code": code}))[0] == 422
        assert (await admin.post("/account", {**form, "current": password, "code": "000000"}))[0] == 422
        assert (await admin.post("/account", {**form, "current": password, "code": code}))[0] == 303
        assert (await control.ask("GET", "/users/admin"))[1]["second_factor"]
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        stranger = Member(control, session)
        entry = {"user": "admin", "password": password}
        for wrong in ("", "000000", code):  # the last one was used
            assert (await stranger.post("/login", {**entry, "code": wrong}))[0] == 401
    control.shift.wall += 60
    async with member(control, "admin", password, pyotp.TOTP(secret).at(int(now()))) as admin:
        form = {"csrf": await csrf(admin), "do": "forget-second-factor", "current": password}
        assert (await admin.post("/account", form))[0] == 303
    async with member(control, "admin", password):
        pass


async def test_a_new_password_ends_every_session(control: Control) -> None:
    old = control.first_run["password"]
    async with member(control, "admin", old) as one, member(control, "admin", old) as other:
        form = {"csrf": await csrf(one), "do": "password", "current": old, "password": PASSWORD}
        assert (await one.post("/account", {**form, "password": "short"}))[0] == 422
        assert (await one.post("/account", form))[0] == 303
        for each in (one, other):
            assert "/login" in str((await each.session.get(control.api + "/account")).url)
    async with member(control, "admin", PASSWORD):
        pass
