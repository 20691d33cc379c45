"""Whether redirects lead round, found by trying them on URLs of their own. Pure.

What is found is a proof, with the chain to show for it. What is not found is seen when it is asked for
(`redirects.redirected`), and not made.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from urllib.parse import quote

from edge.http.message import Client, Fields, Request
from edge.policy.paths import Glob, plain_path
from edge.policy.redirects import LONGEST_CHAIN, followed, url_of
from edge.policy.traffic import RedirectRule, TrafficRules

_FILLINGS = ("x", "1", "x/1", "x.html")
_PATIENCE = 200_000  # rules looked at, at most, as far as that can be foreseen
_REQUESTS = 20_000


def endless(rules: TrafficRules) -> tuple[str, ...] | None:
    """A chain of URLs that shows how `rules` lead round or too far; None if none was found."""
    for request in _samples(rules):
        chain = followed(request, rules)
        if len(chain) >= LONGEST_CHAIN:
            return (url_of(request), *chain)
    return None


def _samples(rules: TrafficRules) -> Iterator[Request]:
    """Requests that rules were made for, or that follow from them, until patience ends."""
    left = min(_REQUESTS, _PATIENCE // (1 + rules.searched))
    countries = _one_each([rule.fits.countries for rule in rules.redirects])
    languages = _one_each([rule.fits.languages for rule in rules.redirects])
    for rule in rules.redirects:
        fits = rule.fits
        for path, host, scheme, country, language in product(
            _paths(rule),
            _hosts(fits.hosts or rules.hosts),
            (fits.scheme,) if fits.scheme else ("http", "https"),
            [country for country in countries if not fits.countries or country in fits.countries],
            [language for language in languages if not fits.languages or language in fits.languages],
        ):
            left -= 1
            if left < 0:
                return
            query = "&".join(
                f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in fits.parameters
            )
            fields = Fields([("Accept-Language", language)] if language else [])
            client = Client("192.0.2.1", country=country or None)
            yield Request("GET", scheme, host, path, query or None, fields, client)


def _one_each(sets: list[frozenset[str]]) -> list[str]:
    """One of each kind that some rules tell from others, and "" for none of them."""
    kinds = {
        tuple(at for at, found in enumerate(sets) if one in found): one
        for one in sorted(frozenset().union(*sets), reverse=True)
    }
    return ["", *kinds.values()]


def _paths(rule: RedirectRule) -> Iterator[str]:
    pattern = rule.fits.path
    for filling in _FILLINGS:
        values = dict.fromkeys(pattern.names, filling) | {"path": f"/{filling}"}
        values |= {"client": "192.0.2.1", "country": "", "host": "x.test", "id": "", "scheme": "http"}
        if pattern.exact is not None:
            yield pattern.exact
            return
        if isinstance(pattern, Glob):
            yield plain_path(pattern.filled(filling))
        yield plain_path(rule.target.path.said(values))


def _hosts(names: tuple[str, ...]) -> list[str]:
    return ["x.example" if name == "*" else name.replace("*", "x") for name in names]
