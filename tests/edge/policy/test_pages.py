"""Pages as nobody in particular sees them: what is asked, what everybody may have, who is marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.cookies import MARKER, cookies, without_cookie
from edge.http.message import Fields, Request
from edge.policy.freshness import Freshness
from edge.policy.pages import as_page, marker, marks, nobodys, not_a_browsers, ungiven
from edge.policy.patterns import NOTHING, Patterns
from edge.policy.reasons import NotStored
from edge.policy.rules import PAGE_TYPES, PageRules
from tests.edge.policy.made import judged
from tests.edge.stage import make_request

RULE = PageRules(seconds=300, despite_paths=Patterns(("/c/*",)), despite_query=Patterns(("page",)))
BROWSER = {
    "Host": "shop.test",
    "User-Agent": "Mozilla/5.0",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Accept-Language": "de",
    "Sec-Fetch-Mode": "navigate",
    "Sec-CH-UA-Mobile": "?0",
    "Upgrade-Insecure-Requests": "1",
}


def html(*lines: tuple[str, str], **words: str) -> Fields:
    named = ((name.replace("_", "-"), value) for name, value in words.items())
    return Fields([("Content-Type", "text/html; charset=utf-8"), *named, *lines])


def kept(fields: Fields, target: str = "/p/1", status: int = 200, rule: PageRules = RULE) -> object:
    """The lifetime under which an anonymous answer is kept, or why it is not."""
    request = make_request(target)
    shared = as_page(rule, request, status, fields)
    if isinstance(shared, NotStored):
        return shared
    fresh = judged(shared, request=request, status=status)
    return fresh.lifetime if isinstance(fresh, Freshness) else fresh


# What is asked ------------------------------------------------------------------------------------


def test_nobody_bears_cookies_but_those_of_the_key() -> None:
    lines = BROWSER | {
        "Cookie": f"sid=1; language=de; _ga=2; currency=EUR; {MARKER}=1",
        "Referer": "https://mail.example/inbox/ani",
        "X-Forwarded-For": "192.0.2.7",
    }
    sent = nobodys(Fields(lines.items()), Patterns(("currency", "language", "tepi*")), ())
    assert sent.get("cookie") == "currency=EUR; language=de"
    assert sent.get("accept-language") == "de"
    assert sent.get("sec-ch-ua-mobile") == "?0"
    assert "referer" not in sent
    assert "x-forwarded-for" not in sent
    assert nobodys(Fields(lines.items()), NOTHING, ()).get("cookie") is None
    assert nobodys(Fields([("Store", "de"), ("X-Odd", "1")]), NOTHING, ("store",)).lines == (("Store", "de"),)


@pytest.mark.parametrize(
    ("lines", "odd"),
    [
        ({}, None),
        ({"X-Forwarded-For": "192.0.2.7", "CF-Ray": "1", "traceparent": "00-1-2-01"}, None),
        ({"X-Requested-With": "com.instagram.android"}, None),
        ({"X-Requested-With": "XMLHttpRequest"}, "x-requested-with"),
        ({"Authorization": "Basic YTpi"}, "authorization"),
        ({"sw-context-token": "abc"}, "sw-context-token"),
        ({"X-Host": "evil.example"}, "x-host"),
        ({"Accept": "application/json, text/plain, */*"}, "accept"),
        ({"RSC": "1"}, "rsc"),
        ({"Store": "de"}, None),
    ],
)
def test_a_script_or_a_bearer_of_credentials_is_not_nobody(lines: dict[str, str], odd: str | None) -> None:
    assert not_a_browsers(Fields((BROWSER | lines).items()), ("store",), PAGE_TYPES) == odd


def test_data_are_pages_where_the_site_says_so() -> None:
    wants = Fields([("Accept", "application/json")])
    assert not_a_browsers(wants, (), Patterns(("application/json",))) is None
    assert not_a_browsers(wants, ("accept",), PAGE_TYPES) is None


NAMES = st.sampled_from(
    ["Cookie", "Authorization", "X-Session", "Accept", "User-Agent", "Referer", "From", "X-Token", "Store"]
)


@given(st.lists(st.tuples(NAMES, st.text("abc=; ", max_size=12)), max_size=8))
def test_whoever_asks_the_same_is_asked_for(lines: list[tuple[str, str]]) -> None:
    sent = nobodys(Fields(lines), Patterns(("a",)), ())
    assert set(sent.names()) <= {"accept", "user-agent", "cookie"}
    assert {name for name, _ in cookies(sent)} <= {"a"}
    assert nobodys(sent, Patterns(("a",)), ()) == sent


# What everybody may have --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "target", "lifetime"),
    [
        pytest.param(html(Set_Cookie="sid=1", Vary="Cookie"), "/p/1", 300, id="cookies-and-no-lifetime"),
        pytest.param(html(Cache_Control="max-age=60"), "/p/1", 60, id="its-own-lifetime"),
        pytest.param(html(Cache_Control="public"), "/p/1", 300, id="public-alone"),
        pytest.param(html(Cache_Control="no-store"), "/p/1", NotStored.NO_STORE, id="no-store-holds"),
        pytest.param(html(Cache_Control="no-cache, private"), "/p/1", NotStored.PRIVATE, id="private-holds"),
        pytest.param(html(Cache_Control="no-cache"), "/p/1", NotStored.NO_FRESHNESS, id="no-cache-holds"),
        pytest.param(html(Cache_Control="no-store"), "/c/tea", 300, id="a-habit-by-path"),
        pytest.param(html(Cache_Control="no-cache, private"), "/c/tea", 300, id="laravels-habit"),
        pytest.param(html(Cache_Control="no-store"), "/search?page=2", 300, id="a-habit-by-query"),
        pytest.param(html(Cache_Control="no-store"), "/search?q=page", NotStored.NO_STORE, id="not-by-value"),
        pytest.param(
            html(
                Expires="Thu, 19 Nov 1981 08:52:00 GMT",
                Cache_Control="no-store, no-cache, must-revalidate",
                Pragma="no-cache",
            ),
            "/c/tea",
            300,
            id="phps-habit",
        ),
        pytest.param(html(Cache_Control="max-age=0"), "/c/tea", 300, id="no-lifetime-is-a-habit-too"),
        pytest.param(html(Cache_Control="max-age=60"), "/c/tea", 60, id="a-lifetime-is-no-habit"),
        pytest.param(
            html(CDN_Cache_Control="no-store"), "/c/tea", NotStored.NO_STORE, id="a-word-to-caches-holds"
        ),
        pytest.param(
            html(CDN_Cache_Control="max-age=9", Cache_Control="no-store", Set_Cookie="a=1"), "/p/1", 9,
            id="a-word-to-caches-is-heard",
        ),
        pytest.param(html(Vary="*"), "/c/tea", NotStored.VARY_STAR, id="vary-star"),
        pytest.param(
            Fields([("Content-Type", "application/json"), ("Set-Cookie", "csrf=1")]), "/c/tea",
            NotStored.SET_COOKIE, id="what-is-no-page-keeps-its-cookies",
        ),
        pytest.param(
            Fields([("Content-Type", "application/json"), ("Cache-Control", "no-store")]), "/c/tea",
            NotStored.NO_STORE, id="what-is-no-page-has-no-habits",
        ),
        pytest.param(
            Fields([("Content-Type", "application/json"), ("Cache-Control", "max-age=5")]), "/api", 5,
            id="what-is-no-page-as-rfc-9111-has-it",
        ),
    ],
)  # fmt: skip
def test_how_long_an_anonymous_answer_lasts(fields: Fields, target: str, lifetime: object) -> None:
    assert kept(fields, target) == lifetime


@pytest.mark.parametrize(
    ("status", "lifetime"),
    [
        (200, 300), (404, 300), (410, 300),
        (401, NotStored.SET_COOKIE), (403, NotStored.SET_COOKIE), (429, NotStored.SET_COOKIE),
        (500, NotStored.SET_COOKIE), (503, NotStored.SET_COOKIE), (206, NotStored.PARTIAL),
    ],
)  # fmt: skip
def test_only_some_answers_are_pages(status: int, lifetime: object) -> None:
    assert kept(html(Set_Cookie="sid=1"), status=status) == lifetime


@pytest.mark.parametrize(
    ("status", "location", "set_cookie", "lifetime"),
    [
        (301, "/p/1-kopi", "sid=1; Path=/", 300),
        (308, "https://shop.test/p/1", None, 300),
        (302, "/de/", None, 300),
        (302, "/cart", "sid=1", NotStored.REDIRECT),
        (303, "/cart", "sid=1", NotStored.REDIRECT),
        (301, "/p/1;jsessionid=AB12", None, NotStored.REDIRECT),
        (301, "/p/1?PHPSESSID=ab", None, NotStored.REDIRECT),
        (302, "/?sid=ab", None, NotStored.REDIRECT),
        (302, "/welcome?a=1&access_token=x", None, NotStored.REDIRECT),
        (301, "/s/f00dcafe12/p/1", "s=f00dcafe12", NotStored.REDIRECT),
        (302, "/search?q=token", None, 300),
        (302, "/side?aside=1", None, 300),
    ],
)
def test_a_redirect_is_shared_unless_it_is_somebodys(
    status: int, location: str, set_cookie: str | None, lifetime: object
) -> None:
    fields = Fields([("Location", location), *([("Set-Cookie", set_cookie)] if set_cookie else [])])
    assert kept(fields, status=status) == lifetime


def test_what_is_shared_sets_no_cookie_and_tells_browsers_what_the_shop_told_them() -> None:
    said = html(("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), Vary="Cookie", Cache_Control="no-store")
    shared = as_page(RULE, make_request("/c/tea"), 200, said)
    assert isinstance(shared, Fields)
    assert "set-cookie" not in shared
    assert (shared.get("vary"), shared.get("cache-control")) == ("Cookie", "no-store")
    assert ungiven(shared) == said.without("set-cookie")


def test_what_the_shop_says_of_the_time_after_stays_said() -> None:
    shared = as_page(RULE, make_request(), 200, html(Cache_Control="must-revalidate, stale-if-error=60"))
    assert isinstance(shared, Fields)
    fresh = judged(shared)
    assert isinstance(fresh, Freshness)
    assert fresh.must_revalidate


def test_a_given_lifetime_is_given_anew_at_each_answer() -> None:
    first = as_page(RULE, make_request(), 200, html())
    assert isinstance(first, Fields)
    later = Fields([*first.lines, ("Cache-Control", "private")])  # what a 304 brings
    assert kept(later) is NotStored.PRIVATE


SYMFONY = PageRules(seconds=300, despite_paths=Patterns(("/*",)), habits=frozenset({"private", "no-cache"}))


@pytest.mark.parametrize(
    ("said", "lifetime"),
    [
        ("no-cache, private", 300),
        ("private, must-revalidate", 300),
        ("max-age=0, must-revalidate, private", 300),
        ("private, max-age=30", 30),
        ("no-store, private", NotStored.NO_STORE),
        ("no-store, no-cache, must-revalidate, max-age=0", NotStored.NO_STORE),
    ],
)
def test_only_what_is_said_by_habit_does_not_hold(said: str, lifetime: object) -> None:
    assert kept(html(Cache_Control=said), rule=SYMFONY) == lifetime


# Who is marked ------------------------------------------------------------------------------------

MARKING = PageRules(
    300,
    mark=True,
    mark_seconds=3600,
    marking_paths=Patterns(("/login/*/callback",)),
    sparing_paths=Patterns(("/beacon",)),
    sparing_query=Patterns(("wc-ajax",)),
)


@pytest.mark.parametrize(
    ("method", "target", "marked"),
    [
        ("GET", "/", False),
        ("HEAD", "/", False),
        ("POST", "/cart/add", True),
        ("DELETE", "/cart/1", True),
        ("BREW", "/cart", True),
        ("POST", "/beacon", False),
        ("POST", "/?wc-ajax=get_refreshed_fragments", False),
        ("GET", "/login/google/callback?code=1", True),
        ("GET", "/login/%67oogle/callback", True),
    ],
)
def test_who_sends_a_form_is_somebody(method: str, target: str, marked: bool) -> None:
    request = make_request(target, method=method)
    assert marks(MARKING, request) is marked
    assert not marks(RULE, request)


def test_the_marker_is_for_the_edge_alone() -> None:
    request = Request("POST", "https", "shop.test", "/")
    assert marker(MARKING, request) == (
        "Set-Cookie", f"{MARKER}=1; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure",
    )  # fmt: skip
    assert "Secure" not in marker(MARKING, make_request())[1]


COOKIE_LINES = st.lists(
    st.tuples(st.sampled_from([MARKER, "a", "b"]), st.text("01=", max_size=3)), max_size=5
)


@given(COOKIE_LINES)
def test_a_cookie_is_taken_out_and_the_others_stay(pairs: list[tuple[str, str]]) -> None:
    value = "; ".join(f"{name}={text}" for name, text in pairs)
    left = cookies(Fields([("Cookie", without_cookie(value, MARKER))]))
    assert left == tuple(pair for pair in cookies(Fields([("Cookie", value)])) if pair[0] != MARKER)
