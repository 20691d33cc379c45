"""One proof for all pages of a template, and never one for pages of different templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.templates import mark_of, shape_of


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        ("/", "/"),
        ("/p/1", "/p/*"),
        ("/p/4711", "/p/*"),
        ("/products/kopi-gayo", "/products/*"),
        ("/products/kopi-gayo-250.html", "/products/*.html"),
        ("/kopi-gayo-250-gram", "/*"),
        ("/about", "/about"),
        ("/tentang-kami", "/tentang-kami"),
        ("/products/kopi", "/products/kopi"),
        ("/my-account", "/my-account"),
        ("/my-account-of-2026", "/my-account-of-2026"),
        ("/customer/12", "/customer/*"),
        ("/pesanan-saya-2026", "/pesanan-saya-2026"),
        ("/%E2%98%95-kopi", "/*"),
        ("/list?page=2&sort=price", "/list?page=*&sort=price"),
        ("/list?sort=price&page=3", "/list?page=*&sort=price"),
        ("/search?q=kopi", "/search?q=*"),
        ("/index.php?route=account/login", "/index.php?route=account/login"),
        ("/index.php?controller=product&id_product=5", "/index.php?controller=product&id_product=*"),
        ("/?add-to-cart=5", "/?add-to-cart=*"),
        ("/p/1?", "/p/*"),
    ],
)
def test_what_names_one_of_many_is_left_out(target: str, shape: str) -> None:
    path, mark, query = target.partition("?")
    assert shape_of(path, query if mark else None) == shape


@pytest.mark.parametrize(
    ("page", "mark"),
    [
        (b'<html><body id="product" class="lang-id page">', "#product .lang-id"),
        (b"<BODY CLASS='postid-123 single'>", "# .postid-*"),
        (b"<body data-id='x' class=home>", "# .home"),
        (b'<body data-class="x" title="a > b" id=main>', "#main ."),
        (b"<body>", ""),
        (b"<p>no body</p>", ""),
        (b'<body class="">', ""),
    ],
)
def test_a_body_is_known_by_its_id_and_first_class(page: bytes, mark: str) -> None:
    assert mark_of(page) == mark


@given(st.text(), st.none() | st.text())
def test_any_path_has_a_shape(path: str, query: str | None) -> None:
    assert shape_of(path, query) == shape_of(path, query)


@given(st.binary())
def test_any_page_has_a_mark(page: bytes) -> None:
    mark_of(b"<body " + page)
