"""What is known of the browser that pays: a mark of its own, and when it was shown the page (pure)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from origin.contract import Visitor

COOKIE = "tepi_device"
YEAR = 31_536_000
_MARK = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Browser:
    """Who pays, with what. `device` is empty and `page_viewed` None where nothing is known."""

    visitor: Visitor
    device: str = ""
    page_viewed: float | None = None  # seconds since 1970


def device_of(cookies: Mapping[str, str]) -> str:
    """The browser's mark; nothing where it has none of ours."""
    mark = cookies.get(COOKIE, "")
    return mark if _MARK.fullmatch(mark) else ""


def device_cookie(mark: str, path: str, *, secure: bool) -> str:
    """The Set-Cookie value that gives a browser its mark (32 hexadecimal digits)."""
    attributes = f"Path={path}; Max-Age={YEAR}; HttpOnly; SameSite=Lax"
    return f"{COOKIE}={mark}; {attributes}{'; Secure' if secure else ''}"


def sealed_view(secret: bytes, session: str, at: float) -> str:
    """The moment that a session's page was shown, so that its form can say it and nobody else."""
    return f"{at:.3f}.{_seal(secret, session, f'{at:.3f}')}"


def page_viewed(secret: bytes, session: str, said: str) -> float | None:
    """The moment in a form; None where it is missing or not sealed by us for this session."""
    at, _, seal = said.rpartition(".")
    if not hmac.compare_digest(seal.encode(), _seal(secret, session, at).encode()):
        return None
    return float(at)


def _seal(secret: bytes, session: str, at: str) -> str:
    return hmac.digest(secret, f"view:{session}:{at}".encode("utf-8", "replace"), hashlib.sha256).hex()
