"""What was read of short texts is remembered: most heads say what heads before them said."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

# Characters of a text that is remembered. Whoever sends longer ones, each another, fills no memory with them.
LONGEST = 512

Text = TypeVar("Text", bound=str | None)
More = ParamSpec("More")
Read = TypeVar("Read")
Reader = Callable[Concatenate[Text, More], Read]


def remembered(most: int) -> Callable[[Reader[Text, More, Read]], Reader[Text, More, Read]]:
    """Remember the last `most` texts, and what a pure reader made of them."""

    def remembering(read: Reader[Text, More, Read]) -> Reader[Text, More, Read]:
        known = cast(Reader[Text, More, Read], lru_cache(most)(read))

        @wraps(read)
        def reader(text: Text, /, *more: More.args, **named: More.kwargs) -> Read:
            if text is not None and len(text) > LONGEST:
                return read(text, *more, **named)
            return known(text, *more, **named)

        return reader

    return remembering
