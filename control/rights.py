"""Who may do what: roles of people, scopes of tokens, and the sites that they hold for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Right = Literal["read", "purge", "sites", "nodes", "people"]
Role = Literal["viewer", "operator", "admin"]
Scope = Literal["read", "purge", "sites", "nodes", "people", "admin"]

EVERY_RIGHT: frozenset[Right] = frozenset(get_args(Right))
OF_A_SITE: frozenset[Right] = frozenset(("read", "purge", "sites"))  # what can be given for some sites alone
ROLES: Mapping[str, frozenset[Right]] = {
    "viewer": frozenset(("read",)),
    "operator": frozenset(("read", "purge", "sites")),
    "admin": EVERY_RIGHT,
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request: a person with a session, or a program with a token.

    `sites` are the only ones that the rights hold for; None is the whole fleet. `csrf` is a session's own.
    """

    name: str
    kind: Literal["user", "token"]
    granted: frozenset[Right]
    sites: frozenset[str] | None = None
    csrf: str | None = None

    @property
    def rights(self) -> frozenset[Right]:
        """What is left of what was granted, where it is granted for some sites alone."""
        return self.granted if self.sites is None else self.granted & OF_A_SITE

    def may(self, *rights: Right) -> bool:
        """Whether one of `rights` is held, for the fleet or for some site."""
        return not self.rights.isdisjoint(rights)

    def may_touch(self, site: str | None) -> bool:
        """Whether what is done may concern the site called `site`; None stands for all of them."""
        return self.sites is None or (site is not None and site in self.sites)


LEAST: Mapping[Role, Right] = {"viewer": "read", "operator": "sites", "admin": "people"}


def is_at_least(principal: Principal, role: Role) -> bool:
    """Whether whoever asks may what a person of `role` may, for the whole fleet."""
    return principal.sites is None and principal.may(LEAST[role])


def of_role(role: str) -> frozenset[Right]:
    """What a person of that role may do; an unknown role may nothing."""
    return ROLES.get(role, frozenset())


def of_scopes(scopes: Collection[str]) -> frozenset[Right]:
    """What a token of those scopes may do; unknown scopes add nothing."""
    if "admin" in scopes:
        return EVERY_RIGHT
    return frozenset(right for right in EVERY_RIGHT if right in scopes)
