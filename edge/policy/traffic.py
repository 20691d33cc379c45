"""What a site's operator has decided beyond caching: who is sent elsewhere, what is asked and answered how.

Values only, built by the configuration; what they lead to is decided in `course`, `redirects`, `rewrites`,
`alterations` and `errorpages`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.http.message import Line
from edge.policy.paths import EVERY_PATH, PathPattern, first_step
from edge.policy.patterns import NOTHING, Patterns
from edge.policy.wording import Wording

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Target:
    """Where a redirect leads, as an absolute URL in pieces: no capture ever reaches scheme or authority.

    `scheme` "": as asked. `authority` "": as asked; `$host` in it: the host asked for, less its port.
    """

    path: Wording
    scheme: str = ""
    authority: str = ""
    query: Wording | None = None
    fragment: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """Which requests a rule is for; what is empty does not count.

    `hosts` are names, or `*.` and what a name ends with. `parameters` are names and values that the query
    must have. `countries` are ISO 3166-1 alpha-2. `languages` are lower-case tags, one of which the visitor's
    favourite must be or begin with.
    """

    path: PathPattern = EVERY_PATH
    unless_paths: Patterns = NOTHING
    hosts: tuple[str, ...] = ()
    scheme: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    countries: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    unless_cookies: Patterns = NOTHING

    @property
    def of_the_visitor(self) -> bool:
        """Whether it depends on more than the URL."""
        return bool(self.countries or self.languages or self.unless_cookies)


@dataclass(frozen=True, slots=True)
class RedirectRule:
    """Sends those who fit to `target`. `keep_query` appends what the visitor's URL had."""

    fits: Condition
    target: Target
    status: int = 301
    keep_query: bool = True
    cache_control: str = "no-store"


@dataclass(frozen=True, slots=True)
class RewriteRule:
    """What the origin is asked for in place of the visitor's path, query and host ("": as asked).

    It depends on the URL alone, for the key does not tell visitors apart.

    `shown` and `hidden` are how paths begin for the visitor and for the origin, where one can be made of the
    other: then Location and Content-Location are put back.
    """

    fits: Condition
    path: Wording
    query: Wording | None = None
    keep_query: bool = True
    host: str = ""
    shown: str = ""
    hidden: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of field lines: `unset` and `replace` take every line away, `replace` and `add` bring one.

    Names in `unset` are lower case. A value that turns out empty brings no line. `gone` are the names whose
    lines go, `names` the variables in it, `constant` the lines that come, if they are everybody's.
    """

    replace: tuple[tuple[str, Wording], ...] = ()
    add: tuple[tuple[str, Wording], ...] = ()
    unset: tuple[str, ...] = ()
    gone: frozenset[str] = field(init=False, repr=False, compare=False)
    names: frozenset[str] = field(init=False, repr=False, compare=False)
    constant: tuple[Line, ...] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "gone", frozenset((*self.unset, *(name.lower() for name, _ in self.replace)))
        )
        said = [wording for _, wording in (*self.replace, *self.add)]
        object.__setattr__(self, "names", frozenset(name for wording in said for name in wording.names))
        object.__setattr__(self, "constant", None if self.names else self.lines({}))

    def lines(self, values: Mapping[str, str]) -> tuple[Line, ...]:
        """The lines that it brings, with `values` in their places."""
        said = ((name, wording.said(values)) for name, wording in (*self.replace, *self.add))
        return tuple((name, value) for name, value in said if value)

    def less(self, names: frozenset[str]) -> Change:
        """The same, but that it brings no lines of `names`, in lower case."""
        return Change(
            tuple(pair for pair in self.replace if pair[0].lower() not in names),
            tuple(pair for pair in self.add if pair[0].lower() not in names),
            self.unset,
        )


@dataclass(frozen=True, slots=True)
class RequestFieldRule:
    """Changes what the origin is told. `paths` None: every path.

    `seen` is what the cache sees of the change: credentials that a rule brings are the operator's, and keep
    nothing out of the store.
    """

    change: Change
    paths: Patterns | None = None
    seen: Change = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", self.change.less(frozenset({"authorization"})))


@dataclass(frozen=True, slots=True)
class AnswerFieldRule:
    """Changes what the visitor is told. None, and `scheme` "": whatever it is.

    `plain` is what holds without TLS: nobody may be told there to stay with it (RFC 6797 §7.2).
    """

    change: Change
    paths: Patterns | None = None
    statuses: frozenset[int] | None = None
    scheme: str = ""
    plain: Change = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", self.change.less(frozenset({"strict-transport-security"})))


@dataclass(frozen=True, slots=True)
class Page:
    """What is said in place of an answer: a path of the site's own, or texts for people and for programs."""

    path: str | None = None
    html: bytes | None = None
    json: bytes | None = None


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Stands in for answers of `statuses`, to those who came to read a page, or to whoever asked."""

    statuses: frozenset[int]
    page: Page
    paths: Patterns | None = None
    audience: Literal["readers", "all"] = "readers"
    cache_control: str = "no-store"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The site is closed but for staff: by network, or by a cookie whose value has this SHA-256."""

    page: Page
    retry_after: int
    enabled: bool = True
    networks: tuple[Network, ...] = ()
    cookie: str = ""
    cookie_sha256: str = ""
    open_paths: Patterns = NOTHING


