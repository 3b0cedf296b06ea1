"""Hadoop (loghub): 55 runs of MapReduce applications: normal, a machine down, the network cut, or a disk full.

Enters: the data set `ait_sequences` where it lies. Leaves: for each application its containers' sequences of event ids
and its label. Five labels of PageRank runs are corrected as loghub's issue 56 found them (its sixth row names a label
that already is as corrected). Fits nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.datasets.read import read_members

CORRECTED = {
    "application_1445144423722_0024": "disk_full",
    "application_1445182159119_0017": "normal",
    "application_1445062781478_0020": "normal",
    "application_1445182159119_0013": "machine_down",
    "application_1445182159119_0011": "machine_down",
}
"""Source: M. Mantyla, https://github.com/logpai/loghub/issues/56."""
_PREFIX = "hadoop_loghub/hadoop_"
_LABELS = {
    "train": "normal",
    "test_normal": "normal",
    "test_abnormal_disk_full": "disk_full",
    "test_abnormal_machine_down": "machine_down",
    "test_abnormal_network_disconnection": "network_disconnection",
}


@dataclass(frozen=True)
class Application:
    """One run: the sequence of event ids of each of its containers."""

    id: str
    label: str
    containers: tuple[tuple[int, ...], ...]


def applications(folder: Path, *, corrected: bool = True) -> list[Application]:
    """Give all runs in order of id; raises DataSetError when the set is absent."""
    containers: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    labels: dict[str, str] = {}
    wanted = {_PREFIX + name: label for name, label in _LABELS.items()}
    for name, data in read_members("ait_sequences", folder, lambda each: each.partition("/")[2] in wanted):
        for line in data.decode().splitlines():
            key, _, events = line.partition(",")
            application, _, container = key.partition("/")
            containers[application][container] = tuple(int(event) for event in events.split())
            labels[application] = wanted[name.partition("/")[2]]
    if corrected:
        labels.update(CORRECTED)
    return [
        Application(name, labels[name], tuple(each[key] for key in sorted(each)))
        for name, each in sorted(containers.items())
    ]
