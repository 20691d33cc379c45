"""Cache-Status."""

from __future__ import annotations

import http_sf
from hypothesis import given
from hypothesis import strategies as st

from edge.http.cache_status import LONGEST_KEY, cache_status


def test_a_hit_and_a_miss() -> None:
    assert cache_status("tepi", hit=True, ttl=5) == "tepi; hit; ttl=5"
    assert (
        cache_status("tepi", fwd="uri-miss", fwd_status=200, stored=True, collapsed=True, detail="x-y")
        == "tepi; fwd=uri-miss; fwd-status=200; stored; collapsed; detail=x-y"
    )


@given(
    st.booleans(),
    st.one_of(st.none(), st.integers(-999, 999)),
    st.one_of(st.none(), st.text()),
    st.one_of(st.none(), st.text(st.characters(min_codepoint=32, max_codepoint=126))),
)
def test_it_is_always_a_well_formed_structured_field(
    hit: bool, ttl: int | None, key: str | None, detail: str | None
) -> None:
    value = cache_status("tepi", hit=hit, ttl=ttl, key=key, detail=detail)
    ((cache, parameters),) = http_sf.parse(value.encode("ascii"), tltype="list")
    assert str(cache) == "tepi"
    assert parameters.get("ttl") == ttl
    assert parameters.get("hit", False) is hit
    assert key is None or len(key) > LONGEST_KEY or parameters.get("key") in (key, None)
    if detail is not None:
        assert str(parameters["detail"]) == detail
