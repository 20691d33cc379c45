"""The access log: one line an answer, written in batches. Compiled with the lane."""

from __future__ import annotations

import fcntl
import json
import re
import time
from collections.abc import Callable
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Literal

import cython

from edge.http.message import Fields, Outcome, Request
from edge.telemetry import Finished

STANDARD_OUTPUT = 1
FLUSH_BYTES = 32 * 1024
_SECRET = re.compile(
    r"([?&;][^=&;]*(?:token|secret|passw|pwd|sig|auth|session|sid|key|code|otp|email)[^=&;]*=)[^&;]+",
    re.IGNORECASE,
)
_quote = json.encoder.encode_basestring_ascii
_UNPRINTABLE = re.compile(r'[\x00-\x1f"\\\x7f-\xff]')

_QUICK = tuple(f"0.{micro:06d}" for micro in range(1000))

Mould = tuple[str, ...]  # a line's texts between what differs from answer to answer


@cython.cclass
class Form:
    """How a line is written."""

    def mould(self, request: Request, status: int, bytes_sent: int, outcome: Outcome, node: str) -> Mould:
        """What stays the same for all answers like this one to requests like this one."""
        raise NotImplementedError

    def tail(self, fields: Fields) -> str:
        """The line's end: what a request's fields say of its client."""
        raise NotImplementedError

    @cython.ccall
    def line(
        self,
        mould: Mould,
        tail: str,
        now: cython.double,
        named: str,
        client: str,
        seconds: cython.double,
    ) -> str:
        """A whole line. `now` is the wall clock, `named` the request's id, `client` an address."""
        raise NotImplementedError


@cython.cclass
class AccessLog:
    """One line an answer, written in batches. No cookie or credential appears; secrets in URLs are cut."""

    _form: Form
    _node: str
    _file: str
    _wall: Callable[[], float]
    _waiting: list[str]
    _size: cython.long
    _out: RawIOBase
    _turn: int | None

    def __init__(
        self,
        form: Literal["json", "combined"],
        file: str,
        wall: Callable[[], float],
        node: str,
        turn: int | None = None,
    ) -> None:
        """Opens `file`, or takes standard output where it is empty. Raises OSError.

        Where other processes write there too, they take turns by the lock of the open file `turn`.
        """
        self._turn = turn
        self._form = Json() if form == "json" else Combined()
        self._node = node
        self._file = file
        self._wall = wall
        self._waiting = []
        self._size = 0
        self._out = self._open()

    def write(self, finished: Finished) -> None:
        """Notes one answer; it is in the file after the next `flush`, or when enough has gathered."""
        request = finished.request
        mould = self.mould(request, finished.status, finished.bytes_sent, finished.outcome)
        self.again(mould, self.tail(request.fields), request.id, request.client.address, finished.seconds)

    def mould(self, request: Request, status: int, bytes_sent: int, outcome: Outcome) -> Mould:
        """What stays the same when the very same answer is given again."""
        return self._form.mould(request, status, bytes_sent, outcome, self._node)

    def tail(self, fields: Fields) -> str:
        """What stays the same when the very same client asks again."""
        return self._form.tail(fields)

    @cython.ccall
    def again(self, mould: Mould, tail: str, named: str, client: str, seconds: cython.double) -> None:
        """Notes one answer by what `mould` and `tail` made of one like it."""
        line: str = self._form.line(mould, tail, self._wall(), named, client, seconds)
        self._waiting.append(line)
        self._size += len(line)
        if self._size > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what waits. A full disk or a closed pipe costs lines, never answers."""
        if not self._waiting:
            return
        text = "".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        turn = self._turn
        try:
            if turn is not None:
                fcntl.lockf(turn, fcntl.LOCK_EX)
            while left and (written := self._out.write(left)):
                left = left[written:]
        except OSError:
            return
        finally:
            if turn is not None:
                fcntl.lockf(turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Writes what waits, for the last time."""
        self.flush()
        if self._file:
            self._out.close()

    def _open(self) -> RawIOBase:
        if self._file:
            return Path(self._file).open("ab", buffering=0)
        return FileIO(STANDARD_OUTPUT, "wb", closefd=False)


