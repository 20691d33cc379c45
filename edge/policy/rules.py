"""What a site's operator has decided, as far as caching is concerned. Built by the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edge.policy.patterns import NOTHING, Patterns
from edge.policy.traffic import TrafficRules

COMPRESSIBLE = (
    "text/*",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/rss+xml",
    "application/atom+xml",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/x-icon",
)


@dataclass(frozen=True, slots=True)
class Compression:
    """Which answers the edge compresses, and how. `encodings` are in order of preference: br, zstd, gzip."""

    encodings: tuple[str, ...] = ("br", "zstd", "gzip")
    types: tuple[str, ...] = COMPRESSIBLE  # media types, lower case; `text/*` means any subtype
    min_size: int = 256  # bytes; smaller bodies are sent as they are


@dataclass(frozen=True, slots=True)
class QueryRules:
    """Which query parameters count for the key, by name. `keep` None: all but those in `drop`."""

    drop: Patterns = NOTHING
    keep: Patterns | None = None
    sort: bool = False

    def __bool__(self) -> bool:
        return bool(self.drop.patterns) or self.keep is not None or self.sort


@dataclass(frozen=True, slots=True)
class KeyRules:
    """By what answers of one URL differ beyond what Vary says.

    `bucket_of` gives a country's bucket (a currency, a language, a tax zone); any other's is `elsewhere`.
    """

    query: QueryRules = QueryRules()
    cookies: Patterns = NOTHING
    fields: tuple[str, ...] = ()  # lower case
    buckets: bool = False
    bucket_of: Mapping[str, str] = field(default_factory=dict)
    elsewhere: str = ""
    device: bool = False

    @property
    def varies(self) -> bool:
        """Whether anything but the query counts."""
        return bool(self.cookies.patterns or self.fields) or self.buckets or self.device


@dataclass(frozen=True, slots=True)
class FileRule:
    """Paths of files that are the same for everybody, if the answer's media type is one of `types`.

    `seconds` is the lifetime of those that come without one.
    """

    paths: Patterns
    types: Patterns
    seconds: int | None = None


TokenSource = Literal["cookie", "session", "common"]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class TokenRule:
    """A form token that a shop writes into its pages, and where each visitor's own comes from.

    `find` are patterns over a page's bytes, each with one group: the token. `source` is "cookie" where the
    shop compares what is sent with its cookie `cookie` (double submit), so that the edge makes both, `length`
    characters of `alphabet`; "session" where the token is bound to the session in `cookie`, so that a page
    (`page`, a path; None: the one that the form was on) is fetched for the visitor when he first sends one;
    "common" where all who are anonymous have the same. `fields` are request fields in which scripts send it.

    Bound to a session and found in no page, it is what the cookie itself holds, for scripts to read; without
    fields there is no token at all, but whoever sends a form without the cookie is given one first.
    """

    name: str
    find: tuple[str, ...]
    source: TokenSource
    cookie: str = ""
    alphabet: str = ALPHABET
    length: int = 32
    page: str | None = None
    fields: tuple[str, ...] = ()  # lower case

    @property
    def is_given(self) -> bool:
        """Whether the edge gives it to visitors with their pages."""
        return self.source == "cookie" or (self.source == "session" and bool(self.find or self.fields))

    @property
    def in_cookie(self) -> bool:
        """Whether scripts read the token out of the cookie."""
        return self.source == "session" and not self.find and bool(self.fields)


Habit = Literal["private", "no-store", "no-cache"]
PAGE_TYPES = Patterns(("text/html", "application/xhtml+xml"))


@dataclass(frozen=True, slots=True)
class PageRules:
    """How pages are shared that the shop makes for nobody in particular, though it sets cookies with each.

    `seconds` is the lifetime of pages that come without one. `despite_paths` and `despite_query` (names of
    parameters) are the routes on which what the shop says of `habits` (private, no-store, no-cache) is its
    framework's habit, not a wish. `mark` gives a marker cookie to who has sent an unsafe request: only marked
    visitors are personal then, whatever the shop's opaque session cookie says. `ignore_cookies` say nothing
    of a visitor. `marking_*` are safe requests that mark all the same, `sparing_*` unsafe ones that do not; a
    mark lasts `mark_seconds`. Only answers of `types` are pages. `outdate`: a form sent to a page's address
    outdates it (RFC 9111 §4.4). `browsers` is the Cache-Control
    that visitors get with pages; None: the shop's.
    """

    seconds: int
    despite_paths: Patterns = NOTHING
    despite_query: Patterns = NOTHING
    ignore_cookies: Patterns = NOTHING
    mark: bool = False
    tokens: tuple[TokenRule, ...] = ()
    types: Patterns = PAGE_TYPES
    habits: frozenset[Habit] = frozenset({"private", "no-store", "no-cache"})
    mark_seconds: int = 14 * 86_400
    marking_paths: Patterns = NOTHING
    marking_query: Patterns = NOTHING
    sparing_paths: Patterns = NOTHING
    sparing_query: Patterns = NOTHING
    outdate: bool = True
    browsers: str | None = None


@dataclass(frozen=True, slots=True)
class ClassRules:
    """How a site's requests are told apart before the cache is asked. `pages` None: as RFC 9111 has it."""

    never_paths: Patterns = NOTHING
    never_query: Patterns = NOTHING
    files: tuple[FileRule, ...] = ()
    bypass_cookies: Patterns = NOTHING
    pages: PageRules | None = None

    def __bool__(self) -> bool:
        paths = self.never_paths.patterns or self.never_query.patterns
        return bool(paths or self.files or self.bypass_cookies.patterns) or self.pages is not None


