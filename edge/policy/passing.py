"""Which requests go to the origin by way of other nodes: those whose answers may be shared. Pure."""

from __future__ import annotations

from edge.http.message import Request
from edge.policy.classes import Class, File, Page
from edge.policy.lookup import request_directives
from edge.policy.rules import SiteRules


def is_passed_on(question: Request, kind: Class, rules: SiteRules) -> bool:
    """Whether others may answer `question`, which is of `kind`: one that bears nothing of its visitor's own.

    Pages that are yet to prove that they are everybody's, and those that are put together for each visitor,
    come from the origin as they are.
    """
    if question.method != "GET" or rules.esi is not None or not isinstance(kind, File | Page):
        return False
    fields = question.fields
    if "authorization" in fields or "cookie" in fields:
        return False
    return not request_directives(question).no_store
