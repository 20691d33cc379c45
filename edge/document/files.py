"""Documents in files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edge.document.problems import Problem, Refused


def read_toml(path: Path) -> dict[str, Any]:
    """The document in a TOML file. Raises Refused."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused([Problem("", str(path), f"a readable file ({error.strerror})")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused([Problem("", str(path), f"a TOML file ({error})")]) from None
