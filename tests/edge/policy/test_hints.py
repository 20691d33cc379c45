"""Early hints: to whom, of what, and which links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.http.message import NO_FIELDS, Fields
from edge.policy.entry import Entry
from edge.policy.hints import LONGEST, MOST, early_hints, hinted
from edge.policy.reasons import RevalidateReason
from edge.policy.rules import SiteRules
from tests.edge.policy.made import fields, stored
from tests.edge.stage import make_request

RULES = SiteRules("shop")
OPENING = {"Sec-Fetch-Mode": "navigate"}


def page_of(**words: str) -> Entry:
    return stored(fields(**words))


PAGE = page_of(cache_control="max-age=60", link="</a.css>; rel=preload; as=style")


WAITING = make_request(fields=OPENING)


def may(request=WAITING, page=PAGE, reason=RevalidateReason.STALE, rules=RULES) -> bool:  # type: ignore[no-untyped-def]
    return early_hints(request, page, reason, rules)


@pytest.mark.parametrize(
    "reason", [RevalidateReason.STALE, RevalidateReason.NO_CACHE, RevalidateReason.REQUEST]
)
def test_a_browser_that_opens_a_page_and_has_to_wait_gets_them(reason: RevalidateReason) -> None:
    assert may(reason=reason)


@pytest.mark.parametrize(
    "fields",
    [{}, {"Sec-Fetch-Mode": "no-cors"}, {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "navigate, cors"}],
)
def test_nobody_else_does(fields: dict[str, str]) -> None:
    assert not may(make_request(fields=fields))


def test_neither_other_methods_nor_http_1_0_nor_a_site_that_wants_none() -> None:
    assert not may(make_request(fields=OPENING, method="HEAD"))
    assert not may(make_request(fields=OPENING, version="1.0"))
    assert not may(rules=SiteRules("shop", early_hints=False))


def test_what_a_purge_has_struck_is_not_hinted_at() -> None:
    assert not may(reason=RevalidateReason.DISTRUSTED)
    assert not may(page=replace(PAGE, freshness=PAGE.freshness.expired_at(1.0)))


def test_only_pages_that_link_to_something() -> None:
    assert not may(page=page_of(cache_control="max-age=60"))
    assert not may(page=replace(PAGE, status=404))


@pytest.mark.parametrize(
    ("links", "kept"),
    [
        (["</a.css>; rel=preload; as=style"], ["</a.css>; rel=preload; as=style"]),
        (
            ["</a>; rel=next, </b>; rel=Preload", "<//c>; rel=preconnect"],
            ["</b>; rel=Preload", "<//c>; rel=preconnect"],
        ),
        (['</m.js>; rel="modulepreload"; nonce=x'], ['</m.js>; rel="modulepreload"; nonce=x']),
        (['</a>; rel="preload preconnect"'], ['</a>; rel="preload preconnect"']),
        (['</a>; rel="preload stylesheet"'], []),
        (["</a>; rel=prefetch", "</a>; rel=dns-prefetch", "</a>; rel=canonical", "</a>"], []),
        (["</a>; rel=preload; anchor=/b"], []),
        (["nonsense"], []),
        ([], []),
    ],
)
def test_only_links_that_a_browser_may_follow_before_it_knows_the_answer(
    links: list[str], kept: list[str]
) -> None:
    found = hinted(Fields([("Link", line) for line in links] + [("Set-Cookie", "a=b")]))
    assert found == Fields(("Link", line) for line in kept)


def test_their_number_and_length_are_bounded() -> None:
    many = hinted(Fields([("Link", ", ".join(f"</{number}>; rel=preload" for number in range(200)))]))
    assert len(many) == MOST
    long = [f"</{'x' * 1000}{number}>; rel=preload" for number in range(10)]
    assert sum(len(value) for _, value in hinted(Fields(("Link", line) for line in long))) <= LONGEST
    assert hinted(Fields([("Link", f"</{'x' * LONGEST}>; rel=preload")])) is NO_FIELDS
