"""Workers that share a store: real processes, spoken with line by line."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MIB = 2**20


class Hand:
    """One worker's process."""

    def __init__(
        self,
        directory: Path,
        *,
        size: int = 64 * MIB,
        memory: int = 8 * MIB,
        synced: bool = False,
        of: int | None = None,
    ) -> None:
        """With `of` it is one of so many of a node that has `memory` in all; else it has that for itself."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.edge.store.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        self.say(directory=str(directory), size=size, memory=memory, synced=synced, of=of)
        assert self.hear() == "ready"

    def say(self, **told: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError("the worker is gone")
        return json.loads(line)

    def do(self, what: str, **told: Any) -> Any:
        """Have it done; what came of it."""
        self.say(do=what, **told)
        return self.hear()

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.end()

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.say(do="close")
        self.end()

    def end(self) -> None:
        self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def crew(count: int, directory: Path, **how: Any) -> Iterator[list[Hand]]:
    """`count` workers that share the store in `directory`."""
    hands = [Hand(directory, **how) for _ in range(count)]
    try:
        yield hands
    finally:
        for hand in hands:
            if hand.process.returncode is None:
                hand.close()
