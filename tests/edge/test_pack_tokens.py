"""Each pack knows the tokens in pages as its shop system writes them, and leaves none that looks like one."""

from __future__ import annotations

import itertools

import pytest

from control.sites import parse_site
from edge.http.message import Answer, Request
from edge.policy.rules import SiteRules
from edge.policy.suspects import suspects
from edge.policy.tokens import find, mask
from tests.edge.stage import Stage, answer
from tests.edge.test_pack_samples import BROWSER

T64 = "JoK6IMpWZ9U5WZO3ucWNxRevvzGKzQobmgocec37zmP4aE2XmUdZS8I9xHIZSKsC"
T40 = "nYb3eGmT5vQ0sKp9wXr7LdZa2HcUj8FtB6iR1oE4"
PAGES = {
    "django": [
        f'<input type="hidden" name="csrfmiddlewaretoken" value="{T64}">',
        f"<script>const csrfToken = '{T64}';</script>",
        f'<script>var oscar = {{"csrf_token": "{T64}"}}</script>',
    ],
    "laravel": [
        f'<meta name="csrf-token" content="{T40}">',
        f'<input type="hidden" name="_token" value="{T40}" autocomplete="off">',
        f'<script>window.shop = {{"_token": "{T40}"}}</script>',
    ],
    "magento": [
        '<input name="form_key" type="hidden" value="Hq3Zp8WnXk1YtL5c" />',
        "<script>var FORM = {form_key: 'Hq3Zp8WnXk1YtL5c'}</script>",
    ],
    "prestashop": [
        '<script>var prestashop = {"static_token":"0f8c2b7e6d1a4f39b5c8e7d6a1b2c3d4","token":'
        '"a8c2b7e6d1a4f39b5c8e7d6a1b2c3d4f"};</script>',
        '<input type="hidden" name="token" value="0f8c2b7e6d1a4f39b5c8e7d6a1b2c3d4">',
        '<a href="/cart?add=1&amp;token=0f8c2b7e6d1a4f39b5c8e7d6a1b2c3d4">buy</a>',
    ],
    "woocommerce": [
        '<input type="hidden" id="_wpnonce" name="_wpnonce" value="5ffe8e2d2e" />',
        '<input type="hidden" id="n" name="woocommerce-login-nonce" value="5ffe8e2d2e" />',
        '<script>var wpApiSettings = {"root":"\\/wp-json\\/","nonce":"5ffe8e2d2e"};</script>',
        '<script>var wc_checkout_params = {"update_order_review_nonce":"5ffe8e2d2e"};</script>',
        "<script>var wcBlocksMiddlewareConfig = { storeApiNonce: '5ffe8e2d2e',"
        " wcStoreApiNonceTimestamp: '1706112000' };</script>",
        '<div data-nonce="5ffe8e2d2e">',
        '<a href="/?action=x&amp;_wpnonce=5ffe8e2d2e">x</a>',
    ],
    "hydrogen": [
        '<script nonce="b64d4c2a9c3b4b6e8f0a1d2e3f4a5b6c">1</script>',
        '<script>window.__context = {"nonce":"b64d4c2a9c3b4b6e8f0a1d2e3f4a5b6c"}</script>',
    ],
}  # fmt: skip


def rules(platform: str, **more: object) -> SiteRules:
    site = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:1"}]}
    return parse_site({**site, "platform": platform, **more}).rules()


@pytest.mark.parametrize(
    ("platform", "page"), [(name, page) for name, pages in PAGES.items() for page in pages]
)
def test_no_token_is_left_that_no_rule_knows(platform: str, page: str) -> None:
    pages = rules(platform).classes.pages
    assert pages is not None
    tokens = find(page.encode(), pages.tokens)
    assert tokens
    left = b"".join(piece for piece in mask(page.encode(), tokens) if isinstance(piece, bytes))
    assert suspects(left) == ()


@pytest.mark.parametrize("platform", ["hydrogen", "woocommerce"])
async def test_a_page_whose_random_values_are_common_is_shared(platform: str) -> None:
    serial = itertools.count(0x5FFE8E2D2E)

    def script(request: Request) -> Answer:
        number = next(serial)
        value = f"{number:032x}" if platform == "hydrogen" else f"{number:010x}"
        made = "".join(PAGES[platform]).replace("b64d4c2a9c3b4b6e8f0a1d2e3f4a5b6c", value)
        return answer(body=f"<body>{made.replace('5ffe8e2d2e', value)}".encode(), content_type="text/html")

    shop = Stage(script, rules(platform))
    await shop.ask("/products/kopi", BROWSER)
    assert (await shop.ask("/products/kopi", BROWSER)).verdict == "hit"
