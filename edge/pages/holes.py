"""What stands in a page's holes for this visitor: a token that is his, or a stand-in until he needs one."""

from __future__ import annotations

import re
from collections.abc import Callable

from edge.http.cookies import cookies
from edge.http.message import Line
from edge.intake import Exchange
from edge.pages.assembly import Filled
from edge.policy.rules import TokenRule
from edge.policy.standins import NAME, SECRET, Secret, cookie_of, is_stand_in, make, secret_of, secrets_of
from edge.transform.template import Hole

# A visitor's cookie is written into his page only if it can end neither an attribute nor a script's string.
_SAFE = re.compile(r"[A-Za-z0-9_.~+/=-]{8,512}")
_LASTS = re.compile(r";\s*(?:max-age|expires)\s*=", re.IGNORECASE)


class Holes:
    """Fills holes. `random` gives so many random bytes."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random

    async def fill(self, x: Exchange, holes: frozenset[Hole]) -> Filled:
        """Each hole's value for the visitor of `x`, and the cookies without which it is worth nothing."""
        pages = x.rules.classes.pages
        rules = {} if pages is None else {rule.name: rule for rule in pages.tokens}
        own = cookies(x.asked.fields)
        had = dict(reversed(own))  # the first of several counts
        secure = x.asked.scheme == "https"
        values: dict[Hole, bytes] = {}
        lines: dict[Line, None] = {}
        made: dict[str, str] = {}
        secret = next(iter(secrets_of(own, secure=secure).values()), None)
        for hole in sorted(holes, key=_order):
            rule = rules.get(hole.rule)
            if rule is None:
                continue
            if rule.source == "session":
                if secret is None:
                    secret = secret_of(self._random(SECRET + NAME))
                    lines[cookie_of(secret, secure=secure)] = None
                values[hole] = self._stand_in(secret, hole)
                given = values[hole].decode()
                wanted = rule.in_cookie and (rule.cookie not in had or is_stand_in(had[rule.cookie]))
            else:
                if rule.cookie not in made:
                    made[rule.cookie] = self._value(rule, had.get(rule.cookie))
                given = made[rule.cookie]
                values[hole] = given.encode("ascii")
                wanted = had.get(rule.cookie) != given or _LASTS.search(hole.cookie or "") is not None
            if wanted:
                lines["Set-Cookie", f"{rule.cookie}={given}{hole.cookie or '; Path=/; SameSite=Lax'}"] = None
        return Filled(values, tuple(lines))

    def _stand_in(self, secret: Secret, hole: Hole) -> bytes:
        return make(secret, hole.rule, hole.ordinal, self._random(SECRET))

    def _value(self, rule: TokenRule, had: str | None) -> str:
        """The visitor's own double-submit token, or a new one."""
        if had is not None and _SAFE.fullmatch(had):
            return had
        random = self._random(2 * rule.length)
        numbers = (int.from_bytes(random[at : at + 2], "big") for at in range(0, len(random), 2))
        return "".join(rule.alphabet[number % len(rule.alphabet)] for number in numbers)


def _order(hole: Hole) -> tuple[str, int, str]:
    return hole.rule, hole.ordinal, hole.cookie or ""
