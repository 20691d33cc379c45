"""Why an answer is what it is, as values: what `tepi explain` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import assert_never

from edge.http.cache_control import ResponseDirectives
from edge.http.cookies import cookies
from edge.http.message import Request
from edge.http.ranges import Part as Span
from edge.intake import Exchange
from edge.policy.classes import Anonymous, File, Never, Page, Personal, cookie_class
from edge.policy.decisions import Complete, Decision, Hit, Miss, Pass, Revalidate, Stale, Unavailable
from edge.policy.entry import Entry
from edge.policy.key import url_of
from edge.policy.keying import VARIANT
from edge.policy.pages import is_despite
from edge.policy.reasons import (
    FragmentReason,
    MissReason,
    PassReason,
    RefusedReason,
    RevalidateReason,
    StaleReason,
)
from edge.policy.rules import PageRules, SiteRules
from edge.store.content import Stored
from edge.store.parts import Parts
from edge.transform.template import Hole, Include, Template, Unread, Variable, written

PARTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One step on a request's way: its name, what was found, and the facts it rests on."""

    step: str  # "site", "key", "rules", "stored", "decision"
    finding: str
    facts: Mapping[str, object]  # JSON-able


@dataclass(frozen=True, slots=True)
class Part:
    """A fragment of a page: where it is, and what would be decided about it, or why it is left out."""

    include: Include
    url: str | None
    told: Decision | FragmentReason


@dataclass(frozen=True, slots=True)
class StoredVariant:
    """One stored answer under the request's key."""

    status: int
    selected: bool
    age: int
    lifetime: int
    lifetime_from: str  # which rule gave the lifetime, e.g. "s-maxage"
    ttl: int  # seconds left; negative = stale since
    size: int | None  # None: still arriving
    encodings: tuple[str, ...]
    vary: Mapping[str, str | None]
    tags: tuple[str, ...]
    etag: str | None
    parts: tuple[str, ...] | None  # the bytes that are stored, "0-1023", of a body that is not whole
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole story of one request, told without sending it anywhere."""

    url: str
    method: str
    site: str | None
    key: str | None
    decision: str  # "hit", "stale", "revalidate", "miss", "pass", "rule" or "refused"
    reason: str | None
    steps: tuple[Step, ...]
    variants: tuple[StoredVariant, ...]
    hit_when: tuple[str, ...]  # what would make it a hit, one sentence each

    def as_json(self) -> dict[str, object]:
        """The same, of JSON's types only."""
        return asdict(self)


