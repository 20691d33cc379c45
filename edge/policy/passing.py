"""Which requests go to the origin by way of other nodes: those whose answers may be shared. Pure."""

from __future__ import annotations

from edge.http.message import Request
from edge.policy.classes import Anonymous, Class, File, Page
from edge.policy.lookup import request_directives


def is_passed_on(question: Request, kind: Class) -> bool:
    """Whether others may answer `question`, which is of `kind`: one that bears nothing of its visitor's own.

    A page as nobody sees it is everybody's there as here: each node looks at what comes before it shares it.
    """
    if question.method != "GET" or not isinstance(kind, File | Anonymous | Page):
        return False
    fields = question.fields
    if "authorization" in fields or "cookie" in fields:
        return False
    return not request_directives(question).no_store
