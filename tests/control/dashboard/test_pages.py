"""The pages behind the login: what they say, what forms do, what they refuse."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import html5lib
import pytest
import pytest_asyncio

from tests.control.dashboard.looking import SITE, Member, fleet_of, logged_in, remember
from tests.control.planes import Control, controlling

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("dashboard-pages")]
PAGES = ("/", "/?range=24h", "/?range=30d", "/?range=nonsense", "/purges", "/explain")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Member]:
    async with (
        controlling(tmp_path_factory.mktemp("empty") / "control") as control,
        logged_in(control) as member,
    ):
        yield member


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def control(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Control]:
    async with controlling(tmp_path_factory.mktemp("fleet") / "control") as control:
        await remember(control, ["jakarta", "frankfurt"])
        assert (await control.ask("POST", "/sites", SITE))[0] == 201
        async with fleet_of(control, "jakarta", "frankfurt"):
            yield control


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def member(control: Control) -> AsyncIterator[Member]:
    async with logged_in(control) as member:
        yield member


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_forbids_what_it_does_not_need(member: Member, path: str) -> None:
    async with member.session.get(member.control.api + path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert response.status == 200
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [*PAGES, "/explain?url=http://shop.example/p/1"])
async def test_every_page_is_valid_html_without_an_id_twice(member: Member, empty: Member, path: str) -> None:
    for each in (member, empty):
        _, page = await each.get(path)
        tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
        ids = [element.get("id") for element in tree.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        for element in tree.iter():
            for attribute in ("for", "aria-labelledby", "aria-describedby"):
                assert element.get(attribute) is None or element.get(attribute) in ids, attribute


async def test_assets_are_served_for_ever_under_names_of_their_content(member: Member) -> None:
    _, page = await member.get("/")
    paths = set(re.findall(r'"(/assets/[0-9a-f]+/[\w.]+)', page))
    assert {path.rsplit("/", 1)[1] for path in paths} == {
        "dashboard.css", "dashboard.js", "logo.svg", "world.svg",
    }  # fmt: skip
    for path in paths:
        async with member.session.get(member.control.api + path) as response:
            assert response.status == 200
            assert "immutable" in response.headers["Cache-Control"]
    assert (await member.get("/assets/000000000000/dashboard.css"))[0] == 404
    assert (await member.get("/assets/..%2f..%2fpages.py"))[0] == 404


async def test_an_empty_control_says_what_to_do_first(empty: Member) -> None:
    _, page = await empty.get("/")
    assert "tepi node add jakarta --place Jakarta" in page
    assert "tepi site add --host shop.example" in page
    assert page.count("Nothing was counted in this time") == 6
    assert "Nothing was purged yet" in page


async def test_the_overview_shows_nodes_sites_figures_and_charts(member: Member) -> None:
    _, page = await member.get("/", Accept_Language="en")
    for word in ("jakarta", "frankfurt", "healthy", "shop.example", "http://203.0.113.80:8080", "/commerce"):
        assert word in page
    assert "Nothing was counted" not in page
    assert "96 MB" in page  # of the store
    assert re.search(r"<b>(89|90)(\.\d)?%</b>", page)
    assert page.count("<figure") == 6


async def test_the_overview_says_what_to_do_about_pages_that_are_not_shared(
    member: Member, empty: Member
) -> None:
    _, page = await member.get("/", Accept_Language="en")
    shown = page.split('id="guard"')[1].split('class="pair"')[0]
    assert re.search(
        r'<b translate="no">shop</b> [\d,.]+ times · <code translate="no">leak-guard</code>', shown
    )
    assert "Name the cookie that makes the difference" in shown
    assert "tokens-not-understood" in shown
    _, page = await member.get("/", Accept_Language="id")
    assert "Halaman yang tidak dibagikan" in page
    assert "guard-heading" not in (await empty.get("/"))[1]


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_speaks_indonesian(member: Member, path: str) -> None:
    _, page = await member.get(path, Accept_Language="id")
    assert '<html lang="id"' in page
    page = re.sub(r"<(code|pre)\b.*?</\1>|<[^>]*>", "", page, flags=re.DOTALL)
    for word in ("Skip to the content", "Overview", "Log out", "per second", "healthy", "Purge"):
        assert word not in page


async def test_a_purge_goes_out_and_its_receipts_come_in(member: Member) -> None:
    form = {"csrf": await member.csrf(), "kind": "tag", "value": "product-7", "soft": "yes", "do": "purge"}
    status, _ = await member.post("/purges", form)
    assert status == 303
    (order, *_) = await member.control.is_up.purges.recent()
    await member.control.is_up.purges.wait(order.id, 10)
    assert (order.purge.kind, order.purge.value, order.purge.soft, order.by) == (
        "tag", "product-7", True, "admin",
    )  # fmt: skip
    _, page = await member.get("/purges")
    receipt = page.split(f'id="{order.id}"')[1].split("</li>\n  <li class")[0]
    assert 'max="2" value="2"' in receipt
    assert "2 of 2" in receipt


async def test_a_dry_run_counts_and_changes_nothing(member: Member) -> None:
    before = await member.control.is_up.journal.head()
    form = {"csrf": await member.csrf(), "kind": "tag", "value": "product-8", "do": "dry-run"}
    status, page = await member.post("/purges", form, X_Tepi_Fragment="1")
    assert status == 200
    assert "6 entries would go" in page  # three a node
    assert "They hold 3 kB, and 38% of the bytes" in page
    assert page.count("38% of the hot bytes") == 2
    assert await member.control.is_up.journal.head() == before


async def test_whoever_does_not_say_purge_gets_a_dry_run(member: Member) -> None:
    before = await member.control.is_up.journal.head()
    form = {"csrf": await member.csrf(), "kind": "tag", "value": "product-9"}
    status, page = await member.post("/purges", form)
    assert status == 200
    assert "Nothing was changed" in page
    assert 'value="product-9"' in page
    assert await member.control.is_up.journal.head() == before


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("url", "", "Say what is to be purged"),
        ("url", "/no/host", "absolute URL"),
        ("prefix", "shop", "absolute URL"),
        ("everything", "x", "Choose URL"),
        ("tag", "x" * 9000, "8192"),
    ],
)
async def test_a_purge_that_makes_no_sense_is_refused_with_a_hint(
    member: Member, kind: str, value: str, said: str
) -> None:
    before = await member.control.is_up.journal.head()
    form = {"csrf": await member.csrf(), "kind": kind, "value": value, "do": "purge"}
    status, page = await member.post("/purges", form)
    assert status == 422
    assert said in page
    assert await member.control.is_up.journal.head() == before


@pytest.mark.parametrize("csrf", [None, "", "wrong", "ü"])
async def test_a_form_without_the_sessions_token_does_nothing(member: Member, csrf: str | None) -> None:
    before = await member.control.is_up.journal.head()
    form = {"kind": "site", "value": "shop", "do": "purge"} | ({} if csrf is None else {"csrf": csrf})
    assert (await member.post("/purges", form))[0] == 403
    assert await member.control.is_up.journal.head() == before


async def test_an_explanation_shows_steps_variants_and_advice(member: Member) -> None:
    status, page = await member.get("/explain?url=http://shop.example/p/1&node=jakarta", Accept_Language="en")
    assert status == 200
    for word in (
        "To be revalidated",
        "the stored answer is stale",
        "18.4 kB",
        "s-maxage",
        "product-kopi-gayo",
    ):
        assert word in page
    assert "longer lifetime" in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("url=nonsense", "could not explain"),
        ("url=http://shop.example/&node=atlantis", "atlantis is not connected"),
    ],
)
async def test_what_cannot_be_explained_is_told(member: Member, query: str, said: str) -> None:
    status, page = await member.get(f"/explain?{query}", Accept_Language="en")
    assert status == 422
    assert said in page


async def test_without_a_node_nobody_can_be_asked_why(empty: Member) -> None:
    status, page = await empty.get("/explain?url=http://shop.example/", Accept_Language="en")
    assert status == 422
    assert "nobody to ask" in page


async def test_what_others_wrote_is_shown_as_text(member: Member) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    form = {"csrf": await member.csrf(), "kind": "tag", "value": nasty, "do": "purge"}
    await member.post("/purges", form)
    for path in ("/", "/purges", f"/explain?url={nasty}"):
        _, page = await member.get(path)
        assert nasty not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page


async def test_a_strange_zone_in_a_cookie_does_no_harm(member: Member) -> None:
    for zone in ("Asia.Jakarta", "../../etc/passwd", "x" * 5000, "Europe", ""):
        status, _ = await member.get("/", Cookie=f"tepi_zone={zone}; {cookies(member)}")
        assert status == 200, zone[:20]


def cookies(member: Member) -> str:
    return "; ".join(f"{cookie.key}={cookie.value}" for cookie in member.session.cookie_jar)
