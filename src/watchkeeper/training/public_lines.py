"""Lines of public data sets, to train the first model of a kind from: what the programs said, without the heads.

Enters: the name of a set and the folder of data sets. Leaves: batches of lines as they would come as log bodies. Lines
that a set labels as alerts are left out. Learns nothing.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from watchkeeper.datasets.logs import is_log_set, log_parts, log_set_names
from watchkeeper.datasets.read import read_members
from watchkeeper.errors import UnknownName

BATCH = 20_000
NEZHA = "nezha"
_BGL_FIELDS_BEFORE_TEXT = 9
_LEVEL = r"(?:TRACE|DEBUG|INFO|AUDIT|WARN|WARNING|ERROR|CRITICAL|FATAL)"
_HEADS = {
    "hdfs": re.compile(rf"^\S+ \S+ \S+ {_LEVEL} \S+ "),
    "hadoop": re.compile(rf"^\S+ \S+ {_LEVEL} \[[^\]]*\] \S+: "),
    "openstack": re.compile(rf"^(?:\S+ ){{0,4}}?{_LEVEL} \S+ (?:\[req-[^\]]*\] ?)?(?:\[instance: [^\]]*\] ?)?"),
}
_NEZHA_HEAD = re.compile(
    rf"^(?:\d\d:\d\d:\d\d[.,]\d+\s+)?(?:{_LEVEL}\s+)?(?:\S+#\d+\s+)?(?:TraceID: \S* SpanID: \S* )?"
)


def set_names() -> list[str]:
    """Name the sets that lines can be taken from."""
    return [*log_set_names(), NEZHA]


def public_lines(name: str, folder: Path) -> Iterator[list[str]]:
    """Give the lines of a set in its order, BATCH at a time; raises UnknownName, DataSetError when it is not there.

    name: as `watchkeeper replay` takes it (`hdfs`, `bgl`, `openstack`, `hadoop`, `loghub/Zookeeper`), or `nezha`.
    """
    if name == NEZHA:
        return _batches(_nezha(folder))
    if not is_log_set(name):
        raise UnknownName(f"there is no data set of log lines named {name!r}; there are: {', '.join(set_names())}")
    return _batches(_raw(name, folder))


def _raw(name: str, folder: Path) -> Iterator[str]:
    head = _HEADS.get(name.lower())
    for part in log_parts(name, folder):
        with part.open() as stream:
            lines: Iterable[str] = io.TextIOWrapper(stream, encoding="utf-8", errors="replace")
            if name.lower() == "bgl":
                lines = _calm_bgl(lines)
            for line in lines:
                text = line.rstrip("\n")
                yield text if head is None else head.sub("", text, count=1)


def _calm_bgl(lines: Iterable[str]) -> Iterator[str]:
    """Give the messages; a first field other than a dash labels an alert."""
    for line in lines:
        fields = line.split(" ", _BGL_FIELDS_BEFORE_TEXT)
        if fields[0] == "-" and len(fields) > _BGL_FIELDS_BEFORE_TEXT:
            yield fields[_BGL_FIELDS_BEFORE_TEXT]


def _nezha(folder: Path) -> Iterator[str]:
    """Give what the services of the train ticket shop wrote, which the container runtime put into JSON."""
    for _, data in read_members("nezha_trainticket", folder, lambda path: path.endswith("_log.csv")):
        for row in csv.DictReader(io.StringIO(data.decode("utf-8", "replace"))):
            try:
                text = str(json.loads(row["Log"])["log"])
            except (ValueError, KeyError, TypeError):
                text = row.get("Log") or ""
            yield _NEZHA_HEAD.sub("", text.rstrip("\n"), count=1)


def _batches(lines: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    take = partial(next, lines, None)
    while (line := take()) is not None:
        if line:
            batch.append(line)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
