"""Writes MaxMind DB files (format 2.0): a binary tree over address bits, then the records.

Equal subtrees are written once. Readers walk the tree from the root and never notice, and the file of a
country database shrinks to a third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack

MARKER = b"\xab\xcd\xefMaxMind.com"
EMPTY = -1  # a leaf without a record; record number n is the leaf -2 - n


class UInt16(int):
    """A number that readers expect in 16 bits."""


class UInt64(int):
    """A number that readers expect in 64 bits."""


Value = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]
Span = tuple[int, int, int]  # first and last address as numbers, record number


class Tree:
    """A binary tree whose equal subtrees are one. References are node numbers, or negative for leaves."""

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int]] = []
        self._known: dict[tuple[int, int], int] = {}

    def join(self, left: int, right: int) -> int:
        """The subtree with these halves."""
        if left == right and left < 0:
            return left
        number = self._known.setdefault((left, right), len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append((left, right))
        return number

    def subtree(self, spans: Sequence[Span], start: int, bits: int) -> int:
        """The subtree of the 2**bits addresses from `start`, out of the disjoint, sorted `spans` in it."""
        if not spans:
            return EMPTY
        first, last, record = spans[0]
        if first <= start and last >= start + (1 << bits) - 1:
            return -2 - record
        middle = start + (1 << bits - 1)
        left = [span for span in spans if span[0] < middle]
        right = [span for span in spans if span[1] >= middle]
        return self.join(self.subtree(left, start, bits - 1), self.subtree(right, middle, bits - 1))


def build(v4: Sequence[Span], v6: Sequence[Span]) -> tuple[Tree, int]:
    """The tree of both families and its root: IPv4 addresses are the lowest 32 bits of ::/96."""
    tree = Tree()
    root = tree.subtree(v4, 0, 32)
    for depth in range(96, 0, -1):
        bits = 128 - depth
        start = 1 << bits
        beside = [span for span in v6 if span[0] < 2 * start and span[1] >= start]
        root = tree.join(root, tree.subtree(beside, start, bits))
    if root < 0:  # one answer for every address, and yet the root must be a node
        tree.nodes.append((root, root))
        root = len(tree.nodes) - 1
    return tree, root


def write(
    tree: Tree, root: int, records: Sequence[Value], *, kind: str, description: str, built: int
) -> bytes:
    """The whole file. `kind` is its database type, `built` seconds since 1970."""
    numbers, order = _number(tree, root)
    offsets, data = _records(records)
    count = len(order)
    size = 24 if count + 16 + len(data) < 1 << 24 else 32

    def pointer(reference: int) -> bytes:
        if reference >= 0:
            target = numbers[reference]
        elif reference == EMPTY:
            target = count
        else:
            target = count + 16 + offsets[-2 - reference]
        return target.to_bytes(size // 8)

    search = b"".join(pointer(left) + pointer(right) for left, right in (tree.nodes[node] for node in order))
    metadata: dict[str, Value] = {
        "binary_format_major_version": UInt16(2),
        "binary_format_minor_version": UInt16(0),
        "build_epoch": UInt64(built),
        "database_type": kind,
        "description": {"en": description},
        "ip_version": UInt16(6),
        "languages": ["en"],
        "node_count": count,
        "record_size": UInt16(size),
    }
    return search + b"\0" * 16 + data + MARKER + encode(metadata)


def _number(tree: Tree, root: int) -> tuple[dict[int, int], list[int]]:
    """New numbers in the order of a walk from the root, which must be number 0."""
    numbers: dict[int, int] = {}
    order: list[int] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node < 0 or node in numbers:
            continue
        numbers[node] = len(order)
        order.append(node)
        left, right = tree.nodes[node]
        waiting += (right, left)
    return numbers, order


def _records(records: Sequence[Value]) -> tuple[list[int], bytes]:
    offsets = []
    data = bytearray()
    for record in records:
        offsets.append(len(data))
        data += encode(record)
    return offsets, bytes(data)


_INTEGERS: dict[type, int] = {UInt16: 5, UInt64: 9}


def encode(value: Value) -> bytes:
    """A value in the format's data section; integers are unsigned, in 32 bits where not said otherwise."""
    match value:
        case bool():
            return _control(14, int(value))
        case str():
            text = value.encode()
            return _control(2, len(text)) + text
        case float():
            return _control(3, 8) + pack("!d", value)
        case int():
            digits = value.to_bytes((value.bit_length() + 7) // 8)
            return _control(_INTEGERS.get(type(value), 6), len(digits)) + digits
        case Mapping():
            pairs = (encode(key) + encode(item) for key, item in value.items())
            return _control(7, len(value)) + b"".join(pairs)
        case _:
            return _control(11, len(value)) + b"".join(map(encode, value))


def _control(kind: int, size: int) -> bytes:
    """The control bytes of a field: its type (above 7 in a byte of its own) and its size."""
    if size < 29:
        low, more = size, b""
    elif size < 285:
        low, more = 29, (size - 29).to_bytes(1)
    elif size < 65821:
        low, more = 30, (size - 285).to_bytes(2)
    else:
        low, more = 31, (size - 65821).to_bytes(3)
    extended = b"" if kind <= 7 else bytes((kind - 7,))
    return bytes(((kind << 5 if kind <= 7 else 0) | low,)) + extended + more