_MEANING: dict[str, str] = {
    MissReason.COLD: "nothing is stored under this key",
    MissReason.VARY: "only variants for other request fields are stored",
    MissReason.AUTHORIZATION: "what is stored may not answer requests with credentials",
    MissReason.PARTIAL: "only a part is stored, and not all that is asked for: the rest is fetched",
    RevalidateReason.STALE: "the stored answer is stale",
    RevalidateReason.NO_CACHE: "the origin wants to be asked before every use",
    RevalidateReason.REQUEST: "the request asks for a newer answer, and the site lets it",
    RevalidateReason.DISTRUSTED: "it was stored before this node lost touch with purges",
    RevalidateReason.BEHIND: "another node asks that has applied purges which this one has not",
    StaleReason.WHILE_REVALIDATE: "stale, but within stale-while-revalidate: served, and refreshed behind",
    StaleReason.REQUEST: "stale, but the request takes answers that old",
    PassReason.METHOD: "only GET and HEAD are answered from the store",
    PassReason.BODY: "the request has a body",
    PassReason.PRECONDITION: "If-Match and If-Unmodified-Since are for the origin to judge",
    PassReason.RANGE: "several parts are asked for and not all stored, or one of a version not known here",
    PassReason.NEVER: "a rule of the site says that this is never cached",
    PassReason.PERSONAL: "a cookie says that the answer is this visitor's own",
    PassReason.MARKED: "the edge's marker says that this visitor has sent a form, so that he is somebody",
    RefusedReason.UNKNOWN_HOST: "no site of this node has that host",
    RefusedReason.LOOP: "CDN-Loop says that the request came through here before",
    RefusedReason.ONLY_IF_CACHED: "only-if-cached forbids to ask the origin",
    RefusedReason.METHOD_NOT_ALLOWED: "the method is not forwarded",
    FragmentReason.URL: "its reference makes no http or https URL",
    FragmentReason.HOST: "its host is not one of the site's",
    FragmentReason.CYCLE: "the page would include itself",
    FragmentReason.DEPTH: "it is too deep within other fragments",
    FragmentReason.NUMBER: "the page has too many",
    FragmentReason.STATUS: "its answer was no success",
    FragmentReason.SIZE: "it is too large",
    FragmentReason.TIME: "it took too long",
    FragmentReason.CODING: "it came in a coding that the edge cannot undo",
    FragmentReason.BROKEN: "it broke off",
    FragmentReason.FAULT: "an error of the edge",
    RefusedReason.ESCAPE: "dot segments in the path would lead out of what a rewrite names",
}
_REMEDIES: dict[str, tuple[str, ...]] = {
    MissReason.COLD: (
        "The origin gives a lifetime (Cache-Control with s-maxage or max-age, Expires, CDN-Cache-Control).",
        "It does so without private, no-store or Set-Cookie.",
        "The same URL was asked for before, through this node.",
    ),
    MissReason.VARY: (
        "The same URL was asked for before with the same values in the fields that Vary names.",
    ),
    MissReason.AUTHORIZATION: ("The origin says public, s-maxage or must-revalidate.",),
    MissReason.PARTIAL: (
        "The same part was asked for before, through this node.",
        "The origin gives a strong validator: an ETag without W/, or a Last-Modified before Date.",
    ),
    RevalidateReason.STALE: (
        "The origin gives a longer lifetime, or stale-while-revalidate.",
        "It is asked for again after the origin has confirmed or replaced it.",
    ),
    RevalidateReason.NO_CACHE: ("The origin does not say no-cache.",),
    RevalidateReason.REQUEST: ("The request does not say no-cache, or the site does not obey reloads.",),
    RevalidateReason.DISTRUSTED: ("The origin confirms it once.",),
    RevalidateReason.BEHIND: ("This node has caught up with the journal.",),
    PassReason.METHOD: ("The method is GET or HEAD.",),
    PassReason.BODY: ("The request has no body.",),
    PassReason.PRECONDITION: ("The request has neither If-Match nor If-Unmodified-Since.",),
    PassReason.NEVER: ("The site's rule `never` does not name its path or query.",),
    PassReason.PERSONAL: (
        "The request bears none of the site's `bypass_cookies`.",
        "`pages.ignore_cookies` knows its other cookies, or `pages.mark` is on.",
    ),
    PassReason.MARKED: ("The visitor bears no marker: it lasts `pages.mark_seconds`.",),
    PassReason.RANGE: (
        "The whole was asked for before, and is small enough to be stored.",
        "One part is asked for at a time, without If-Range where nothing is stored yet.",
    ),
    RefusedReason.ONLY_IF_CACHED: ("A fresh answer is stored.",),
}


def refused(request: Request, reason: RefusedReason, site: str | None) -> Explanation:
    """The story of a request that the edge does not take."""
    return Explanation(
        url=request.url,
        method=request.method,
        site=site,
        key=None,
        decision="refused",
        reason=reason,
        steps=(Step("site", _MEANING[reason], {"host": request.host}),),
        variants=(),
        hit_when=(),
    )


