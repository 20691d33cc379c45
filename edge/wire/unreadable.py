"""What is answered where no request can be made of a head."""

from __future__ import annotations

from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import _ErrInfo

from edge.guard.refusal import Refusal
from edge.wire.methods import LONGEST

MALFORMED = Refusal(400, "malformed", "this is not a request of HTTP/1.1", close=True)
HEAD_TOO_LARGE = Refusal(431, "head-size", "request line and fields are too long", close=True)
HEAD_TOO_SLOW = Refusal(408, "slow-head", "the request's head took too long", close=True)
METHOD_TOO_LONG = Refusal(501, "method-length", f"a method has {LONGEST} characters at most", close=True)


def refusal_of(error: _ErrInfo) -> Refusal:
    """What the parser's `error`, or the server's own, is answered with."""
    for known in (HEAD_TOO_LARGE, HEAD_TOO_SLOW, METHOD_TOO_LONG):
        if error.message == known.reason:
            return known
    return HEAD_TOO_LARGE if isinstance(error.exc, LineTooLong) else MALFORMED
