"""Settings of the store: how much memory, and where on disk."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from edge.document.notation import Size, Table
from edge.settings.shared import SharedTable

SMALLEST = 16 * 2**20  # bytes on disk below which its index would leave no room for bodies


class StoreTable(Table):
    """Where answers are kept: in memory, and on disk behind it."""

    memory: Size = Field(256 * 2**20, description="Bytes for stored answers, bookkeeping included.")
    max_object: Size = Field(
        8 * 2**20, validate_default=True, description="Larger bodies are kept in slices, or passed on."
    )
    directory: str = Field(
        "", description="Directory of the store on disk, which survives restarts; empty: memory only."
    )
    disk: Size = Field(10 * 2**30, description="Bytes that the store on disk may take, its index included.")
    disk_low: float = Field(
        0.95,
        ge=0.1,
        le=1.0,
        description="A full disk store is emptied down to this share of `disk`.",
    )

    shared: SharedTable | None = Field(None, description="Redis or Valkey, which the PoP's nodes share.")

    @field_validator("max_object")
    @classmethod
    def _fits(cls, max_object: int, others: ValidationInfo) -> int:
        memory = others.data.get("memory", max_object)
        if max_object > memory:
            raise ValueError(f"no more than memory, which is {memory} bytes")
        return max_object

    @field_validator("disk")
    @classmethod
    def _holds_one(cls, disk: int, others: ValidationInfo) -> int:
        least = max(SMALLEST, 2 * others.data.get("max_object", 0))
        if disk < least:
            raise ValueError(f"at least {least} bytes, so that the largest object finds room (max_object)")
        return disk
