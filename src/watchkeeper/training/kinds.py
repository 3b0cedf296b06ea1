"""Kinds of logs with a model each, ready before a workload has a model of its own: built-in ones and those of users.

Enters: a TOML file of kinds, data sets. Leaves: Kind, and a trained LogModel with its card, published as a version
named `kind/<kind>`. The threshold of a kind is calibrated on lines of its data held out, for the kind's budget of false
alarms. A workload that a kind names is scored by it while no watchlist's model covers it (app/learned_lines.py).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from watchkeeper.errors import QueryError, SettingError, UnknownName
from watchkeeper.learn.calibration import BUDGET
from watchkeeper.learn.line_counts import LineCounts, has_failure_words
from watchkeeper.learn.log_model import TRAINING, LogModel
from watchkeeper.learn.training import Told, Training, untold
from watchkeeper.models.card import Card, Version
from watchkeeper.models.versions import ModelVersions
from watchkeeper.training.public_lines import public_lines
from watchkeeper.training.workloads import Workload, WorkloadPattern, read_pattern

PREFIX = "kind/"
CARD_KIND = "logs"


@dataclass(frozen=True)
class Kind:
    """One kind. data: public sets that fit, the first by default. files: of a user's own lines, beside the data.

    budget: share of normal lines of a new form that may be flagged. workloads: those that it is to score.
    """

    name: str
    about: str
    data: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    budget: float = BUDGET
    workloads: tuple[WorkloadPattern, ...] = ()

    @property
    def model(self) -> str:
        """Give the name of its model."""
        return f"{PREFIX}{self.name}"

    def covers(self, workload: Workload) -> bool:
        """Tell whether it is to score a workload."""
        return any(pattern.matches(workload) for pattern in self.workloads)


KINDS = (
    Kind("control-plane", "what schedules and starts workloads", ("openstack",)),
    Kind("platform", "what the platform's own programs and machines say", ("bgl", "hadoop", "loghub/Zookeeper")),
    Kind("storage", "file systems and volumes", ("hdfs",)),
    Kind("workload", "programs of the users' own", ("nezha", "loghub/Spark")),
)


def kinds(file: Path | None = None) -> dict[str, Kind]:
    """Give the built-in kinds, changed and added to by a TOML file; raises SettingError for one that cannot be read.

    A table `[kinds.NAME]` may have `about`, `data` and `files` (lists), `false_alarms_max` and `workloads`
    (`cluster/namespace/deployment` with wildcards); what it leaves out of a built-in kind stays.
    """
    found = {kind.name: kind for kind in KINDS}
    if file is None:
        return found
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8")).get("kinds", {})
        for name, table in told.items():
            found[name] = _read(found.get(name, Kind(name, "a kind of the user's")), table, file.parent)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError, TypeError, ValueError) as error:
        raise SettingError(f"the kinds of logs in {file} cannot be read: {error}") from error
    except QueryError as error:
        raise SettingError(f"the kinds of logs in {file}: {error}") from error
    return found


def kind_of(name: str, known: Mapping[str, Kind]) -> Kind:
    """Give a kind by name; raises UnknownName."""
    if name not in known:
        raise UnknownName(f"there is no kind of logs {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]


def count_lines(kind: Kind, data: str, folder: Path) -> LineCounts:
    """Count the lines of a public set (the kind's first when "", none when it has none) and of the kind's own files.

    Lines with failure words are left out, as in any training. Raises UnknownName, DataSetError, QueryError for none.
    """
    counts = LineCounts()
    name = data or next(iter(kind.data), "")
    for lines in public_lines(name, folder) if name else ():
        _count(counts, lines)
    for file in kind.files:
        with file.open(encoding="utf-8", errors="replace") as stream:
            while lines := stream.readlines(1 << 22):
                _count(counts, [line.rstrip("\n") for line in lines])
    if not len(counts):
        raise QueryError(f"there is no line to train the kind {kind.name} from; name a data set, or files of its own")
    return counts


def train_kind(
    kind: Kind,
    *,
    data: str = "",
    folder: Path,
    training: Training = TRAINING,
    seed: int = 0,
    told: Told = untold,
    checkpoint: Path | None = None,
) -> tuple[LogModel, Card]:
    """Train the first model of a kind from public data; see LogModel.learn for its cost and what it raises."""
    counts = count_lines(kind, data, folder)
    model = LogModel.learn(counts, training=training, seed=seed, told=told, checkpoint=checkpoint, budget=kind.budget)
    return model, card_of(model, data=[*([data or kind.data[0]] if data or kind.data else []), *map(str, kind.files)])


def card_of(model: LogModel, *, job_id: str = "", notes: str = "", **trained_on: Any) -> Card:
    """Give the card of a log model. trained_on: what its maker knows of where the lines are from."""
    told, calibration = model.counts.told(), model.calibration
    return Card(
        CARD_KIND,
        job_id,
        trained_on={**trained_on, "lines": told.lines, "distinct": told.distinct, "let_go": told.dropped_distinct},
        parameters={**model.parameters, "measure": calibration.measure, "quantised": model.quantised},
        quality=model.quality,
        thresholds={
            calibration.measure: calibration.threshold,
            "budget": calibration.budget,
            "bound": calibration.bound,
        },
        notes=notes,
    )


def publish_kind(models: ModelVersions, kind: Kind, model: LogModel, card: Card, *, who: str, why: str) -> Version:
    """Make a version of it, and the active one."""
    version = models.publish(kind.model, model.save, card, verify=_load)
    return models.promote(kind.model, version.number, who=who, why=why)


def _load(folder: Path) -> None:
    LogModel.load(folder)


def _count(counts: LineCounts, lines: list[str]) -> None:
    texts = pa.array(lines, pa.string())
    counts.add(texts.filter(pa.array(np.logical_not(has_failure_words(texts)))))


def _read(kind: Kind, table: Mapping[str, Any], folder: Path) -> Kind:
    unknown = set(table) - {"about", "data", "files", "false_alarms_max", "workloads"}
    if unknown:
        raise ValueError(f"[kinds.{kind.name}] has {', '.join(sorted(unknown))}, which nothing reads")
    budget = float(table.get("false_alarms_max", kind.budget))
    if not 0 < budget <= 0.5:
        raise ValueError(f"[kinds.{kind.name}] false_alarms_max = {budget} is not above 0 and at most 0.5")
    patterns = tuple(read_pattern(text) for text in table["workloads"]) if "workloads" in table else kind.workloads
    return replace(
        kind,
        about=str(table.get("about", kind.about)),
        data=tuple(map(str, table.get("data", kind.data))),
        files=tuple(path for text in table.get("files", ()) for path in _files(folder, str(text))) or kind.files,
        budget=budget,
        workloads=patterns,
    )


def _files(folder: Path, text: str) -> list[Path]:
    """Give the files that a path with wildcards names; a relative one is beside the TOML file."""
    path = Path(text).expanduser()
    if not path.is_absolute():
        return sorted(each for each in folder.glob(text) if each.is_file())
    anchor = Path(path.anchor)
    return sorted(each for each in anchor.glob(str(path.relative_to(anchor))) if each.is_file())
