"""Compression: gzip, Brotli, zstd, chosen by what the client accepts (RFC 9110 §12.5.3)."""

from __future__ import annotations


class Compressor:
    """Compresses bodies; `budget` bounds how many bytes are compressed on the event loop at once."""
