"""What the origin is sent by the site's traffic rules, and its answer in the visitor's terms again."""

from __future__ import annotations

from edge.http.message import Answer, Request
from edge.intake import Exchange
from edge.policy.rewrites import Escape, put_back, towards
from edge.policy.rules import SiteRules
from edge.upstream.contract import UpstreamError


def ruled(outbound: Request, x: Exchange) -> Request:
    """`outbound`, made of what `x` asked, as its site's rules send it. Raises UpstreamError."""
    return sent_on(outbound, x.asked, x.rules)


def sent_on(outbound: Request, asked: Request, rules: SiteRules) -> Request:
    """`outbound`, made of what the visitor `asked`, as the rules send it.

    Raises UpstreamError where that would lead out of what they name.
    """
    if rules.traffic is None:
        return outbound
    sent = towards(outbound, asked, rules.traffic)
    if isinstance(sent, Escape):
        raise UpstreamError("protocol", rules.name, "the path leads out of a rewrite", sent=False)
    return sent


def unruled(answer: Answer, x: Exchange) -> Answer:
    """`answer` with the URLs in its fields as the visitor may ask for them."""
    if x.rules.traffic is None or not x.rules.traffic.rewrites:
        return answer
    return answer.but(fields=put_back(answer.fields, x.asked, x.rules.traffic))
