"""The tables of a site's document that say who is sent elsewhere, and what stands in for what."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from edge.document.caching import Country
from edge.document.fields import (
    AnswerFieldsTable,
    Paths,
    RequestFieldsTable,
    Statuses,
    check_value,
    paths_of,
    statuses,
)
from edge.document.notation import Cidr, Host, Many, Prefix, Table
from edge.document.origins import Commerce
from edge.document.targets import redirect_target, rewrite_target
from edge.policy.endless import endless
from edge.policy.paths import EVERY_PATH, Expression, Glob, PathPattern, covers
from edge.policy.patterns import Patterns
from edge.policy.redirects import LONGEST_CHAIN, is_own
from edge.policy.traffic import (
    Condition,
    ErrorPage,
    Maintenance,
    Page,
    RedirectRule,
    RewriteRule,
    TrafficRules,
)
from edge.policy.wording import Wording

LONGEST_TEXT = 65_536  # characters
MOST_RULES = 2000
MOST_EXPRESSIONS = 100  # each is searched on its own, some microseconds a request
_PERMANENT = (301, 308)
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}(-[a-z0-9]{2,8})*$")]
Pattern = Annotated[str, Field(max_length=1024)]


class MatchTable(Table):
    """Which URLs a rule is for. What is unset does not count."""

    path: Pattern | None = Field(
        None, description="The path, in which each * is any text that $1, $2, … stand for."
    )
    regex: Pattern | None = Field(
        None,
        description="In its place a regular expression (RE2) for the whole path; groups are $1, $2 and on.",
    )
    unless_paths: Annotated[tuple[str, ...], Many] = Field(
        (), description="Paths that are left alone, as patterns."
    )
    hosts: Annotated[tuple[Host, ...], Many] = Field((), description="Only for these of the site's hosts.")

    @field_validator("path")
    @classmethod
    def _is_a_glob(cls, path: str | None) -> str | None:
        if path is not None:
            Glob(path)
        return path

    @field_validator("regex")
    @classmethod
    def _is_an_expression(cls, regex: str | None, others: ValidationInfo) -> str | None:
        if regex is not None:
            if others.data.get("path") is not None:
                raise ValueError("none, since there is a path")
            Expression(regex)
        return regex

    def pattern(self) -> PathPattern:
        """The paths that are meant."""
        return _pattern(self.path, self.regex)


def _pattern(path: str | None, regex: str | None) -> PathPattern:
    if regex is not None:
        return Expression(regex)
    return EVERY_PATH if path is None else Glob(path)


def _pattern_before(others: ValidationInfo) -> PathPattern | None:
    """The pattern that a rule under validation has, if it has a good one."""
    if "path" not in others.data or "regex" not in others.data:
        return None
    return _pattern(others.data["path"], others.data["regex"])


class RedirectTable(MatchTable):
    """Sends visitors elsewhere; the first rule that fits and leads elsewhere holds. None may lead round."""

    scheme: Literal["http", "https"] | None = Field(None, description="Only for visitors who come so.")
    parameters: dict[str, str] = Field(
        {}, description="Query parameters that must be there, with their values."
    )
    countries: Annotated[tuple[Country, ...], Many] = Field(
        (), description="Only for visitors in these countries (ISO 3166-1 alpha-2)."
    )
    languages: Annotated[tuple[Language, ...], Many] = Field(
        (), description="Only for visitors whose favourite language is one of these, like de or pt-br."
    )
    unless_cookies: Annotated[tuple[str, ...], Many] = Field(
        (), description="Who bears one of these is left alone, as patterns of names: he has chosen."
    )
    to: Pattern = Field(
        description="A path, or a URL whose host is written out or $host; with $1, $2, …, $path and $scheme."
    )
    status: Literal[301, 302, 303, 307, 308] = Field(301, description="The answer's status.")
    query: Literal["keep", "drop"] = Field("keep", description="What becomes of the visitor's query.")
    cache_control: str | None = Field(
        None,
        description="The answer's Cache-Control; unset, max-age=3600 for 301 and 308 that depend on the URL "
        "alone, else no-store.",
    )

    @field_validator("to")
    @classmethod
    def _leads_somewhere(cls, to: str, others: ValidationInfo) -> str:
        pattern = _pattern_before(others)
        if pattern is not None:
            redirect_target(to, pattern)
        return to

    @field_validator("cache_control")
    @classmethod
    def _is_for_the_visitor(cls, value: str | None, others: ValidationInfo) -> str | None:
        if value is None:
            return None
        mine = any(others.data.get(name) for name in ("countries", "languages", "unless_cookies"))
        if mine and not {"private", "no-store"} & {part.strip().lower() for part in value.split(",")}:
            raise ValueError("private or no-store in it, since the redirect depends on the visitor")
        return check_value(value)

    def rule(self) -> RedirectRule:
        """As policy sees it."""
        pattern = self.pattern()
        fits = Condition(
            pattern,
            Patterns(self.unless_paths),
            self.hosts,
            self.scheme or "",
            tuple(self.parameters.items()),
            frozenset(self.countries),
            frozenset(self.languages),
            Patterns(self.unless_cookies),
        )
        lasting = self.status in _PERMANENT and not fits.of_the_visitor
        told = self.cache_control or ("max-age=3600" if lasting else "no-store")
        return RedirectRule(fits, redirect_target(self.to, pattern), self.status, self.query == "keep", told)


class RewriteTable(MatchTable):
    """Has the origin asked for something else, by the first rule that fits; the key is the visitor's URL."""

    to: Pattern = Field("$path", description="The path to ask for, and a query if need be; $1, $2, …, $path.")
    host: Host | None = Field(None, description="The Host to ask for; unset, the visitor's.")
    query: Literal["keep", "drop"] = Field("keep", description="What becomes of the visitor's query.")

    @field_validator("to")
    @classmethod
    def _leads_somewhere(cls, to: str, others: ValidationInfo) -> str:
        pattern = _pattern_before(others)
        if pattern is not None:
            rewrite_target(to, pattern)
        return to

    @field_validator("host")
    @classmethod
    def _is_one_host(cls, host: str | None) -> str | None:
        if host is not None and "*" in host:
            raise ValueError("one host name")
        return host

    def rule(self) -> RewriteRule:
        """As policy sees it."""
        pattern = self.pattern()
        path, query = rewrite_target(self.to, pattern)
        shown, hidden = _both_ways(pattern, path) if query is None else ("", "")
        return RewriteRule(
            Condition(pattern, Patterns(self.unless_paths), self.hosts),
            path,
            query,
            self.query == "keep",
            self.host or "",
            shown,
            hidden,
        )


