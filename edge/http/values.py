"""Frozen dataclasses for what every request makes a dozen of: the type checker keeps them frozen.

At run time nothing does, for that costs a call for each of their attributes: a tenth of a miss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, slots: bool, frozen: bool = False, eq: bool = True, weakref_slot: bool = False):
        """As the standard library's; hashable where it is to be frozen."""
        hashable = frozen and eq
        return dataclasses.dataclass(slots=slots, eq=eq, unsafe_hash=hashable, weakref_slot=weakref_slot)


__all__ = ("dataclass",)
