"""One exchange as HTTP: who asks, and a plugin's answer with what caches need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime

from aiohttp import web

from origin.contract import Answer, Call, Visitor


def respond(request: web.Request, answer: Answer) -> web.Response:
    """`answer` as HTTP: with an ETag of its bytes, and 304 where the client has them (RFC 9110 §13)."""
    body, content_type = answer.encoded()
    fields = [*answer.policy.fields().items(), *answer.fields.items()]
    fields += [("Set-Cookie", cookie) for cookie in answer.cookies]
    if answer.last_modified is not None:
        fields.append(("Last-Modified", formatdate(answer.last_modified, usegmt=True)))
    if answer.status == 200 and not answer.policy.private:
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        fields.append(("ETag", etag))
        if request.method in ("GET", "HEAD") and _has_it(request, etag, answer.last_modified):
            return web.Response(status=304, headers=fields)
    fields += [("Content-Type", content_type), ("X-Content-Type-Options", "nosniff")]
    return web.Response(status=answer.status, body=body, headers=fields)


def _has_it(request: web.Request, etag: str, modified: float | None) -> bool:
    asked = request.headers.get("If-None-Match")
    if asked is not None:
        return asked.strip() == "*" or etag in [one.strip().removeprefix("W/") for one in asked.split(",")]
    since = request.headers.get("If-Modified-Since")
    if since is None or modified is None:
        return False
    try:
        return int(modified) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, TypeError):
        return False


def visitor_of(request: web.Request, is_member: Callable[[str, str], bool]) -> Visitor:
    """Who asks: by the node's word if a member of the fleet speaks, else by the connection alone."""
    transport = request.transport
    certificate = None if transport is None else transport.get_extra_info("peercert")
    if not certificate:
        return Visitor(request.remote or "")
    subject = {name: value for part in certificate.get("subject", ()) for name, value in part}
    serial = str(certificate.get("serialNumber", "")).lower().lstrip("0")
    if subject.get("organizationalUnitName") != "edge" or not is_member(
        subject.get("commonName", ""), serial
    ):
        return Visitor(request.remote or "")
    asn = request.headers.get("Tepi-Client-ASN", "")
    return Visitor(
        address=request.headers.get("Tepi-Client-Address", request.remote or ""),
        country=request.headers.get("Tepi-Client-Country"),
        asn=int(asn) if asn.isascii() and asn.isdigit() else None,
        site=request.headers.get("Tepi-Site"),
        trusted=True,
    )


def from_our_pages(call: Call) -> bool:
    """Whether a form was sent by a page of this very shop.

    Shared pages can't carry a token for each visitor. Browsers say instead where a form comes from, and no
    foreign page can make them lie: Sec-Fetch-Site, or Origin in older ones.
    """
    fields = call.request.headers
    site = fields.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    scheme, colon, host = fields.get("Origin", "").partition("://")
    return bool(colon) and scheme in ("http", "https") and host == fields.get("Host")


def language_of(call: Call) -> str:
    """What an operator's page is written in: Indonesian where that is wished first, else English."""
    return "id" if call.request.headers.get("Accept-Language", "").startswith("id") else "en"


def wants_html(call: Call) -> bool:
    """Whether a page is asked for, and not a document."""
    return "text/html" in call.request.headers.get("Accept", "")
