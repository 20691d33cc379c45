"""What a site's operator has decided, as far as caching is concerned. Built by the configuration."""

from __future__ import annotations

from dataclasses import dataclass

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
class SiteRules:
    """One site's rules.

    `stale_while_revalidate` and `stale_if_error` (seconds) hold for answers that do not say themselves
    (RFC 5861); `stale_if_unreachable` likewise, while no origin can be reached at all (RFC 9111 §4.2.4).
    `obey_reload` lets clients force a revalidation (no-cache, max-age, min-fresh in requests).
    `commerce_prefix` is the path under which the commerce origin answers, or None.
    `share_set_cookie` stores answers with Set-Cookie, cookie and all, if they are explicitly cacheable.
    """

    name: str
    commerce_prefix: str | None = None
    share_set_cookie: bool = False
    stale_while_revalidate: int = 0
    stale_if_error: int = 0
    stale_if_unreachable: int = 86_400
    obey_reload: bool = False
    compression: Compression = Compression()
