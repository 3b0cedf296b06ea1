"""Script: a manifest or a shell script for what is asked. The first text of an answer counts.

Manifests are held to the shape that objects have in common and, field by field, to the nearest of those
wanted; names of objects do not count. Shell scripts must parse, pass `bash -n` in the sandbox, and show there,
run without options, the same words as the wanted one. Without a sandbox `runs_right` is left out.
"""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.remedy.manifests import NotYaml, complaints, leaves, read_manifests
from watchkeeper.remedy.sandbox import probe, run
from watchkeeper.remedy.shell import Unparsable, parse

METRICS = (
    Metric("field_f1", "fields of a manifest that are as wanted: mean F1", tolerance=0.02, headline=True),
    Metric("schema_valid", "share of manifests of the right shape", tolerance=0.02),
    Metric("exact", "share with every field as wanted", tolerance=0.03),
    Metric("parses", "share of scripts that parse and pass bash -n", tolerance=0.02),
    Metric("runs_right", "share of scripts that show the right words in the sandbox", tolerance=0.02),
)
_IGNORED = ("metadata.name",)


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Score texts."""
    cases = {}
    for one in outcomes:
        for item, answer in zip(one.split.test, one.answers, strict=True):
            text = answer[0] if answer else ""
            is_script = item.truth[0].startswith("#!")
            cases[item.id] = script(text, item.truth[0]) if is_script else manifest(text, item.truth)
    names = list(dict.fromkeys(name for case in cases.values() for name in case))
    return Measured(
        {name: Figure(*mean_interval([case[name] for case in cases.values() if name in case])) for name in names}, cases
    )


def manifest(text: str, wanted: Sequence[str]) -> dict[str, float]:
    """Give the figures of one manifest; all 0 when it is none."""
    try:
        objects = read_manifests(text)
    except NotYaml:
        return {"field_f1": 0.0, "schema_valid": 0.0, "exact": 0.0}
    best = max(field_f1(_fields(text), _fields(each)) for each in wanted)
    valid = not any(complaints(each) for each in objects)
    return {"field_f1": best, "schema_valid": float(valid), "exact": float(best == 1.0)}


def field_f1(given: Counter[tuple[str, str]], wanted: Counter[tuple[str, str]]) -> float:
    """Give F1 of fields, 0..1."""
    both = sum((given & wanted).values())
    return 2 * both / (sum(given.values()) + sum(wanted.values()))


def script(text: str, wanted: str) -> dict[str, float]:
    """Give the figures of one shell script."""
    try:
        parse(text)
    except Unparsable:
        return {"parses": 0.0} if probe() else {"parses": 0.0, "runs_right": 0.0}
    if probe():
        return {"parses": 1.0}
    with tempfile.TemporaryDirectory(prefix="watchkeeper-script-") as folder:
        scratch = Path(folder)
        (scratch / "given.sh").write_text(text, encoding="utf-8")
        (scratch / "wanted.sh").write_text(wanted, encoding="utf-8")
        if run(["/bin/bash", "-n", "given.sh"], scratch).status:
            return {"parses": 0.0, "runs_right": 0.0}
        got, right = (run(["/bin/bash", name], scratch) for name in ("given.sh", "wanted.sh"))
    same = got.status == 0 and shlex.split(got.stdout.decode()) == shlex.split(right.stdout.decode())
    return {"parses": 1.0, "runs_right": float(same)}


def _fields(text: str) -> Counter[tuple[str, str]]:
    return Counter(pair for each in read_manifests(text) for pair in leaves(each) if pair[0] not in _IGNORED)


TASKS = (Task("script", "assisted remediation", "a manifest or script for what is asked", METRICS, measure),)
