"""What `watchkeeper bench` is to measure: from options, or from a plan in TOML or YAML, to a choice of cells."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchkeeper.cli.options import load_settings
from watchkeeper.errors import MissingExtra, WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.bench.cells import Cell, Chosen
    from watchkeeper.bench.discover import Catalogue
    from watchkeeper.bench.room import Folders

KEYS = {"task", "data", "models", "enhance", "suite", "use"}


def folders_of(out: Path | None, use: list[str] | None, assignments: list[str] | None) -> Folders:
    """Give where records, data sets and their normal forms lie; a user's files by whole paths, for the records."""
    from watchkeeper.bench.room import Folders

    settings = load_settings(assignments)
    home = settings.path("home") / "bench"
    return Folders(
        out or home / "records", settings.path("data"), home / "cache", tuple(dict.fromkeys(map(_whole, use or ())))
    )


def planned(chosen: Chosen, folders: Folders) -> tuple[Catalogue, list[Cell]]:
    """Give all that is registered, and the cells that are chosen of it."""
    from watchkeeper.bench.cells import plan
    from watchkeeper.bench.discover import catalogue

    known = catalogue(folders.use)
    return known, plan(known, chosen, folders.data)


def chosen_of(
    task: list[str] | None, data: list[str] | None, models: list[str] | None, enhance: list[str] | None, suite: str
) -> Chosen:
    """Give the choice that options make; what is not told is all."""
    from watchkeeper.bench.cells import Chosen

    every = ["*"]
    return Chosen(
        _split(task) or every, _split(data) or every, _split(models) or every, _split(enhance) or every, suite
    )


def from_file(path: Path) -> tuple[Chosen, list[str]]:
    """Read a plan: a choice of cells and a user's files; raises WatchkeeperError when it is none."""
    told = _read(path)
    unknown = set(told) - KEYS
    if unknown:
        raise WatchkeeperError(
            f"the plan {path} has unknown keys: {', '.join(sorted(unknown))}; known are {', '.join(sorted(KEYS))}"
        )
    lists: dict[str, list[str]] = {}
    for key, value in told.items():
        lists[key] = [value] if isinstance(value, str) else value
        if not isinstance(lists[key], list) or not all(isinstance(each, str) for each in lists[key]):
            raise WatchkeeperError(f"the plan {path}: {key} is to be a text or a list of texts, not {value!r}")
    suite, *others = lists.get("suite") or [""]
    if others:
        raise WatchkeeperError(f"the plan {path}: suite is to be one text, not {told['suite']!r}")
    chosen = chosen_of(lists.get("task"), lists.get("data"), lists.get("models"), lists.get("enhance"), suite)
    return chosen, lists.get("use", [])


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        told = _yaml(text) if path.suffix in {".yaml", ".yml"} else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise WatchkeeperError(f"the plan {path} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise WatchkeeperError(f"the plan {path} is to hold keys with lists of patterns, not {type(told).__name__}")
    return told


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "a plan in YAML needs yaml; install it with: pip install 'watchkeeper[bench]', or write the plan in TOML"
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _whole(name: str) -> str:
    return str(Path(name).expanduser().resolve()) if name.endswith((".py", ".toml")) else name


def _split(patterns: list[str] | None) -> list[str]:
    return [each.strip() for pattern in patterns or () for each in pattern.split(",") if each.strip()]
