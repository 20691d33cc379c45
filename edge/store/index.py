"""Which entries bear a tag, which belong to a site: so that a purge costs what it purges."""

from __future__ import annotations

from collections.abc import Iterator

from edge.policy.entry import Entry


class NameIndex:
    """name -> entries. A name borne by one entry alone, the usual case, costs no set."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, Entry | set[Entry]] = {}

    def add(self, name: str, entry: Entry) -> None:
        """`entry` bears `name`."""
        held = self._names.get(name)
        if held is None:
            self._names[name] = entry
        elif isinstance(held, set):
            held.add(entry)
        else:
            self._names[name] = {held, entry}

    def discard(self, name: str, entry: Entry) -> None:
        """`entry` does not bear `name` any more."""
        held = self._names.get(name)
        if isinstance(held, set):
            held.discard(entry)
            if not held:
                del self._names[name]
        elif held is entry:
            del self._names[name]

    def find(self, name: str) -> tuple[Entry, ...]:
        """The entries that bear `name`."""
        held = self._names.get(name)
        return tuple(held) if isinstance(held, set) else () if held is None else (held,)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def list_names(indexes: dict[str, NameIndex], of: str, names: tuple[str, ...], entry: Entry) -> None:
    """`entry`, of that site or origin, bears `names`."""
    if names:
        index = indexes.setdefault(of, NameIndex())
        for name in names:
            index.add(name, entry)


def unlist_names(indexes: dict[str, NameIndex], of: str, names: tuple[str, ...], entry: Entry) -> None:
    """`entry` bears them no more."""
    if names:
        index = indexes[of]
        for name in names:
            index.discard(name, entry)
        if not index:
            del indexes[of]
