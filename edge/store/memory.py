"""The memory store: entries under one budget of bytes."""

from __future__ import annotations


class MemoryStore:
    """Holds stored answers; never more than `budget` bytes, bodies and bookkeeping together.

    Bodies over `max_object` bytes are never kept: the pipeline streams them.
    """

    def __init__(self, budget: int, max_object: int) -> None:
        self.budget = budget
        self.max_object = max_object
