"""What is known of status codes (RFC 9110 §15)."""

from __future__ import annotations

# §15.1: may be kept on a guess.
HEURISTICALLY_CACHEABLE = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})

# Final codes whose caching rules are built in here (RFC 9111 §3, §5.2.2.3).
UNDERSTOOD = frozenset(
    {200, 203, 204, 300, 301, 302, 303, 307, 308}
    | {400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 417}
    | {421, 422, 423, 424, 425, 426, 428, 429, 431, 451}
    | {500, 501, 502, 503, 504, 505, 508, 511}
    | {201, 202, 205, 207, 208}
)
# Codes that mean something only together with the request that they answer.
NEVER_STORED = frozenset({206, 304, 416})

# RFC 9110 §9.2.1, and those that are registered as safe.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"})


def is_error(status: int) -> bool:
    """Whether stale-if-error speaks of `status` (RFC 5861 §4)."""
    return status in (500, 502, 503, 504)
