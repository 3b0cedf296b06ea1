"""The catalogue of typed actions: what may be done, to what, with which argv.

Enters: a TOML file. Leaves: Actions, and an Order (an action with its target) as argv, one word each, never through a
shell. A target that the file does not list is refused. Carries nothing out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from watchkeeper.errors import WatchkeeperError

SCHEMA_VERSION = 1
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_FIELD = re.compile(r"\{([a-z_]+)\}")
_KEYS = {"name", "about", "argv", "risk", "targets", "after_change", "undo"}


class Risk(StrEnum):
    """What an action can cost: least first."""

    READ = "read"
    REVERSIBLE = "reversible"
    DESTRUCTIVE = "destructive"


class CatalogueError(WatchkeeperError):
    """A catalogue that cannot be read, or an order that it does not allow."""


@dataclass(frozen=True)
class Action:
    """One thing that may be done. argv: words with `{target}` and other fields. targets: names it may be done to.

    after_change: whether it takes back a change, so that it fits only where something was changed shortly before. undo:
    the action that takes this one back, "" when nothing does.
    """

    name: str
    about: str
    argv: tuple[str, ...]
    risk: Risk
    targets: tuple[str, ...]
    after_change: bool = False
    undo: str = ""


@dataclass(frozen=True)
class Order:
    """An action on a target, and why."""

    action: str
    target: str
    why: str = ""


class Catalogue:
    """Actions by name."""

    def __init__(self, actions: tuple[Action, ...]) -> None:
        self.actions = {action.name: action for action in actions}
        if len(self.actions) != len(actions):
            raise CatalogueError("two actions of the catalogue have the same name")

    def argv(self, order: Order, fields: Mapping[str, str]) -> list[str]:
        """Give the words to run; raises CatalogueError for an action, target or field that is not there."""
        action = self.actions.get(order.action)
        if action is None:
            raise CatalogueError(f"there is no action {order.action!r}; there are: {', '.join(self.actions)}")
        if order.target not in action.targets:
            raise CatalogueError(f"{action.name} is not for {order.target!r}; it is for: {', '.join(action.targets)}")
        known = {**fields, "target": order.target}
        missing = {name for word in action.argv for name in _FIELD.findall(word)} - set(known)
        if missing:
            raise CatalogueError(f"{action.name} needs {', '.join(sorted(missing))}")
        return [_FIELD.sub(lambda match: known[match[1]], word) for word in action.argv]


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue; raises CatalogueError with what is wrong in which action."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogueError(f"{path} cannot be read: {error}") from error
    if data.get("schema_version") != SCHEMA_VERSION:
        raise CatalogueError(f"{path} has schema_version {data.get('schema_version')!r}, not {SCHEMA_VERSION}")
    return Catalogue(tuple(_action(each, path) for each in data.get("action", [])))


def _action(data: Mapping[str, Any], path: Path) -> Action:
    name = data.get("name", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CatalogueError(f"{path}: an action's name is small letters, digits and dashes, not {name!r}")
    unknown = set(data) - _KEYS
    if unknown:
        raise CatalogueError(f"{path}: the action {name} has unknown keys: {', '.join(sorted(unknown))}")
    argv, targets = data.get("argv"), data.get("targets")
    for words, key in ((argv, "argv"), (targets, "targets")):
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
            raise CatalogueError(f"{path}: {key} of the action {name} is a list of words, not {words!r}")
    assert isinstance(argv, list)
    assert isinstance(targets, list)
    if "{" in argv[0].replace("{python}", ""):
        raise CatalogueError(f"{path}: the program of the action {name} is fixed, not {argv[0]!r}")
    try:
        risk = Risk(data.get("risk", ""))
    except ValueError:
        raise CatalogueError(f"{path}: the risk of {name} is one of {', '.join(Risk)}") from None
    return Action(
        name,
        str(data.get("about", "")),
        tuple(argv),
        risk,
        tuple(targets),
        data.get("after_change", False) is True,
        str(data.get("undo", "")),
    )
