"""A visitor's cookies, and what an origin's Set-Cookie lines make of them (RFC 6265 §5). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge.http.dates import parse_date
from edge.http.message import Fields, Line


@dataclass(frozen=True, slots=True)
class Cookie:
    """What one Set-Cookie line says. `value` None: the cookie is taken away."""

    name: str
    value: str | None
    path: str
    tail: str  # from the first semicolon on, Expires as Max-Age

    def fits(self, path: str) -> bool:
        """Whether requests for `path` bear it (§5.1.4)."""
        return (
            path == self.path
            or path.startswith(self.path if self.path.endswith("/") else f"{self.path}/")
        )  # fmt: skip


def parse(line: str, asked_for: str, date: int) -> Cookie | None:
    """A Set-Cookie line of an answer to a request for the path `asked_for`; None if it sets nothing."""
    pair, _, rest = line.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not equals or not name or not f"{name}{value}".isprintable():
        return None
    attributes = [attribute.strip(" \t") for attribute in rest.split(";")]
    said = {
        key.strip(" \t").lower(): value.strip(" \t")
        for key, _, value in (it.partition("=") for it in attributes)
    }
    age = _age(said, date)
    kept = [
        it
        for it in attributes
        if it and it.partition("=")[0].strip(" \t").lower() not in ("max-age", "expires")
    ]
    if age is not None:
        kept.append(f"Max-Age={age}")
    path = said.get("path", "")
    path = path if path.startswith("/") else asked_for[: max(1, asked_for.rfind("/"))]  # §5.1.4
    gone = age is not None and age <= 0
    return Cookie(name, None if gone else value, path, "".join(f"; {attribute}" for attribute in kept))


def _name(attribute: str) -> str:
    return attribute.partition("=")[0].strip(" \t").lower()


def _age(said: Mapping[str, str], date: int) -> int | None:
    """Seconds that the cookie lasts; None: as long as the browser runs (§5.2.1, §5.2.2)."""
    age = said.get("max-age", "")
    if age.removeprefix("-").isdigit() and age.isascii():
        return int(age[:12])
    expires = said.get("expires")
    at = None if expires is None else parse_date(expires.replace("-", " "))
    return None if at is None else at - date


def with_cookies(fields: Fields, set_by: Iterable[Cookie], path: str) -> Fields:
    """A request's fields for `path` as they are once `set_by` have been taken in."""
    news = {cookie.name: cookie.value for cookie in set_by if cookie.fits(path)}
    if not news:
        return fields
    kept = [
        pair.strip()
        for line in fields.all("cookie")
        for pair in line.split(";")
        if pair.strip() and pair.partition("=")[0].strip() not in news
    ]
    kept += [f"{name}={value}" for name, value in news.items() if value is not None]
    rest: list[Line] = [line for line in fields.lines if line[0].lower() != "cookie"]
    return Fields((*rest, ("Cookie", "; ".join(kept)))) if kept else Fields(rest)
