"""Which page stands in for which error, for whom, and in which form it is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.config import Site
from edge.http.message import Fields
from edge.policy.errorpages import is_reading, standin, written
from edge.policy.traffic import Page
from tests.edge.policy.traffic_made import SHOP, traffic
from tests.edge.stage import make_request

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HTML = Fields([("Content-Type", "text/html")])


@pytest.mark.parametrize(
    ("fields", "reads"),
    [
        ({}, False),
        ({"Accept": "*/*"}, False),
        (BROWSER, True),
        ({"Accept": "application/json"}, False),
        ({"Accept": "text/html;q=0"}, False),
        ({**BROWSER, "Sec-Fetch-Dest": "document"}, True),
        ({"Sec-Fetch-Dest": "iframe"}, True),
        ({**BROWSER, "Sec-Fetch-Dest": "empty"}, False),
        ({**BROWSER, "Sec-Fetch-Dest": "image"}, False),
    ],
)
def test_who_came_to_read_a_page(fields: dict[str, str], reads: bool) -> None:
    assert is_reading(Fields(fields.items())) is reads


@pytest.mark.parametrize(
    ("status", "target", "method", "fields", "error", "page"),
    [
        (404, "/p/1", "GET", BROWSER, HTML, b"404"),
        (404, "/p/1", "HEAD", BROWSER, HTML, b"404"),
        (404, "/p/1", "POST", BROWSER, HTML, None),
        (404, "/p/1", "GET", {}, HTML, None),
        (503, "/p/1", "GET", BROWSER, Fields(), b"5xx"),
        (403, "/p/1", "GET", BROWSER, HTML, None),
        (200, "/p/1", "GET", BROWSER, HTML, None),
        (502, "/p/1", "GET", BROWSER, Fields([("Content-Type", "application/problem+json")]), None),
        (502, "/api/x", "GET", {}, Fields([("Content-Type", "application/json; charset=utf-8")]), b"api"),
        (502, "/%61pi/x", "GET", {}, Fields(), b"api"),
    ],
)
def test_the_first_rule_that_fits_holds(
    status: int, target: str, method: str, fields: dict[str, str], error: Fields, page: bytes | None
) -> None:
    rules = traffic(
        error_pages=[
            {"status": [404], "html": "404"},
            {"status": ["502-504"], "paths": ["/api/*"], "audience": "all", "html": "api"},
            {"status": ["5xx"], "html": "5xx"},
        ]
    )
    found = standin(make_request(target, fields, method=method), status, error, rules)
    assert (None if found is None else found.page.html) == page


@pytest.mark.parametrize(
    ("page", "accept", "body"),
    [
        (Page(html=b"h", json=b"{}"), "text/html", b"h"),
        (Page(html=b"h", json=b"{}"), "application/json", b"{}"),
        (Page(html=b"h", json=b"{}"), "application/problem+json, text/html;q=0.5", b"{}"),
        (Page(html=b"h", json=b"{}"), "text/html, application/json;q=0.9", b"h"),
        (Page(html=b"h", json=b"{}"), "*/*", b"h"),
        (Page(html=b"h", json=b"{}"), "", b"h"),
        (Page(html=b"h"), "application/json", b"h"),
        (Page(json=b"{}"), "text/html", b"{}"),
        (Page(path="/x"), "text/html", None),
    ],
)
def test_people_get_html_and_programs_json(page: Page, accept: str, body: bytes | None) -> None:
    said = written(page, Fields([("Accept", accept)] if accept else []))
    assert (None if said is None else said[1]) == body
    if said is not None:
        assert said[0] == ("application/json" if body == b"{}" else "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("said", "field", "expected"),
    [
        ({"status": [404]}, "audience", "path, html or json"),
        ({"status": [], "html": "x"}, "status", "at least 1"),
        ({"status": [302], "html": "x"}, "status", "from 400 on"),
        ({"status": ["4xx", "oops"], "html": "x"}, "status.1", "502-504"),
        ({"status": ["5xx"], "html": "x", "audience": "all"}, "audience", "paths beside it"),
        ({"status": ["5xx"], "html": "x", "audience": "robots"}, "audience", "'readers' or 'all'"),
        ({"status": ["5xx"], "html": "x", "cache_control": "a\nb"}, "cache_control", "line breaks"),
        ({"status": ["5xx"], "path": "https://x/y"}, "path", "begins with /"),
    ],
)
def test_a_bad_page_is_refused_where_it_is_bad(said: dict[str, Any], field: str, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Site.model_validate({**SHOP, "error_pages": [said]})
    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == f"error_pages.0.{field}"
    assert expected in error["msg"]
