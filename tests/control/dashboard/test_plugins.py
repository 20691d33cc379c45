"""Plugins' pages in the dashboard: a real origin behind a real control."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import html5lib
import pytest
from yarl import URL

from control.plugins import path_of
from origin.app import Wiring
from origin.contract import About
from origin.ledger.plugin import LedgerPlugin
from origin.risk.plugin import RiskPlugin
from origin.speaker import SIGNATURE, USER
from tests.control.dashboard.looking import Member, browsing, logged_in
from tests.control.dashboard.test_browser import DESK, PHONE, judged, looking
from tests.control.planes import Control, controlling
from tests.origin.ledger.books import Books, paid, sale
from tests.origin.risk.desks import Desks, attempt
from tests.origin.standing import Clock, running

SECRET = "a secret of the two"
EVIL = '<script>alert("x")</script>'


@dataclass(slots=True)
class House:
    """Both, and somebody who is logged in."""

    control: Control
    member: Member
    books: Books
    desks: Desks
    admin: str


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    secret = tmp_path / "pages-secret"
    secret.write_text(SECRET)
    clock = Clock()
    async with running(
        tmp_path / "origin", LedgerPlugin, RiskPlugin, wiring=Wiring(clock, lambda: 0.5, pages_secret=SECRET)
    ) as (origin, bound):
        table = {"admin": f"http://{bound.admin}", "pages_secret": f"file:{secret}"}
        async with controlling(tmp_path / "control", origin=table) as control, logged_in(control) as member:
            clock.now = control.is_up.clocks.wall()
            ledger = origin.plugins["ledger"]
            assert isinstance(ledger, LedgerPlugin)
            await control.is_up.plugins.look()
            yield House(control, member, Books(origin, ledger, clock), Desks(origin, clock), table["admin"])


async def test_pages_stand_in_the_layout_with_charts_that_control_draws(house: House) -> None:
    await house.books.post("payment:1", sale(111_000), paid("1", method=EVIL[:60]))
    status, page = await house.member.get("/plugins/ledger?by=method")
    assert status == 200
    html5lib.HTMLParser(strict=True).parse(page)
    assert 'href="/plugins/ledger" aria-current="page">Money</a>' in page
    assert 'href="/plugins/risk">Risk</a>' in page
    assert "1,110.00" in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    _, page = await house.member.get("/plugins/ledger")
    html5lib.HTMLParser(strict=True).parse(page)
    assert 'id="chart-money-IDR"' in page
    assert "data-chart=" not in page
    _, page = await house.member.get("/plugins/ledger", Cookie="tepi_language=id")
    assert "Keuangan" in page


async def test_files_come_as_files(house: House) -> None:
    await house.books.post("payment:1", sale(111_000), paid("1"))
    url = f"{house.control.api}/plugins/ledger/entries?as=csv"
    async with house.member.session.get(url) as answer:
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert (await answer.text()).count("payment:1") == 2


async def test_a_review_is_answered_by_who_is_logged_in(house: House) -> None:
    verdict = await house.desks.assess(attempt("1042", card_country="US", shipping_country="SG"))
    _, page = await house.member.get("/plugins/risk")
    html5lib.HTMLParser(strict=True).parse(page)
    assert 'name="csrf" value=""' not in page
    action = f"/plugins/risk/decisions/{verdict.decision}"
    assert f'action="{action}"' in page
    status, _ = await house.member.post(action, {"approved": "yes"})
    assert status == 403, "no token"
    form = {"approved": "yes", "csrf": await house.member.csrf(), "by": "somebody else"}
    status, _ = await house.member.post(action, form)
    assert status == 303
    (kept,) = await house.desks.desk.of_order("1042")
    assert (kept["review"], kept["reviewed_by"]) == ("approved", "admin")
    status, page = await house.member.post(action, form)
    assert (status, "waits for a review" in page) == (404, True)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [("/plugins/ledger?first=x", 422, "first: got &#39;x&#39;"), ("/plugins/nothing", 404, "404")],
)
async def test_what_there_is_not_is_said(house: House, path: str, status: int, says: str) -> None:
    got, page = await house.member.get(path)
    assert (got, says in page) == (status, True)


@pytest.mark.parametrize(
    "path", ["/plugins/ledger/%2e%2e/%2e%2e/metrics", "/plugins/ledger/..%2f..%2fmetrics"]
)
async def test_no_path_leads_to_what_else_the_listener_has(house: House, path: str) -> None:
    async with house.member.session.get(URL(house.control.api + path, encoded=True)) as answer:
        assert answer.status == 404
        assert "tepi_origin_requests" not in await answer.text()


@pytest.mark.parametrize("locale", ["en-GB", "id-ID"])
async def test_axe_finds_nothing_and_a_review_is_answered_in_a_browser(house: House, locale: str) -> None:
    await house.books.post("payment:1", sale(111_000), paid("1"))
    await house.desks.assess(attempt("1042", card_country="US", shipping_country="SG"))
    async with browsing() as browser:
        for size in (DESK, PHONE):
            async with looking(browser, house.control, size, locale=locale) as tab:
                for path in (
                    "/plugins/ledger", "/plugins/ledger?by=provider,method", "/plugins/ledger/settlement",
                    "/plugins/risk", "/plugins/risk/rules",
                ):  # fmt: skip
                    await tab.goto(house.control.api + path)
                    assert await judged(tab) == [], path
                    width = await tab.evaluate("document.documentElement.scrollWidth")
                    assert width <= size[0], "the page is as wide as the screen"
        async with looking(browser, house.control, locale=locale) as tab:
            await tab.goto(house.control.api + "/plugins/risk")
            await tab.locator("button[name=approved][value=yes]").click()
            await tab.wait_for_url("**/plugins/risk")
            assert await house.desks.desk.waiting() == []


RULES = "[[rules]]\nname = 'everything'\naction = 'block'\nwhen = 'amount >= 0.0'\n"


async def test_rules_are_checked_tried_and_kept_and_old_versions_stay(house: House) -> None:
    await house.desks.assess(attempt("1042", card_country="US", shipping_country="SG"))
    edit, csrf = "/plugins/risk/rules/edit", await house.member.csrf()
    form = {"csrf": csrf, "do": "try", "days": "30", "rules": RULES, "back": "/plugins/risk/rules"}
    for wrong, says in (
        (
            RULES.replace("amount", "amuont"),
            "rules.everything.when: Value error, &#39;amuont&#39; is no fact",
        ),
        (RULES + RULES, "two rules are called"),
        ("[[rules]", "TOML: "),
    ):
        for deed in ("try", "keep"):
            status, page = await house.member.post(edit, {**form, "do": deed, "rules": wrong})
            assert (status, says in page, 'role="alert"' in page) == (422, True, True)
            html5lib.HTMLParser(strict=True).parse(page)
    assert await house.desks.desk.versions() == [], "nothing was kept"
    status, page = await house.member.post(edit, form)
    assert (status, "review → block" in page, "1 attempts of 30 days" in page) == (200, True, True)
    assert await house.desks.desk.versions() == [], "a trial keeps nothing"
    for rules in (RULES, RULES.replace("everything", "renamed")):
        status, _ = await house.member.post(edit, {**form, "do": "keep", "rules": rules})
        assert status == 303
    kept = await house.desks.desk.versions()
    assert [(one["version"], one["made_by"]) for one in kept] == [(2, "admin"), (1, "admin")]
    for version, name in (("", "renamed"), ("?version=1", "everything"), ("?version=0", "card-testing")):
        status, page = await house.member.get(f"/plugins/risk/rules{version}")
        assert (status, f"name = &#39;{name}&#39;" in page) == (200, True)
        html5lib.HTMLParser(strict=True).parse(page)
    assert (await house.member.get("/plugins/risk/rules?version=9"))[0] == 404


STATEMENT = (
    "occasion,reference,gross,currency,fee\n"
    "payment,ch_1,1110.00,IDR,0\npayment,ch_2,7.00,IDR,0\npayment,ch_9,5.00,IDR,0\n"
)


async def upload(house: House, statement: str, **changes: str) -> tuple[int, str]:
    sent = aiohttp.FormData()
    fields = {"csrf": await house.member.csrf(), "provider": "stripe", "format": "plain", **changes}
    for name, value in fields.items():
        sent.add_field(name, value)
    sent.add_field("statement", statement.encode(), filename="statement.csv", content_type="text/csv")
    url = f"{house.control.api}/plugins/ledger/reconcile"
    async with house.member.session.post(url, data=sent, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def test_a_statement_that_is_uploaded_is_held_against_the_books(house: House) -> None:
    for number in (1, 2, 3):
        about = About("payment", f"{number}", "stripe", "card", f"ch_{number}")
        await house.books.post(f"payment:{number}", sale(111_000), about)
    status, page = await upload(house, STATEMENT)
    assert status == 200
    html5lib.HTMLParser(strict=True).parse(page)
    for says in ("agrees", "differs", "missing in the books", "missing at the provider"):
        count = re.search(rf'<th scope="row">{says}</th><td class="num">(\d+)</td>', page)
        assert count is not None
        assert count[1] == "1", says
    for wrong, changes, says in (
        ("nonsense", {}, 'role="alert"'),
        (STATEMENT.replace("1110.00", "11,10"), {}, 'role="alert"'),
        (STATEMENT, {"format": "excel"}, "excel"),
        (STATEMENT, {"first": "yesterday"}, "yesterday"),
        (STATEMENT, {"provider": ""}, "provider"),
    ):
        status, page = await upload(house, wrong, **changes)
        assert (status, says in page) == (422, True), (wrong, changes)
    async with house.member.session.get(f"{house.control.api}/api/v1/audit") as answer:
        entries = (await answer.json())["entries"]
    (first, *_) = [one for one in reversed(entries) if one["action"] == "plugin.ledger"]
    assert (first["who"], first["outcome"], len(first["after"]["statement"]) <= 200) == (
        "admin",
        "done",
        True,
    )


async def test_charts_tell_providers_and_methods_apart(house: House) -> None:
    await house.books.post("payment:1", sale(111_000), paid("1"))
    await house.books.post("payment:2", sale(50_000), paid("2", "xendit", "qris"))
    for by, names in (
        ("provider", ("stripe", "xendit")),
        ("provider,method", ("stripe · card", "xendit · qris")),
    ):
        status, page = await house.member.get(f"/plugins/ledger?by={by}")
        assert (status, 'id="chart-money-IDR"' in page) == (200, True)
        chart = page.split('id="chart-money-IDR"', 1)[1].split("<table", 1)[0]
        assert all(name in chart for name in names), by


async def test_strangers_see_nothing_and_names_cannot_be_forged(house: House) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{house.control.api}/plugins/ledger", allow_redirects=False) as answer:
            assert answer.status == 303
        forged = {USER: "admin", SIGNATURE: "t=1,v1=00", "Content-Type": "application/json"}
        url = f"{house.admin}/plugins/risk/rules"
        async with session.post(url, data=json.dumps({"rules": []}), headers=forged) as answer:
            assert answer.status == 403


async def test_an_origin_that_is_away_is_said_and_the_dashboard_stays(house: House) -> None:
    await house.books.origin.database.close()
    plugins = house.control.is_up.plugins
    assert plugins._settings is not None
    plugins._settings = plugins._settings.model_copy(update={"admin": "http://127.0.0.1:1"})
    status, page = await house.member.get("/plugins/ledger")
    assert (status, "the origin does not answer" in page) == (502, True)
    assert (await house.member.get("/"))[0] == 200


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("report", "/plugins/ledger/report"),
        ("a/b", "/plugins/ledger/a/b"),
        ("../../metrics", "/plugins/ledger/metrics"),
        ("..\\x?y#z", "/plugins/ledger/..%5Cx%3Fy%23z"),
        ("", "/plugins/ledger"),
    ],
)
def test_a_path_never_leaves_its_plugin(rest: str, path: str) -> None:
    assert path_of("ledger", rest, "") == path
    assert path_of("ledger", rest, "a=1") == f"{path}?a=1"
