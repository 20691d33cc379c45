"""What there is to look at: the files that git knows, and the project's own modules among them."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edge", "origin", "control", "geo")
FENCE = re.compile(
    r"^```(?P<language>\S*)[ ]?(?P<about>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block of a Markdown page."""

    page: Path
    language: str
    about: str
    text: str


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project: what git tracks, or would track once added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return tuple(
        ROOT / name for name in sorted(listed.stdout.split("\0")) if name and (ROOT / name).is_file()
    )


def sources(*tops: str) -> tuple[Path, ...]:
    """Python files under the top-level directories `tops`, all of them by default."""
    return tuple(
        path
        for path in files()
        if path.suffix == ".py" and (not tops or path.relative_to(ROOT).parts[0] in tops)
    )


def pages() -> tuple[Path, ...]:
    """Every Markdown page."""
    return tuple(path for path in files() if path.suffix == ".md")


def blocks(*languages: str) -> tuple[Block, ...]:
    """The fenced blocks of all pages in one of `languages`."""
    return tuple(
        Block(page.relative_to(ROOT), found["language"], found["about"].strip(), found["text"])
        for page in pages()
        for found in FENCE.finditer(page.read_text(encoding="utf-8"))
        if found["language"] in languages
    )


def shown(path: Path) -> str:
    """`path` as the project's people write it."""
    return path.relative_to(ROOT).as_posix()