def explain(
    x: Exchange,
    entries: Sequence[Entry],
    decision: Decision,
    now: float,
    parts: Sequence[Part] = (),
    more: Sequence[Step] = (),
    before: Sequence[Step] = (),
    where: Sequence[str] = (),
) -> Explanation:
    """The story of a decision: `now` is monotonic; `parts` are the fragments of the page that it is about.

    `more` are steps that others took towards it, `before` those that were taken before the cache was asked;
    `where` says where entries lie.
    """
    request, rules, key = x.asked, x.rules, x.key
    word, reason, selected = _told(decision)
    variants = tuple(_variant(entry, now, selected=entry is selected) for entry in entries)
    steps = (
        Step(
            "site",
            f"host {request.host} belongs to site {rules.name}"
            + (f", platform {rules.platform}" if rules.platform else ""),
            {"host": request.host, "site": rules.name, "platform": rules.platform},
        ),
        *before,
        Step("kind", *_kind(x)),
        *_cookies(x),
        Step("key", f"the key is {url_of(key)}", _key_facts(x)),
        Step("rules", "the site's caching rules", _rules(rules)),
        Step("stored", _count(len(entries)), {"variants": len(entries), "where": list(where)}),
        *(() if selected is None else (_directives(selected), *_page(selected, parts))),
        *more,
        Step("decision", f"{word}: {_MEANING[reason]}" if reason else "hit: the stored answer is fresh", {}),
    )
    hit_when = _REMEDIES.get(reason, ()) if reason else ()
    return Explanation(
        request.url, request.method, rules.name, url_of(key), word, reason, steps, variants, hit_when
    )


def _told(decision: Decision) -> tuple[str, str | None, Entry | None]:
    match decision:
        case Hit(entry):
            return "hit", None, entry
        case Stale(entry, stale_reason):
            return "stale", stale_reason, entry
        case Revalidate(entry, revalidate_reason):
            return "revalidate", revalidate_reason, entry
        case Complete(entry):
            return "miss", MissReason.PARTIAL, entry
        case Miss(miss_reason):
            return "miss", miss_reason, None
        case Pass(pass_reason):
            return "pass", pass_reason, None
        case Unavailable():
            return "refused", RefusedReason.ONLY_IF_CACHED, None
        case _:
            assert_never(decision)


def _kind(x: Exchange) -> tuple[str, dict[str, object]]:
    match x.kind:
        case Never(because):
            return f"never cached: {because}", {"because": because}
        case File(rule):
            return "a file, the same for everybody", {"paths": list(rule.paths.patterns)}
        case Personal(because):
            return f"this visitor's own: {because}", {"because": because}
        case Anonymous(pages):
            return "a page as nobody in particular sees it, shared among all who are anonymous", _sharing(
                x, pages
            )
        case Page(because):
            return f"as RFC 9111 has it: {because}" if because else "a page like any other", {}
        case _:
            assert_never(x.kind)


def _sharing(x: Exchange, pages: PageRules) -> dict[str, object]:
    return {
        "lifetime_given": pages.seconds,
        "no_store_overridden": is_despite(pages, x.asked),
        "cookies_sent": [name for name, _ in cookies(x.request.fields)],
    }


def _cookies(x: Exchange) -> tuple[Step, ...]:
    """What each of the request's cookies means, by name; values are nobody's business."""
    if not x.rules.classes and not x.rules.key.cookies:
        return ()
    borne = {name: cookie_class(name, x.rules).value for name, _ in cookies(x.asked.fields)}
    said = ", ".join(f"{name} ({meaning})" for name, meaning in borne.items())
    return (Step("cookies", f"the request's cookies: {said}" if said else "no cookies", borne),)


def _key_facts(x: Exchange) -> dict[str, object]:
    facts: dict[str, object] = {"url": url_of(x.key), "method_in_key": False}
    if x.request.query != x.asked.query:
        facts["query_as_sent"] = x.asked.query
    variant = x.request.fields.get(VARIANT)
    if variant is not None:
        facts["variant"] = variant
    return facts


def _count(count: int) -> str:
    return (
        "nothing is stored"
        if count == 0
        else "one variant is stored"
        if count == 1
        else f"{count} variants are stored"
    )


