"""What a node speaks to clients beside HTTP/1.1."""

from __future__ import annotations

from pydantic import Field

from edge.document.notation import Table


class Http2Table(Table):
    """HTTP/2: over TLS where a client chooses it (ALPN), on plain listeners for who knows beforehand."""

    enabled: bool = Field(True, description="Whether it is spoken.")
    streams: int = Field(
        128, ge=1, le=10_000, description="Requests that one connection may have under way; more are refused."
    )
