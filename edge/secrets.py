"""Secrets are written in configuration as references, and read where they are used."""

from __future__ import annotations

import os
from pathlib import Path


class NoSecret(ValueError):
    """The reference leads nowhere, or to no such secret; the text names it, never a secret."""


def resolve(reference: str) -> str:
    """The secret behind `file:PATH` or `env:NAME`. Raises NoSecret."""
    kind, _, name = reference.partition(":")
    match kind:
        case "env":
            value = os.environ.get(name)
            if not value:
                raise NoSecret(f"{reference}: the environment has no {name}")
            return value
        case "file":
            try:
                return Path(name).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise NoSecret(f"{reference}: {error.strerror}") from error
        case _:
            raise NoSecret("expected a reference, file:PATH or env:NAME")