@dataclass(frozen=True, slots=True)
class TrafficRules:
    """All of it, each kind in the order in which the operator wrote it.

    `hosts` are the site's own, `commerce` is the prefix of its commerce origin.
    """

    hosts: tuple[str, ...] = ()
    commerce: str | None = None
    redirects: tuple[RedirectRule, ...] = ()
    rewrites: tuple[RewriteRule, ...] = ()
    request_fields: tuple[RequestFieldRule, ...] = ()
    answer_fields: tuple[AnswerFieldRule, ...] = ()
    error_pages: tuple[ErrorPage, ...] = ()
    maintenance: Maintenance | None = None
    _by_path: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _by_step: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _others: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact: dict[str, list[int]] = {}
        begun: dict[str, list[int]] = {}
        others = []
        for number, rule in enumerate(self.redirects):
            path = rule.fits.path
            if path.exact is not None:
                exact.setdefault(path.exact, []).append(number)
            elif path.first_step is not None:
                begun.setdefault(path.first_step, []).append(number)
            else:
                others.append(number)
        object.__setattr__(self, "_by_path", {path: tuple(found) for path, found in exact.items()})
        object.__setattr__(self, "_by_step", {step: tuple(found) for step, found in begun.items()})
        object.__setattr__(self, "_others", tuple(others))

    def redirects_for(self, path: str) -> Iterable[int]:
        """The numbers of redirects that may fit `path`, a plain one, in order."""
        own = self._by_path.get(path, ())
        begun = self._by_step.get(first_step(path) or "", ()) if self._by_step else ()
        return sorted((*own, *begun, *self._others)) if own or begun else self._others

    @property
    def searched(self) -> int:
        """How many redirects are looked at for one path, at most."""
        return len(self._others) + max(map(len, self._by_step.values()), default=0)

    def __bool__(self) -> bool:
        rules = self.redirects or self.rewrites or self.request_fields or self.answer_fields
        return bool(rules or self.error_pages) or self.maintenance is not None

    @property
    def by_country(self) -> bool:
        """Whether any rule depends on, or tells, the visitor's country."""
        changes = [rule.change for rule in self.request_fields]
        changes += [rule.change for rule in self.answer_fields]
        return any(rule.fits.countries for rule in self.redirects) or any(
            "country" in change.names for change in changes
        )

    @property
    def pages(self) -> frozenset[str]:
        """Paths of the site's own that must be at hand when they are needed."""
        shown = [rule.page.path for rule in self.error_pages]
        if self.maintenance is not None:
            shown.append(self.maintenance.page.path)
        return frozenset(path for path in shown if path is not None)
