"""Rights: what roles and scopes come to, and for which sites."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control.rights import EVERY_RIGHT, OF_A_SITE, ROLES, Principal, of_role, of_scopes

scopes = st.lists(st.sampled_from([*EVERY_RIGHT, "admin", "nonsense"]))
sites = st.none() | st.frozensets(st.sampled_from(["shop", "blog"]))


def test_each_role_may_what_the_one_below_may_and_more() -> None:
    viewer, operator, admin = (of_role(role) for role in ("viewer", "operator", "admin"))
    assert viewer < operator < admin == EVERY_RIGHT
    assert of_role("nonsense") == frozenset()
    assert list(ROLES) == ["viewer", "operator", "admin"]


@given(scopes, sites)
def test_rights_for_some_sites_are_never_rights_of_the_fleet(asked: list[str], held: frozenset[str]) -> None:
    one = Principal("x", "token", of_scopes(asked), held)
    assert one.rights <= one.granted
    if held is not None:
        assert one.rights <= OF_A_SITE
        assert not one.may_touch(None)
    assert one.may_touch("shop") == (held is None or "shop" in held)
    assert one.may("nodes") == (held is None and ("nodes" in asked or "admin" in asked))
