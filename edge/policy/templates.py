"""Which template of a shop made a page: by its path's shape, and by how its body element is marked. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

# Whose pages are somebody's own, in words that shops use in paths: never taken for a mere name of a product.
_TELLING = re.compile(
    r"account|admin|address|basket|bag|cart|checkout|compte|customer|dashboard|download|invoice|konto|kunde|"
    r"login|logout|log-in|member|my-|order|panier|password|payment|profil|regist|return|reward|session|"
    r"sign-?in|sign-?up|sign-?out|subscri|user|voucher|wallet|warenkorb|wishlist|"
    r"akun|alamat|bayar|belanja|daftar|favorit|keluar|keranjang|masuk|pesanan|saya",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"[0-9]|[-_+ ].*[-_+ ]|[^\x21-\x7e]|.{25}")
_SLUG = re.compile(r"[^-_]+[-_][^-_]")  # deeper than the first segment, two words will do
_SEARCHES = frozenset(
    {"q", "s", "query", "search", "keyword", "keywords", "search_query", "term", "cari", "kata"}
)
_SUFFIX = re.compile(r"\.[A-Za-z]{2,5}$")
_BODY = re.compile(rb"<body\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>", re.IGNORECASE)
_ID = re.compile(rb"""(?<![\w-])id\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_CLASS = re.compile(rb"""(?<![\w-])class\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")


def shape_of(path: str, query: str | None) -> str:
    """`path` and `query` with `*` for what names one thing among many: numbers, slugs, words searched for."""
    folded = "/".join(_segment(unquote(segment), depth) for depth, segment in enumerate(path.split("/")))
    if not query:
        return folded
    names = sorted(_parameter(part) for part in query.split("&") if part)
    return f"{folded}?{'&'.join(dict.fromkeys(names))}"


def mark_of(page: bytes) -> str:
    """The body element's id and first class, numbers taken out; empty where it has neither."""
    body = _BODY.search(page)
    if body is None:
        return ""
    names = []
    for pattern in (_ID, _CLASS):
        found = pattern.search(body[1])
        words = next((value for value in found.groups() if value is not None), b"").split() if found else []
        names.append(_DIGITS.sub("*", words[0][:64].decode("latin-1")) if words else "")
    return "#{} .{}".format(*names) if any(names) else ""


def _segment(segment: str, depth: int) -> str:
    varies = _VARIABLE.search(segment) or (depth > 1 and _SLUG.match(segment))
    if not varies or _TELLING.search(segment):
        return segment
    suffix = _SUFFIX.search(segment)
    return "*" if suffix is None else f"*{suffix[0]}"


def _parameter(part: str) -> str:
    name, _, value = part.partition("=")
    name, value = unquote(name.replace("+", " ")), unquote(value.replace("+", " "))
    free = name.lower() in _SEARCHES or (_VARIABLE.search(value) and not _TELLING.search(value))
    return f"{_DIGITS.sub('*', name)}={'*' if free else value}"
