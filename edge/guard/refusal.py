"""A request that is refused before the pipeline sees it."""

from __future__ import annotations

from dataclasses import dataclass

from edge.http.message import Answer, Fields, Line, Outcome


@dataclass(frozen=True, slots=True)
class Refusal:
    """Status, the named reason for log and metrics, and one sentence for whoever asked."""

    status: int
    reason: str
    sentence: str
    retry_after: int | None = None
    close: bool = False

    def answer(self, identity: str, date: str) -> Answer:
        """As an answer of this node's own (RFC 9110 §15.5), never to be stored."""
        lines: list[Line] = [
            ("Date", date),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("Cache-Status", f"{identity}; detail={self.reason}"),
        ]
        if self.retry_after is not None:
            lines.append(("Retry-After", str(self.retry_after)))
        body = f"{self.sentence}\n".encode()
        return Answer(self.status, Fields(lines), body, Outcome("refused", self.reason))