def _both_ways(pattern: PathPattern, path: Wording) -> tuple[str, str]:
    """How paths begin on either side, where `/a/*` is asked for as `/b/$1`."""
    if not isinstance(pattern, Glob) or path.parts != ((path.begin, "1"), ("", "")):
        return "", ""
    return (
        (pattern.filled(""), path.begin)
        if pattern.text.endswith("*") and len(pattern.names) == 1
        else ("", "")
    )


class PageTable(Table):
    """A page to show: of the site's own, or where it has none or it can't be had, texts written here."""

    path: Prefix | None = Field(
        None, description="A path of the site, fetched ahead through the cache and kept at hand."
    )
    html: Text | None = Field(None, description="A text for people.")
    json_text: Text | None = Field(None, alias="json", description="A text for programs that ask for JSON.")

    @field_validator("json_text")
    @classmethod
    def _is_json(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                json.loads(text)
            except (ValueError, RecursionError):
                raise ValueError("JSON, as text") from None
        return text

    def page(self) -> Page:
        """As policy sees it."""
        return Page(
            self.path,
            None if self.html is None else self.html.encode(),
            None if self.json_text is None else self.json_text.encode(),
        )


class ErrorPageTable(PageTable):
    """A page that stands in for errors, under their own status; the first rule that fits holds."""

    status: Annotated[tuple[Statuses, ...], Many, Field(min_length=1)] = Field(
        description="Statuses from 400 on, as 404, 5xx or 502-504."
    )
    paths: Paths = Field(("*",), description="Paths, as patterns: /shop/*.")
    audience: Literal["readers", "all"] = Field(
        "readers",
        validate_default=True,
        description="Browsers that want a page, and errors that are not JSON; or everybody who gets them, "
        "under the paths named.",
    )
    cache_control: str = Field("no-store", description="The answer's Cache-Control.")

    @field_validator("status")
    @classmethod
    def _are_errors(cls, said: tuple[str, ...]) -> tuple[str, ...]:
        if min(statuses(said)) < 400:
            raise ValueError("statuses from 400 on")
        return said

    @field_validator("audience")
    @classmethod
    def _is_for_somebody(cls, audience: str, others: ValidationInfo) -> str:
        if audience == "all" and others.data.get("paths") == ("*",):
            raise ValueError("readers, or paths beside it: programs read errors too")
        if all(others.data.get(name, "") is None for name in ("path", "html", "json_text")):
            raise ValueError("a page for them: path, html or json")
        return audience

    @field_validator("cache_control")
    @classmethod
    def _is_a_value(cls, value: str) -> str:
        return check_value(value)

    def rule(self) -> ErrorPage:
        """As policy sees it."""
        return ErrorPage(
            statuses(self.status), self.page(), paths_of(self.paths), self.audience, self.cache_control
        )


class MaintenanceTable(PageTable):
    """Closes the site: 503 for everybody but staff, whatever is stored."""

    enabled: bool = Field(False, description="The switch.")
    retry_after: int = Field(600, ge=1, le=604_800, description="Seconds after which to come again.")
    allow: Annotated[tuple[Cidr, ...], Many] = Field((), description="Networks that are let in.")
    cookie: str = Field("", max_length=128, description="A cookie whose bearers are let in.")
    cookie_sha256: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        validate_default=True,
        description="The SHA-256 of that cookie's value, in hexadecimal; the value stays with the staff.",
    )
    open_paths: Annotated[tuple[str, ...], Many] = Field(
        (), description="Paths that stay open, as patterns: pictures that the page shows."
    )

    @field_validator("cookie_sha256")
    @classmethod
    def _comes_with_a_name(cls, digest: str, others: ValidationInfo) -> str:
        if bool(digest) != bool(others.data.get("cookie")):
            raise ValueError("cookie and cookie_sha256 together, or neither")
        return digest

    def rule(self) -> Maintenance:
        """As policy sees it."""
        return Maintenance(
            self.page(),
            self.retry_after,
            self.enabled,
            self.allow,
            self.cookie,
            self.cookie_sha256,
            Patterns(self.open_paths),
        )


