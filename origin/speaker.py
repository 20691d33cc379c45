"""Who speaks to the origin's pages through control: a signed user, good for one request of a few moments."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, unquote

USER, SIGNATURE = "Tepi-User", "Tepi-User-Signature"
TOLERANCE = 60.0  # seconds between control's clock and ours


class Unsigned(ValueError):
    """A user's name that control did not sign; the text says why, and no secret."""


def signed(secret: str, user: str, now: float, method: str, path: str, body: bytes) -> dict[str, str]:
    """The fields that say who asks. `path` has its query."""
    name, at = quote(user, safe=""), str(int(now))
    return {USER: name, SIGNATURE: f"t={at},v1={_mac(secret, name, at, method, path, body)}"}


def speaker(
    secret: str | None, fields: Mapping[str, str], now: float, method: str, path: str, body: bytes
) -> str:
    """The user who asks, nothing where nobody is named. Raises Unsigned."""
    name = fields.get(USER, "")
    if not name:
        return ""
    if secret is None:
        raise Unsigned(f"{USER} is named, and no pages_secret is set")
    parts = dict(part.partition("=")[::2] for part in fields.get(SIGNATURE, "").split(","))
    at = parts.get("t", "")
    if not at.isascii() or not at.isdigit() or abs(now - int(at[:12])) > TOLERANCE:
        raise Unsigned(f"{SIGNATURE}: expected t within {TOLERANCE:g} s of now: look at both clocks")
    if not hmac.compare_digest(_mac(secret, name, at, method, path, body), parts.get("v1", "")):
        raise Unsigned(f"{SIGNATURE}: not of control's: pages_secret must be the same at both")
    return unquote(name)


def _mac(secret: str, name: str, at: str, method: str, path: str, body: bytes) -> str:
    text = "\n".join((at, name, method, path, hashlib.sha256(body).hexdigest()))
    return hmac.digest(secret.encode(), text.encode(), hashlib.sha256).hex()
