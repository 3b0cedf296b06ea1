"""OpenStack failure data (Cotroneo et al., JSS 2021): injected faults, the events of each experiment and how it failed.

Enters: the data set `openstack_mixed` where it lies. Leaves: for each of the three workloads the counts of events of
each experiment and its failure class. Experiments of equal counts are common, so `group` tells which are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from watchkeeper.datasets.read import read_members

WORKLOADS = ("DEPL", "NET", "STO")
CLASSES = {
    "DEPL": ("instance", "volume", "ssh", "cleanup", "network", "none"),
    "NET": ("instance", "network", "ssh", "none"),
    "STO": ("volume", "instance", "cleanup", "none"),
}
"""What the numbers 1, 2, ... of the labels stand for, as the set's README has it."""


@dataclass(frozen=True)
class Experiment:
    """One experiment: how often each event came, how it failed; equal experiments have the same group."""

    workload: str
    counts: dict[str, float]
    label: str
    group: int


def experiments(folder: Path, workload: str) -> list[Experiment]:
    """Give the experiments of a workload in the set's order; raises DataSetError when the set is absent."""
    ends = (f"{workload}/SEQ.tsv", f"{workload}/Failure_Labels.txt")
    found = {
        Path(name).name: data
        for name, data in read_members("openstack_mixed", folder, lambda each: each.endswith(ends))
    }
    head, *lines = found["SEQ.tsv"].decode().splitlines()
    names = head.split("\t")
    labels = [CLASSES[workload][int(line) - 1] for line in found["Failure_Labels.txt"].decode().split()]
    groups: dict[str, int] = {}
    told = []
    for line, label in zip((line for line in lines if line.strip()), labels, strict=True):
        counts = {name: float(value) for name, value in zip(names, line.split("\t"), strict=True) if float(value)}
        told.append(Experiment(workload, counts, label, groups.setdefault(line.strip(), len(groups))))
    return told
