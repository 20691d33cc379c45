"""What all tests share: how long properties are searched for a counter-example."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SLOW_MACHINES = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("test", max_examples=100, **SLOW_MACHINES)
settings.register_profile("fuzz", max_examples=50_000, **SLOW_MACHINES)
settings.load_profile("test")