def check_redirects(rules: tuple[RedirectTable, ...], hosts: tuple[str, ...]) -> None:
    """Raises ValueError where rules are for hosts that the site has not, or lead round."""
    _check_matches(rules, hosts)
    chain = endless(TrafficRules(hosts, redirects=tuple(table.rule() for table in rules)))
    if chain is not None:
        shown = " → ".join(chain[:4])
        raise ValueError(f"redirects that end, within {LONGEST_CHAIN} steps; these lead {shown} → …")


def check_rewrites(
    rules: tuple[RewriteTable, ...], hosts: tuple[str, ...], commerce: Commerce | None
) -> None:
    """Raises ValueError where rules are for hosts that the site has not, or lead to the commerce origin."""
    _check_matches(rules, hosts)
    for number, table in enumerate(rules):
        begin = table.rule().path.begin
        if commerce is not None and covers(commerce.prefix, begin):
            raise ValueError(
                f"paths outside of {commerce.prefix}, the commerce origin's; rule {number} leads there"
            )


def _check_matches(rules: tuple[MatchTable, ...], hosts: tuple[str, ...]) -> None:
    if sum(rule.regex is not None for rule in rules) > MOST_EXPRESSIONS:
        raise ValueError(f"{MOST_EXPRESSIONS} rules with a regex at most; others with a path")
    for number, rule in enumerate(rules):
        for host in rule.hosts:
            if not any(host == own or is_own(host, (own,)) for own in hosts):
                raise ValueError(f"rules for hosts of the site; rule {number} is for {host}")


def traffic_rules(
    hosts: tuple[str, ...],
    commerce: Commerce | None,
    redirects: tuple[RedirectTable, ...],
    rewrites: tuple[RewriteTable, ...],
    request_fields: tuple[RequestFieldsTable, ...],
    answer_fields: tuple[AnswerFieldsTable, ...],
    error_pages: tuple[ErrorPageTable, ...],
    maintenance: MaintenanceTable | None,
) -> TrafficRules | None:
    """The tables as policy sees them; None where there are none."""
    rules = TrafficRules(
        hosts,
        None if commerce is None else commerce.prefix,
        tuple(table.rule() for table in redirects),
        tuple(table.rule() for table in rewrites),
        tuple(table.rule() for table in request_fields),
        tuple(table.rule() for table in answer_fields),
        tuple(table.rule() for table in error_pages),
        None if maintenance is None else maintenance.rule(),
    )
    return rules if rules else None