PAGES = Patterns(("text/html", "application/xhtml+xml"))


@dataclass(frozen=True, slots=True)
class EsiRules:
    """Pages made of fragments (ESI 1.0): which, and how much of it.

    ESI is done where the answer's Surrogate-Control asks for it, and unasked for `types` under `paths`.
    `cookies` are those whose values pages may show. Of one page: `depth` levels of fragments within
    fragments, `number` fragments in all, of which `ahead` are asked for at a time; each may have `size`
    bytes and take `seconds`.
    """

    paths: Patterns = NOTHING
    types: Patterns = PAGES
    cookies: Patterns = NOTHING
    depth: int = 3
    number: int = 64
    ahead: int = 8
    size: int = 256 * 1024
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class SliceRules:
    """Which bodies are kept and fetched in slices of `size` bytes.

    Bodies of more than `over` bytes (None: those that the store does not keep whole) are, if `learn` is set
    and the origin shows that it knows ranges; those at the paths `known` are asked for in slices at once.
    """

    size: int = 2**20
    over: int | None = None
    learn: bool = True
    known: Patterns = NOTHING


@dataclass(frozen=True, slots=True)
class SiteRules:
    """One site's rules.

    `stale_while_revalidate` and `stale_if_error` (seconds) hold for answers that do not say themselves
    (RFC 5861); `stale_if_unreachable` likewise, while no origin can be reached at all (RFC 9111 §4.2.4).
    `obey_reload` lets clients force a revalidation (no-cache, max-age, min-fresh in requests).
    `early_hints` tells browsers what a stale page links to while they wait (RFC 8297).
    `commerce_prefix` is the path under which the commerce origin answers, or None.
    `platform` names the pack of rules that the site's own add to, and its version, or None.
    `share_set_cookie` stores answers with Set-Cookie, cookie and all, if they are explicitly cacheable.
    `guard`: pages that cookies went with are shared only once they proved to be the same for all.
    `esi` None: pages are what the origin sends. `shield` is the PoP by way of which others ask the origin.
    """

    name: str
    commerce_prefix: str | None = None
    platform: str | None = None
    share_set_cookie: bool = False
    guard: bool = False
    stale_while_revalidate: int = 0
    stale_if_error: int = 0
    stale_if_unreachable: int = 86_400
    obey_reload: bool = False
    early_hints: bool = True
    compression: Compression = Compression()
    key: KeyRules = KeyRules()
    classes: ClassRules = ClassRules()
    esi: EsiRules | None = None
    shield: str | None = None
    traffic: TrafficRules | None = None
    slices: SliceRules = SliceRules()

    @property
    def by_country(self) -> bool:
        """Whether anything depends on the country that a visitor is in."""
        told = self.traffic is not None and self.traffic.by_country
        return self.key.buckets or self.esi is not None or told
