"""The shop over real sockets: what its pages say of their caching, its basket, its changes."""

from __future__ import annotations

import json
import re
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from origin.contract import Plugin
from origin.storefront.commands import product
from origin.storefront.plugin import Storefront
from tests.origin.storefront.shop import SAME, Visit, every_page, open_shop

GAYO = "KOP-GAYO-250"


def test_the_shop_is_a_plugin_like_any_other() -> None:
    assert isinstance(Storefront(), Plugin)


# What pages say of their caching ----------------------------------------------------------------


async def test_shared_pages_say_how_long_how_to_check_and_under_which_tags(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in ("/", "/c/kopi", "/p/kopi-gayo", "/search?q=kopi"):
            page = await visit.get(path)
            assert page.status == 200
            assert page.fields["Cache-Control"] == (
                "public, max-age=0, s-maxage=600, stale-while-revalidate=60, stale-if-error=86400"
            )
            assert "Vary" not in page.fields, "it is the same for everybody"
            assert not page.cookies
            again = await visit.get(path, **{"If-None-Match": page.fields["ETag"]})
            assert (again.status, again.body) == (304, "")


async def test_a_products_tag_is_on_its_page_and_on_each_page_that_shows_it(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        tag = "product-kopi-gayo"
        for path in every_page(visit):
            page = await visit.get(path)
            if page.fields["Cache-Control"].startswith("public"):
                assert (tag in page.tags) == ("/p/kopi-gayo" in page.body), path
        assert "page-home" in (await visit.get("/")).tags
        assert "page-category-kopi" in (await visit.get("/c/kopi")).tags


async def test_each_tag_fits_into_the_field(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in every_page(visit):
            page = await visit.get(path)
            assert all(re.fullmatch(r"[a-z0-9-]+", tag) for tag in page.tags), path
            assert len(page.fields.get("Cache-Tag", "")) < 2_000


async def test_a_page_for_a_visitor_who_has_a_basket_is_the_page_for_all(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        before = await visit.get("/p/kopi-gayo")
        await visit.post("/basket", {"sku": GAYO, "add": "2"})
        after = await visit.get("/p/kopi-gayo")
        assert (before.body, before.fields["ETag"]) == (after.body, after.fields["ETag"])


async def test_last_modified_is_of_the_last_change(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        first = (await visit.get("/p/kopi-gayo")).fields["Last-Modified"]
        visit.clock.now += 3_600
        assert (await visit.get("/p/kopi-gayo")).fields["Last-Modified"] == first
        await visit.store.set_price(GAYO, (await visit.store.offers())[1].price)
        changed = await visit.get("/p/kopi-gayo", **{"If-Modified-Since": first})
        assert changed.status == 200
        assert changed.fields["Last-Modified"] != first


async def test_files_have_their_hash_in_their_name_and_never_change(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        page = await visit.get("/")
        files = set(re.findall(r'"(/static/[^"]+)"', page.body))
        assert {Path(name).suffix for name in files} == {".css", ".js", ".svg"}
        for name in files:
            file = await visit.get(name)
            assert file.status == 200
            assert file.fields["Cache-Control"] == "public, max-age=31536000, s-maxage=31536000, immutable"
            assert re.search(r"\.[0-9a-f]{10}\.", name)
            assert file.fields["X-Content-Type-Options"] == "nosniff"
        assert (await visit.get("/static/shop.css")).status == 404
        assert (await visit.get("/static/../plugin.py")).status == 404
        assert (await visit.get("/static/%2e%2e/plugin.py")).status == 404


async def test_what_is_not_there_is_404_for_a_while_in_the_visitors_language(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in ("/nope", "/p/nope", "/c/nope", "/en/p/nope", "/en/nope/deep"):
            page = await visit.get(path)
            assert (page.status, page.fields["Cache-Control"]) == (404, "public, max-age=0, s-maxage=30")
            assert f'lang="{"en" if path.startswith("/en/") else "id"}"' in page.body


async def test_pages_bring_everything_themselves_and_say_so(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in ("/", "/basket", "/nope"):
            policy = (await visit.get(path)).fields["Content-Security-Policy"]
            assert policy.startswith("default-src 'none';")
            assert "unsafe" not in policy


async def test_what_a_visitor_typed_is_text_not_markup(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        page = await visit.get("/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        assert page.status == 200
        assert "<script>alert" not in page.body
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.body
        assert (await visit.get("/search?q=" + "x" * 5_000)).status == 200


async def test_the_lifetime_of_pages_is_a_setting(tmp_path: Path) -> None:
    async with open_shop(tmp_path, tables={"storefront": {"seconds": 5}}) as visit:
        assert "s-maxage=5," in (await visit.get("/")).fields["Cache-Control"]


# The product as JSON ----------------------------------------------------------------------------


async def test_the_products_page_asks_for_its_stock_as_json(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await visit.store.set_stock(GAYO, 3)
        page = await visit.get("/p/kopi-gayo")
        asked = re.search(r'data-stock="([^"]+)"', page.body)
        assert asked is not None
        assert asked[1] == "/commerce/storefront/products/kopi-gayo"
        answer = await visit.get(asked[1])
        assert json.loads(answer.body) == {
            "sku": GAYO,
            "price": {"minor": 8_500_000, "currency": "IDR"},
            "availability": "low",
            "stock": 3,
        }
        assert (answer.tags, answer.fields["Cache-Control"]) == (
            {"product-kopi-gayo"},
            "public, max-age=0, s-maxage=5",
        )
        assert "3" not in re.sub(
            "[^0-9]", "", page.body.split("data-stock")[1].split("</p>")[0].split(">", 1)[1]
        )
        assert (await visit.get("/commerce/storefront/products/nope")).status == 404


async def test_the_json_route_follows_the_operators_prefix(tmp_path: Path) -> None:
    async with open_shop(tmp_path, prefix="/toko/api") as visit:
        assert (
            'data-stock="/toko/api/storefront/products/kopi-gayo"' in (await visit.get("/p/kopi-gayo")).body
        )
        assert (await visit.get("/toko/api/storefront/products/kopi-gayo")).status == 200


# The basket -------------------------------------------------------------------------------------


async def lines(visit: Visit) -> dict[str, int]:
    body = (await visit.get("/basket")).body
    found = re.findall(r'name="sku" value="([^"]+)">\s*<label.*?name="set"[^>]*value="(\d+)"', body, re.S)
    return {sku: int(count) for sku, count in found}


async def test_things_are_put_in_counted_changed_and_taken_out(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        added = await visit.post("/basket", {"sku": GAYO, "add": "2"})
        assert (added.status, added.fields["Location"]) == (303, "/basket")
        await visit.post("/basket", {"sku": GAYO, "add": "1"})
        await visit.post("/en/basket", {"sku": "KOP-TORA-250", "add": "1"})
        assert await lines(visit) == {GAYO: 3, "KOP-TORA-250": 1}
        assert "Rp\N{NO-BREAK SPACE}347.000" in (await visit.get("/basket")).body
        await visit.post("/basket", {"sku": GAYO, "set": "1"})
        await visit.post("/basket", {"sku": "KOP-TORA-250", "set": "0"})
        assert await lines(visit) == {GAYO: 1}
        gone = await visit.post("/basket", {"sku": GAYO, "set": "0"})
        assert all("Max-Age=0" in cookie for cookie in gone.cookies)
        assert await lines(visit) == {}
        assert "Keranjang masih kosong." in (await visit.get("/basket")).body


async def test_the_basket_is_the_visitors_own(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for page in (await visit.get("/basket"), await visit.post("/basket", {"sku": GAYO, "add": "1"})):
            assert page.fields["Cache-Control"] == "private, no-store"
            assert "ETag" not in page.fields


async def test_a_forged_basket_is_empty(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await visit.post("/basket", {"sku": GAYO, "add": "1"})
        real = next(iter(SimpleCookie(f"warung_basket={cookie_of(visit)}").values())).value
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for value in (real[:-1] + "0", real.replace(".", ""), "x.y", "%ff.%ff", "\udcff.\udcff"):
                async with session.get(
                    f"http://{visit.bound.plain}/basket", headers={"Cookie": f"warung_basket={value}"}
                ) as response:
                    assert response.status == 200
                    assert "Keranjang masih kosong." in await response.text(), value


def cookie_of(visit: Visit) -> str:
    return next(cookie.value for cookie in visit.session.cookie_jar if cookie.key == "warung_basket")


@pytest.mark.parametrize("count", ["100", "-1", "1.5", "x", "", "٣", "99999999999"])
async def test_a_quantity_that_is_none_is_refused_with_a_sentence(tmp_path: Path, count: str) -> None:
    async with open_shop(tmp_path) as visit:
        page = await visit.post("/basket", {"sku": GAYO, "set": count})
        assert page.status == 422
        assert 'role="alert">Jumlahnya harus bilangan dari 0 sampai 99.' in page.body
        assert await lines(visit) == {}


async def test_more_than_can_be_in_a_basket_stays_at_the_most(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await visit.post("/basket", {"sku": GAYO, "add": "90"})
        await visit.post("/basket", {"sku": GAYO, "add": "90"})
        assert await lines(visit) == {GAYO: 99}


async def test_what_the_shop_does_not_have_cannot_be_put_in(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        assert (await visit.post("/basket", {"sku": "NO", "add": "1"})).status == 404
        assert (await visit.post("/basket", {})).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="another-site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="a-neighbour"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="typed"),
        pytest.param({"Origin": "https://evil.example"}, id="older-browser"),
        pytest.param({"Origin": "null"}, id="sandboxed"),
        pytest.param({"Origin": "http://["}, id="nonsense"),
        pytest.param(
            {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}, id="claimed-host"
        ),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "{own}"}, id="the-newer-word-counts"),
    ],
)
async def test_a_form_from_elsewhere_changes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    async with open_shop(tmp_path) as visit:
        own = f"http://{visit.bound.plain}"
        sent = {name: value.format(own=own) for name, value in headers.items()}
        page = await visit.post("/basket", {"sku": GAYO, "add": "1"}, sent)
        assert (page.status, page.cookies) == (403, ())
        assert await lines(visit) == {}


async def test_a_form_of_the_shop_from_an_older_browser_is_taken(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for origin in (f"http://{visit.bound.plain}", f"https://{visit.bound.plain}"):
            page = await visit.post("/basket", {"sku": GAYO, "add": "1"}, {"Origin": origin})
            assert page.status == 303


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "application/json",
        "application/x-www-form-urlencoded; charset=nonsense",
        "text/plain",
        "x",
    ],
)
async def test_a_form_of_another_kind_is_no_failure(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_shop(tmp_path) as visit:
        page = await visit.post("/basket", b"sku=%ff\xff&add=1", SAME | {"Content-Type": kind})
        assert page.status == 404
    assert "failed" not in caplog.text


async def test_cookies_are_secure_where_the_visitor_came_by_https(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        plain = await visit.post("/basket", {"sku": GAYO, "add": "1"})
        secure = await visit.post("/basket", {"sku": GAYO, "add": "1"}, SAME | {"X-Forwarded-Proto": "https"})
        assert all("; Secure" not in cookie for cookie in plain.cookies)
        assert all(cookie.endswith("; Secure") for cookie in secure.cookies)


# Prices and stock -------------------------------------------------------------------------------


async def test_the_shopkeeper_changes_a_price_and_the_page_and_the_purge_follow(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        answer = await visit.admin(f"/products/{GAYO}", {"price": 91_000})
        assert answer.status == 200
        assert json.loads(answer.body)["price"] == {"minor": 9_100_000, "currency": "IDR"}
        assert "Rp\N{NO-BREAK SPACE}91.000" in (await visit.get("/p/kopi-gayo")).body
        assert await visit.purged() == ["product-kopi-gayo"]


async def test_what_is_sold_out_says_so_everywhere_and_cannot_be_put_in_from_its_page(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await visit.admin(f"/products/{GAYO}", {"stock": 0})
        page = (await visit.get("/p/kopi-gayo")).body
        assert '<span class="stock out">Habis</span>' in page
        assert re.search(r'<button class="call" disabled>', page)
        assert '<span class="stock out">Sold out</span>' in (await visit.get("/en/c/kopi")).body


@pytest.mark.parametrize(
    ("path", "change", "status", "detail"),
    [
        ("/products/NO", {"price": 1}, 404, "sku: got 'NO'"),
        (f"/products/{GAYO}", {"price": -1}, 422, "price: "),
        (f"/products/{GAYO}", {"price": 1.5}, 422, "price: "),
        (f"/products/{GAYO}", {"price": 10**11}, 422, "price: "),
        (f"/products/{GAYO}", {"stock": "many"}, 422, "stock: "),
        (f"/products/{GAYO}", {"colour": "red"}, 422, "colour: "),
        (f"/products/{GAYO}", [], 422, "document: "),
    ],
)
async def test_a_change_that_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, path: str, change: object, status: int, detail: str
) -> None:
    async with open_shop(tmp_path) as visit:
        answer = await visit.admin(path, change)
        assert answer.status == status
        assert json.loads(answer.body)["detail"].startswith(detail)
        assert await visit.purged() == []


async def test_prices_are_not_changed_at_the_shops_own_listener(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in (f"/products/{GAYO}", f"/plugins/storefront/products/{GAYO}"):
            page = await visit.post(path, b'{"price": 1}', {"Content-Type": "application/json"})
            assert page.status in (404, 405)
        assert await visit.purged() == []


def test_the_commands_refuse_what_cannot_be() -> None:
    for words in (["set-price", GAYO, "-5"], ["set-price", GAYO], ["set-stock", GAYO, "x"], ["nothing"]):
        assert CliRunner().invoke(product, words).exit_code == 2
    result = CliRunner().invoke(product, ["list", "--admin", "file:///etc/passwd"])
    assert (result.exit_code, "expected http://HOST:PORT" in result.output) == (2, True)
