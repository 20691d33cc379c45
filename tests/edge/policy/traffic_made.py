"""Traffic rules as a site's document makes them, for tests of what policy makes of those."""

from __future__ import annotations

from typing import Any

from edge.config import Site
from edge.policy.traffic import TrafficRules

SHOP = {"name": "shop", "hosts": ["shop.test", "www.shop.test"], "origins": [{"url": "http://127.0.0.1:1"}]}


def traffic(**tables: Any) -> TrafficRules:
    """The rules of a site with `tables`. Raises pydantic's ValidationError."""
    rules = Site.model_validate({**SHOP, **tables}).rules().traffic
    assert rules is not None
    return rules