@cython.cclass
class Json(Form):
    """One JSON object a line."""

    _milli: cython.longlong  # the moment of the line before, and how it is written
    _at: str

    def __init__(self) -> None:
        self._milli = -1
        self._at = ""

    def mould(self, request: Request, status: int, bytes_sent: int, outcome: Outcome, node: str) -> Mould:
        asked = (
            f'"method":{_quote(request.method)},"scheme":{_quote(request.scheme)},'
            f'"host":{_quote(request.host)},"target":{_quote(without_secrets(request.target))},'
            f'"version":{_quote(request.version)},"status":{status},"bytes":{bytes_sent}'
        )
        if request.asker is not None:
            asked += f',"peer":{_quote(request.asker.name)}'
        answered = (
            f'"site":{_or_null(outcome.site)},"verdict":{_quote(outcome.verdict)},'
            f'"reason":{_or_null(outcome.reason)}'
        )
        if outcome.rules:
            answered += f',"rules":[{",".join([_quote(rule) for rule in outcome.rules])}]'
        if outcome.origin is not None:
            seconds, said = outcome.origin_seconds, outcome.origin_status
            answered += (
                f',"origin":{_quote(outcome.origin)},"origin_status":{"null" if said is None else said},'
                f'"origin_seconds":{"null" if seconds is None else round(seconds, 6)}'
            )
        return (
            f',"node":{_quote(node)},"id":"',
            '","client":"',
            f'",{asked},"seconds":',
            f",{answered}",
        )

    def tail(self, fields: Fields) -> str:
        return fields.derived(_json_tail)

    @cython.ccall
    def line(
        self,
        mould: Mould,
        tail: str,
        now: cython.double,
        named: str,
        client: str,
        seconds: cython.double,
    ) -> str:
        node, before, asked, answered = mould
        milli: cython.longlong = int(now * 1000)
        micro: cython.longlong = int(seconds * 1_000_000)
        if milli != self._milli:
            self._milli = milli
            self._at = f"{milli // 1000}.{milli % 1000:03d}"
        took: str = (
            _QUICK[micro] if 0 <= micro < len(_QUICK) else f"{micro // 1_000_000}.{micro % 1_000_000:06d}"
        )
        return f'{{"time":{self._at}{node}{named}{before}{client}{asked}{took}{answered}{tail}'


@cython.cclass
class Combined(Form):
    """Apache's and nginx's combined format."""

    def mould(self, request: Request, status: int, bytes_sent: int, outcome: Outcome, node: str) -> Mould:
        asked = f"{request.method} {without_secrets(request.target)} HTTP/{request.version}"
        return (f'] "{_quoted(asked)}" {status} {bytes_sent} ',)

    def tail(self, fields: Fields) -> str:
        return fields.derived(_combined_tail)

    @cython.ccall
    def line(
        self,
        mould: Mould,
        tail: str,
        now: cython.double,
        named: str,
        client: str,
        seconds: cython.double,
    ) -> str:
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now))
        return f"{client} - - [{stamp}{mould[0]}{tail}"


def _or_null(text: object) -> str:
    """A string as JSON, or None; of a StrEnum, too."""
    return "null" if text is None else _quote(str(text))


def _json_tail(fields: Fields) -> str:
    agent, referer = fields.get("user-agent"), fields.get("referer")
    said = "" if agent is None else f',"agent":{_quote(agent)}'
    if referer is not None:
        said += f',"referer":{_quote(without_secrets(referer))}'
    return said + "}\n"


def _combined_tail(fields: Fields) -> str:
    referer = without_secrets(fields.get("referer") or "-")
    return f'"{_quoted(referer)}" "{_quoted(fields.get("user-agent") or "-")}"\n'


def without_secrets(target: str) -> str:
    """`target` with the values of parameters cut that are named like a secret."""
    return _SECRET.sub(r"\1...", target) if "?" in target else target


def _quoted(text: str) -> str:
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02X}", text)
