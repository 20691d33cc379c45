"""Runs benchmarks: every file beside this one asks one question and can be run alone.

    python -m bench [NAME ...]
    python -m bench NAME OPTIONS

A benchmark prints a table and writes bench/results/NAME.json. All load stays on loopback.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.support.tools import FOR_BENCH, ToolMissing, bring

HERE = Path(__file__).parent
LIMIT = 1800  # seconds that one benchmark may take


def questions() -> dict[str, str]:
    """Each benchmark's name and the question it asks."""
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        for path in sorted(HERE.glob("*.py"))
        if not path.stem.startswith("_")
    }


def main(wanted: list[str]) -> int:
    """Runs those that are wanted, or all; 1 if one failed."""
    console = Console(highlight=False)
    known = questions()
    begin = next((at for at, word in enumerate(wanted) if word not in known), len(wanted))
    names, options = wanted[:begin], wanted[begin:]
    if options[:1] in (["-h"], ["--help"]) and not names:
        console.print(__doc__)
        for name, question in known.items():
            console.print(f"{name:8} {question}")
        return 0
    if options and len(names) != 1:
        console.print(f"got {options[0]}, expected one of {', '.join(known)} and then its options")
        return 2
    for tool in FOR_BENCH:
        try:
            bring(tool)
        except ToolMissing as error:
            console.print(f"without {tool}: {error}", style="yellow", markup=False)
    failed = []
    for name in names or known:
        console.print(f"{name}: {known[name]}", style="bold")
        began = time.monotonic()
        try:
            command = [sys.executable, "-m", f"bench.{name}", *options]
            code = subprocess.run(command, timeout=LIMIT).returncode
        except subprocess.TimeoutExpired:
            code = -1
        if code:
            failed.append(name)
        console.print(f"{name}: {time.monotonic() - began:.0f} s{', FAILED' if code else ''}\n", style="dim")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
