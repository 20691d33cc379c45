"""The way in and out, against a real control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.control.dashboard.looking import logged_in
from tests.control.planes import Control, controlling


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as control:
        yield control


@pytest.fixture
async def stranger() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.mark.parametrize("path", ["/", "/purges", "/explain?url=http://shop.example/", "/events?parts=map"])
async def test_a_stranger_is_asked_to_log_in_first(
    control: Control, stranger: aiohttp.ClientSession, path: str
) -> None:
    async with stranger.get(control.api + path, allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"].startswith("/login?next=/")


async def test_a_login_leads_to_the_page_that_was_wanted_with_a_cookie_no_script_can_read(
    control: Control, stranger: aiohttp.ClientSession
) -> None:
    form = {"user": "admin", "password": control.first_run["password"], "next": "/purges"}
    async with stranger.post(control.api + "/login", data=form, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/purges")
        cookie = response.cookies["tepi_session"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        assert 0 < int(cookie["max-age"]) <= 12 * 3600


@pytest.mark.parametrize(
    "onward", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\nx"]
)
async def test_a_login_leads_nowhere_else(
    control: Control, stranger: aiohttp.ClientSession, onward: str
) -> None:
    form = {"user": "admin", "password": control.first_run["password"], "next": onward}
    async with stranger.post(control.api + "/login", data=form, allow_redirects=False) as response:
        assert response.headers["Location"] == "/"


async def test_a_wrong_password_is_told_without_saying_which_half_was_wrong(
    control: Control, stranger: aiohttp.ClientSession
) -> None:
    said = set()
    for user in ("admin", "nobody"):
        form = {"user": user, "password": "wrong"}
        async with stranger.post(control.api + "/login", data=form) as response:
            assert response.status == 401
            assert "tepi_session" not in response.cookies
            said.add((await response.text()).replace(user, ""))
    assert len(said) == 1


async def test_guesses_are_slowed_down(control: Control, stranger: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(8):
        form = {"user": "admin", "password": "wrong"}
        async with stranger.post(control.api + "/login", data=form) as response:
            statuses.append(response.status)
            retry_after = response.headers.get("Retry-After")
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    assert retry_after is not None
    assert int(retry_after) >= 1


@pytest.mark.parametrize(
    "fields", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=str
)
async def test_another_sites_page_can_log_nobody_in(
    control: Control, stranger: aiohttp.ClientSession, fields: dict[str, str]
) -> None:
    form = {"user": "admin", "password": control.first_run["password"]}
    async with stranger.post(control.api + "/login", data=form, headers=fields) as response:
        assert response.status == 403
        assert "tepi_session" not in response.cookies


async def test_after_the_logout_the_old_cookie_is_worth_nothing(control: Control) -> None:
    async with logged_in(control) as member:
        cookies = {cookie.key: cookie.value for cookie in member.session.cookie_jar}
        status, _ = await member.post("/logout", {"csrf": await member.csrf()})
        assert status == 303
        async with member.session.get(control.api + "/", cookies=cookies, allow_redirects=False) as response:
            assert response.status == 303


async def test_a_logout_without_the_sessions_token_is_refused(control: Control) -> None:
    async with logged_in(control) as member:
        assert (await member.post("/logout", {}))[0] == 403
        assert (await member.get("/"))[0] == 200


@pytest.mark.parametrize(
    ("what", "value", "status"),
    [
        ("language", "id", 303),
        ("theme", "dark", 303),
        ("language", "xx", 404),
        ("theme", "pink", 404),
        ("shoe", "42", 404),
    ],
)
async def test_only_what_exists_can_be_chosen(
    control: Control, stranger: aiohttp.ClientSession, what: str, value: str, status: int
) -> None:
    path = f"{control.api}/choose/{what}/{value}?back=/login"
    async with stranger.get(path, allow_redirects=False) as response:
        assert response.status == status


async def test_a_chosen_language_is_remembered_and_beats_the_browsers(
    control: Control, stranger: aiohttp.ClientSession
) -> None:
    english = {"Accept-Language": "en-GB,en;q=0.9"}
    async with stranger.get(control.api + "/login", headers=english) as response:
        assert '<html lang="en"' in await response.text()
    async with stranger.get(control.api + "/choose/language/id?back=/login", headers=english) as response:
        page = await response.text()
        assert '<html lang="id"' in page
        assert "Kata sandi" in page
