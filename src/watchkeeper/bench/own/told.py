"""A TOML file of a user's: commands as models, folders and stores as data sets, without a line of Python.

Enters: the file. Leaves: MODELS and DATA as a module of Python would give them. Paths are relative to the file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from watchkeeper.bench.base import BenchError, DataSpec, ModelSpec
from watchkeeper.bench.own.cases import judged_data
from watchkeeper.bench.own.command import TIMEOUT_S, command_model
from watchkeeper.bench.own.parquet import folder_data
from watchkeeper.bench.own.store import store_data

_MODEL = {"name", "command", "form", "about", "timeout_s", "labels", "random"}
_DATA = {"name", "folder", "version", "about"}
_STORE = {"name", "home", "from", "to", "version", "about", "task"}
_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("name", "form", "about", "folder", "home", "task"), ((str,), "a text")),
    **dict.fromkeys(("labels", "random"), ((bool,), "true or false")),
    "timeout_s": ((int, float), "a number"),
    "version": ((int,), "a whole number"),
}


@dataclass(frozen=True)
class Told:
    """What the file holds."""

    MODELS: tuple[ModelSpec, ...]
    DATA: tuple[DataSpec, ...]


def told_by(path: Path) -> Told:
    """Read the file; raises BenchError when it cannot be understood."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchError(f"{path} cannot be read: {error}") from error
    _hold(path, content, {"model", "data", "store"}, ())
    for kind, rows in content.items():
        if not isinstance(rows, list):
            raise BenchError(f"{path}: {kind} is to be written as [[{kind}]], once for each")
    models, data = [], []
    for row in content.get("model", ()):
        _hold(path, row, _MODEL, ("name", "command", "form"))
        command = row["command"]
        if not isinstance(command, list) or not command or not all(isinstance(each, str) for each in command):
            raise BenchError(f"{path}: command is to be a list of texts, not {command!r}")
        options: dict[str, Any] = {name: row[name] for name in ("about", "labels", "random") if name in row}
        timeout_s = float(row.get("timeout_s", TIMEOUT_S))
        models.append(command_model(row["name"], command, row["form"], timeout_s=timeout_s, **options))
    for row in content.get("data", ()):
        _hold(path, row, _DATA, ("name", "folder"))
        folder = path.parent / Path(row["folder"]).expanduser()
        data.append(
            folder_data(row["name"], folder, version=int(row.get("version", 1)), about=str(row.get("about", "")))
        )
    data += [_store(path, row) for row in content.get("store", ())]
    return Told(tuple(models), tuple(data))


def _store(path: Path, row: Any) -> DataSpec:
    _hold(path, row, _STORE, ("name", "home", "from", "to"))
    begin, end = row["from"], row["to"]
    if not isinstance(begin, datetime) or not isinstance(end, datetime):
        raise BenchError(
            f"{path}: from and to are to be moments without quotes, such as 2026-11-16T00:00:00Z, "
            f"not {begin!r} and {end!r}"
        )
    home = path.parent / Path(row["home"]).expanduser()
    version, task = int(row.get("version", 1)), str(row.get("task", "anomaly-detection"))
    told: dict[str, Any] = {"version": version, "about": str(row.get("about", ""))}
    if task != "anomaly-detection":
        return judged_data(task, row["name"], home, begin, end, **told)
    return store_data(row["name"], home, begin, end, **told)


def _hold(path: Path, row: Any, known: set[str], wanted: tuple[str, ...]) -> None:
    if not isinstance(row, dict):
        raise BenchError(f"{path}: a table was expected, not {row!r}")
    missing = [name for name in wanted if name not in row]
    unknown = sorted(set(row) - known)
    if missing or unknown:
        raise BenchError(f"{path}: missing keys: {missing}, unknown keys: {unknown}; known are {sorted(known)}")
    for name, value in row.items():
        kinds, word = _TYPES.get(name, ((type(value),), ""))
        if type(value) not in kinds:  # not isinstance, which takes true for a number
            raise BenchError(f"{path}: {name} is to be {word}, not {value!r}")