def _rules(rules: SiteRules) -> dict[str, object]:
    facts = asdict(replace(rules, traffic=None))
    for table in ("compression", "key", "classes", "esi", "slices", "traffic"):
        facts.pop(table)
    slices = rules.slices
    facts["slices"] = {
        "size": slices.size,
        "over": slices.over,
        "learn": slices.learn,
        "paths": list(slices.known.patterns),
    }
    if rules.esi is not None:
        facts["esi"] = {"paths": list(rules.esi.paths.patterns), "depth": rules.esi.depth}
    facts["encodings"] = list(rules.compression.encodings)
    return facts


def _directives(entry: Entry) -> Step:
    given = asdict(entry.directives)
    silent = asdict(ResponseDirectives())
    facts = {
        name.replace("_", "-"): sorted(value) if isinstance(value, frozenset) else value
        for name, value in given.items()
        if value != silent[name]
    }
    fresh = entry.freshness
    return Step(
        "freshness",
        f"lifetime {int(fresh.lifetime)} s from {fresh.source}",
        {
            "directives": facts,
            "stale_while_revalidate": fresh.while_revalidate,
            "stale_if_error": fresh.if_error,
            "stale_if_unreachable": fresh.if_unreachable,
            "must_revalidate": fresh.must_revalidate,
            "soft_purged": fresh.expired is not None,
        },
    )


def _page(entry: Entry, parts: Sequence[Part]) -> tuple[Step, ...]:
    """Of what a page is put together."""
    content = entry.content
    match content.template if isinstance(content, Stored) else None:
        case Template() as template:
            counts = [
                f"{count} {noun}"
                for noun, kind in (("fragments", Include), ("variables", Variable), ("holes", Hole))
                if (count := sum(isinstance(piece, kind) for piece in template.pieces))
            ]
            finding = f"put together for each visitor, with {', '.join(counts) or 'nothing of his own'}"
            holes = sorted({hole.rule for hole in template.holes})
            facts: dict[str, object] = {"because": template.why, "holes": holes}
            for number, part in enumerate(parts, 1):
                facts[f"fragment {number}"] = _part(part)
            return (Step("page", finding, facts),)
        case Unread(why=why):
            return (Step("page", "put together for each visitor, and still arriving", {"because": why}),)
        case _:
            return ()


def _part(part: Part) -> str:
    alt = "" if part.include.alt is None else f", else {written(part.include.alt)}"
    where = f"{part.url or written(part.include.src)}{alt}"
    if isinstance(part.told, FragmentReason):
        return f"{where}: left out, {_MEANING[part.told]}"
    word, reason, _ = _told(part.told)
    return f"{where}: {word}" + (f" ({reason})" if reason else "")


def _variant(entry: Entry, now: float, *, selected: bool) -> StoredVariant:
    content = entry.content
    encodings = (
        sorted(name for name, body in content.encoded.items() if body) if isinstance(content, Stored) else []
    )
    own = entry.fields.get("content-encoding")
    return StoredVariant(
        status=entry.status,
        selected=selected,
        age=int(entry.freshness.age(now)),
        lifetime=int(entry.freshness.lifetime),
        lifetime_from=entry.freshness.source,
        ttl=int(entry.freshness.ttl(now) // 1),
        size=content.size,
        encodings=(own or "identity", *encodings),
        vary=dict(entry.selection),
        tags=entry.tags,
        etag=None if entry.etag is None else str(entry.etag),
        parts=_spans(content.held()) if isinstance(content, Parts) else None,
        groups=entry.groups,
    )


def _spans(held: list[Span]) -> tuple[str, ...]:
    shown = [f"{part.first}-{part.last}" for part in held[:PARTS_SHOWN]]
    return (*shown, f"and {len(held) - PARTS_SHOWN} more") if len(held) > PARTS_SHOWN else tuple(shown)
