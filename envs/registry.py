"""Names to classes, and the one error for an argument that cannot be used."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class UsageError(ValueError):
    """An argument that cannot be used. The message is one line: what was wrong, and what is accepted."""


def nearest(name: str, known: list[str]) -> str:
    """A hint at the known name most like ``name``, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


class Registry(Generic[T]):
    """A table of named things, filled by a decorator beside each of them.

    Args:
        kind: What the names stand for, as it reads in an error message ("model", "data set").

    Example:
        >>> shapes = Registry[type]("shape")
        >>> @shapes.register("disc")
        ... class Disc: ...
        >>> shapes.names()
        ['disc']
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Enters the decorated object under ``name``.

        Raises:
            UsageError: The name is taken by something else.
        """

        def enter(entry: T) -> T:
            if self._entries.get(name, entry) is not entry:
                raise UsageError(f"the {self.kind} {name!r} is registered already")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            known = self.names()
            raise UsageError(f"unknown {self.kind} {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> list[str]:
        """The registered names, sorted."""
        return sorted(self._entries)
