"""Orders in the dashboard: a real shop, a provider that is a server of its own, control, and a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import html5lib
import pytest

from tests.control.dashboard.looking import browsing
from tests.control.dashboard.test_browser import DESK, PHONE, judged, looking
from tests.control.dashboard.test_people import PASSWORD, csrf, member
from tests.control.planes import Control, controlling
from tests.origin.checkout.sandboxes import Market, market, wiring

SECRET = "a secret of the two"
ROLES = ("viewer", "operator", "admin")


@dataclass(slots=True)
class House:
    """A shop with one paid order, and a control plane that shows it."""

    control: Control
    shop: Market
    order: str

    @property
    def path(self) -> str:
        return f"/plugins/checkout/orders/{self.order}"

    async def people(self, **permissions: str) -> None:
        """A person of each role, named by it, while `permissions` are set so."""
        plugins = self.control.is_up.plugins
        assert plugins._settings is not None
        named = {name.replace("_", "."): role for name, role in permissions.items()}
        plugins._settings = plugins._settings.model_copy(update={"permissions": named})
        for role in ROLES:
            name = f"a-{role}"
            body = {"name": name, "password": PASSWORD, "role": role}
            assert (await self.control.ask("POST", "/users", body))[0] == 201

    async def refunded(self) -> int:
        return int((await self.shop.till.session(self.order))["refunded"])


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    secret = tmp_path / "pages-secret"
    secret.write_text(SECRET)
    async with market(tmp_path, replace(wiring(), pages_secret=SECRET)) as shop:
        order = await shop.buy(email="budi@example.com")
        await shop.becomes(order, "paid")
        table = {"admin": f"http://{shop.till.bound.admin}", "pages_secret": f"file:{secret}"}
        async with controlling(tmp_path / "control", origin=table) as control:
            await control.is_up.plugins.look()
            yield House(control, shop, order)


@pytest.mark.parametrize(
    ("permissions", "see", "move"),
    [
        pytest.param({}, ROLES, ("operator", "admin"), id="as-they-come"),
        pytest.param(
            {"checkout_orders": "operator", "checkout_money": "admin"}, ("operator", "admin"), ("admin",),
            id="narrowed",
        ),
        pytest.param({"checkout_money": "viewer"}, ROLES, ROLES, id="widened"),
    ],
)  # fmt: skip
async def test_each_role_sees_and_moves_what_the_permissions_say(
    house: House, permissions: dict[str, str], see: tuple[str, ...], move: tuple[str, ...]
) -> None:
    await house.people(**permissions)
    given = 0
    for role in ROLES:
        async with member(house.control, f"a-{role}") as one:
            front = await one.get("/")
            assert ('href="/plugins/checkout"' in front[1]) == (role in see), role
            for path in ("/plugins/checkout", house.path, "/plugins/checkout/orders?as=csv"):
                assert (await one.get(path))[0] == (200 if role in see else 403), (role, path)
            form = {"csrf": await csrf(one), "do": "refund", "amount": "1000", "attempt": role}
            status, _ = await one.post(f"{house.path}/do", {**form, "back": house.path})
            assert status == (303 if role in move else 403), role
            given += 100_000 * (role in move)
            assert await house.refunded() == given
    _, told = await house.control.ask("GET", "/audit")
    entries = [one for one in told["entries"] if one["action"] == "plugin.checkout"]
    assert [one["who"] for one in reversed(entries)] == [f"a-{role}" for role in move]
    assert all(one["after"]["amount"] == "1000" and "csrf" not in one["after"] for one in entries)


async def test_who_has_a_site_alone_sees_no_order(house: House) -> None:
    body = {"name": "siti", "password": PASSWORD, "role": "operator", "sites": ["shop"]}
    site = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}
    assert (await house.control.ask("POST", "/sites", site))[0] == 201
    assert (await house.control.ask("POST", "/users", body))[0] == 201
    async with member(house.control, "siti") as siti:
        assert (await siti.get("/plugins/checkout"))[0] == 403
        form = {"csrf": await csrf(siti), "do": "refund", "attempt": "a"}
        assert (await siti.post(f"{house.path}/do", form))[0] == 403
    assert await house.refunded() == 0


async def test_a_refused_form_says_why_and_moves_nothing(house: House) -> None:
    await house.people()
    async with member(house.control, "a-admin") as admin:
        form = {"csrf": await csrf(admin), "do": "refund", "attempt": "a", "amount": "999999999"}
        status, page = await admin.post(f"{house.path}/do", form)
        assert (status, "amount: got" in page, 'role="alert"' in page) == (422, True, True)
        status, page = await admin.post(f"{house.path}/do", {**form, "do": "cancel", "amount": ""})
        assert (status, "the session is paid" in page) == (409, True)
        assert (await admin.post(f"{house.path}/nothing", form))[0] == 404
        assert (await admin.post(f"{house.path}/do", {**form, "csrf": ""}))[0] == 403
        for path in ("/plugins/checkout", house.path, "/plugins/checkout/orphans"):
            html5lib.HTMLParser(strict=True).parse((await admin.get(path))[1])
    assert await house.refunded() == 0


@pytest.mark.xdist_group("dashboard-browser")
@pytest.mark.parametrize(
    ("locale", "orders", "refund"),
    [("en-GB", "Orders", "Give money back"), ("id-ID", "Pesanan", "Kembalikan dana")],
)
async def test_an_order_is_found_and_its_money_given_back_in_a_browser(
    house: House, locale: str, orders: str, refund: str
) -> None:
    async with browsing() as browser:
        for size in (DESK, PHONE):
            async with looking(browser, house.control, size, locale=locale) as tab:
                for path in ("/plugins/checkout", house.path, "/plugins/checkout/orphans"):
                    await tab.goto(house.control.api + path)
                    assert await judged(tab) == [], path
                    width = await tab.evaluate("document.documentElement.scrollWidth")
                    assert width <= size[0], "the page is as wide as the screen"
        async with looking(browser, house.control, locale=locale) as tab:
            await tab.get_by_role("link", name=orders, exact=True).click()
            await tab.locator("input[name=q]").fill("budi@example.com")
            await tab.keyboard.press("Enter")
            await tab.get_by_role("link", name=house.order).click()
            await tab.locator("#refund-amount").fill("50000")
            await tab.get_by_role("button", name=refund).click()
            await tab.wait_for_url(re.compile(re.escape(house.path) + "$"))
            assert await house.refunded() == 5_000_000
