"""ESI 1.0, as much of it as pages are put together from, found in a body as it arrives.

Known: `include`, `remove`, `comment`, `vars`, and `<!--esi … -->`. What is not known, or is malformed, stays
as it is.
"""

from __future__ import annotations

import re

from edge.transform.template import Include, Piece, Reference, Text, Variable, merged

LONGEST_TAG = 4096  # bytes; a longer one is text
LONGEST_VARIABLE = 512
_OPENERS = (b"<esi:", b"</esi:", b"<!--esi ")
_TAG_OR_COMMENT = rb"</?esi:|<!--esi(?=[\s<])"
_MARKS = {  # by: within <!--esi -->, within <esi:vars>
    (False, False): (re.compile(_TAG_OR_COMMENT), _OPENERS),
    (True, False): (re.compile(_TAG_OR_COMMENT + rb"|-->"), (*_OPENERS, b"-->")),
    (False, True): (re.compile(_TAG_OR_COMMENT + rb"|\$\("), (*_OPENERS, b"$(")),
    (True, True): (re.compile(_TAG_OR_COMMENT + rb"|-->|\$\("), (*_OPENERS, b"-->", b"$(")),
}
_LONGEST_MARK = max(map(len, _OPENERS))
_NAMES = (b"include", b"remove", b"comment", b"vars")
_NAME = re.compile(rb"[A-Za-z0-9_-]*")
_TAG = re.compile(rb"""</?esi:[a-z]+((?:[^"'<>]++|"[^"]*+"|'[^']*+')*+)([<>])""")
_ATTRIBUTE = re.compile(rb"""([A-Za-z_][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_END_OF_REMOVE = re.compile(rb"</esi:remove\s{0,8}>")
_LONGEST_END = len(b"</esi:remove>") + 8
_VARIABLE = re.compile(rb"\$\(([A-Z][A-Z0-9_]*)(?:\{([^{}()|]*)\})?(?:\|(?:'([^'()]*)'|([^'()|]*)))?\)")
_ENTITY = re.compile(rb"&(amp|lt|gt|quot|apos);")
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}

_Step = tuple[int, bool]  # where to go on, and whether more must come first


class EsiParser:
    """Finds the pieces of one body. Holds back `LONGEST_TAG` bytes at most.

    However the body is cut, its pieces are the same once neighbouring texts are joined.
    """

    __slots__ = ("_ended", "_in_comment", "_in_vars", "_made", "_removing", "_tail")

    def __init__(self) -> None:
        self._tail = b""
        self._made: list[Piece] = []
        self._in_comment = False
        self._in_vars = False
        self._removing = False
        self._ended = False

    def feed(self, data: bytes) -> tuple[Piece, ...]:
        """The pieces that `data` completes."""
        data = self._tail + data
        at, enough = 0, True
        while enough and at < len(data):
            at, enough = self._removed(data, at) if self._removing else self._found(data, at)
        self._tail = data[at:]
        made, self._made = merged(self._made), []
        return made

    def end(self) -> tuple[Piece, ...]:
        """The pieces that are left."""
        self._ended = True
        return self.feed(b"")

    def _found(self, data: bytes, at: int) -> _Step:
        """Text up to the next mark, and what the mark begins."""
        marks, openers = _MARKS[self._in_comment, self._in_vars]
        mark = marks.search(data, at)
        if mark is None:
            sure = len(data) if self._ended else len(data) - _begun(data[at:], openers)
            self._text(data[at:sure])
            return sure, False
        start, end = mark.span()
        self._text(data[at:start])
        match mark.group():
            case b"$(":
                return self._variable(data, start)
            case b"-->":
                self._in_comment = False
            case b"<!--esi":
                self._in_comment = True
            case _:
                return self._tag(data, start, end)
        return end, True

    def _removed(self, data: bytes, at: int) -> _Step:
        """Nothing, up to the end of <esi:remove>."""
        end = _END_OF_REMOVE.search(data, at)
        if end is not None:
            self._removing = False
            return end.end(), True
        begun = -1 if self._ended else data.rfind(b"<", max(at, len(data) - _LONGEST_END))
        return (len(data) if begun < 0 else begun), False

    def _tag(self, data: bytes, start: int, named: int) -> _Step:
        found = _NAME.match(data, named)
        assert found is not None
        name, end = found.group(), found.end()
        if end == len(data) and not self._ended and any(known.startswith(name) for known in _NAMES):
            return start, False
        if name not in _NAMES:
            self._text(data[start:end])
            return end, True
        tag = _TAG.match(data, start, start + LONGEST_TAG)
        if tag is None and not self._ended and len(data) - start < LONGEST_TAG:
            return start, False
        if tag is None or tag.group(2) == b"<":
            self._text(data[start:end])
            return end, True
        self._element(name, tag.group(), tag.group(1))
        return tag.end(), True

    def _element(self, name: bytes, tag: bytes, said: bytes) -> None:
        closing, empty = tag.startswith(b"</"), said.endswith(b"/")
        match name:
            case b"include" if not closing:
                self._made.append(_include(said) or Text(tag))
            case b"remove" if not closing:
                self._removing = not empty
            case b"vars" if not empty:
                self._in_vars = not closing

    def _variable(self, data: bytes, start: int) -> _Step:
        end = data.find(b")", start, start + LONGEST_VARIABLE) + 1
        if not end and not self._ended and len(data) - start < LONGEST_VARIABLE:
            return start, False
        variable = _VARIABLE.fullmatch(data, start, end) if end else None
        if variable is None:
            self._text(b"$(")
            return start + 2, True
        self._made.append(_variable(variable))
        return end, True

    def _text(self, data: bytes) -> None:
        if data:
            self._made.append(Text(data))


def _begun(data: bytes, openers: tuple[bytes, ...]) -> int:
    """How many bytes at the end of `data` may be the beginning of a mark."""
    for size in range(min(_LONGEST_MARK - 1, len(data)), 0, -1):
        if any(opener.startswith(data[-size:]) for opener in openers):
            return size
    return 0


def _include(said: bytes) -> Include | None:
    """The include with the attributes `said`; None if it does not say what."""
    given = {
        name: _ENTITY.sub(lambda entity: _ENTITIES[entity.group(1)], double or single)
        for name, double, single in _ATTRIBUTE.findall(said)
    }
    src, alt = given.get(b"src", b"").strip(), given.get(b"alt", b"").strip()
    if not src:
        return None
    return Include(_reference(src), _reference(alt) if alt else None, given.get(b"onerror") == b"continue")


def _reference(text: bytes) -> Reference:
    parts: list[bytes | Variable] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        parts += [text[at : found.start()], _variable(found)]
        at = found.end()
    return tuple(part for part in (*parts, text[at:]) if part)


def _variable(found: re.Match[bytes]) -> Variable:
    name, key, quoted, bare = found.groups()
    key = None if key is None else key.decode("utf-8", "replace")
    return Variable(name.decode("ascii"), key, quoted or bare or b"")
