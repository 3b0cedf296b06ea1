"""One class for everything that is looked up by name: detectors, data sets, commands, checks.

A duplicate raises, an unknown name suggests the nearest, and an entry may be a lazy `module:attribute` whose import
waits until it is asked for. Does not discover anything by itself.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from watchkeeper.errors import DuplicateName, MissingExtra, UnknownName

T = TypeVar("T")


@dataclass(frozen=True)
class Lazy:
    """An entry that is imported on first use.

    `target` is `module:attribute`; `extra` names the optional dependency group that it needs, if any.
    """

    target: str
    extra: str | None = None


class Registry(Generic[T]):
    """Names and what they stand for, in order of registration.

    >>> colours = Registry[str]("colour")
    >>> colours.add("red", "#f00")
    >>> colours.get("red")
    '#f00'
    >>> colours.get("rad")
    Traceback (most recent call last):
    ...
    watchkeeper.errors.UnknownName: there is no colour named 'rad'; did you mean 'red'?
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T | Lazy] = {}

    def add(self, name: str, entry: T | Lazy) -> None:
        """Register an entry; raises DuplicateName when the name is taken."""
        if name in self._entries:
            raise DuplicateName(f"there is already a {self.kind} named {name!r}; choose another name")
        self._entries[name] = entry

    def get(self, name: str) -> T:
        """Give the entry of that name, importing it if it is lazy; raises UnknownName or MissingExtra."""
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self._entries) or 'none'}"
            raise UnknownName(f"there is no {self.kind} named {name!r}; {hint}")
        entry = self._entries[name]
        if isinstance(entry, Lazy):
            entry = self._load(name, entry)
            self._entries[name] = entry
        return entry

    def _load(self, name: str, lazy: Lazy) -> T:
        module, _, attribute = lazy.target.partition(":")
        try:
            return cast(T, getattr(importlib.import_module(module), attribute))
        except ImportError as error:
            if lazy.extra is None:
                raise
            raise MissingExtra(
                f"the {self.kind} {name!r} needs {error.name}; install it with: pip install 'watchkeeper[{lazy.extra}]'"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)
