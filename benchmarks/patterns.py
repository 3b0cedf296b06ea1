"""Pattern mining: how right on loghub-2k and how fast on HDFS and BGL lines, beside drain3 on the same lines.

Right: GA, FGA, PA, FTA (parsing_scores.py) on original and corrected labels, one configuration for every system.
Fast: lines a second of processor time on one core, the ratio to drain3 with the masks of its example configuration, and
the plain Python reference. Needs the data sets loghub_2k, hdfs_2pct_raw and bgl_100k_raw.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks import drain3_peer
from benchmarks.parsing_scores import Scores, mean, scores
from benchmarks.tables import show
from watchkeeper.datasets.read import read_members
from watchkeeper.patterns.kernel import NativeKernel, ReferenceKernel, open_kernel
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.settings import Settings

SYSTEMS = ("HDFS", "BGL", "Hadoop", "Linux", "OpenSSH", "Spark", "Zookeeper", "Android")
BATCH = 1_000
REFERENCE_LINES = 20_000
BGL_FIELDS_BEFORE_TEXT = 9


def labelled(folder: Path) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Give, by labels (original, corrected) and system, each line and its true template."""
    ends = {"_2k.log_structured.csv": "original", "_2k.log_structured_corrected.csv": "corrected"}
    wanted = {
        f"loghub_2k/{'loghub_2k_corrected' if labels == 'corrected' else 'loghub_2k'}/{system}/{system}{end}": (
            labels,
            system,
        )
        for end, labels in ends.items()
        for system in SYSTEMS
    }
    found: dict[str, dict[str, list[tuple[str, str]]]] = {"original": {}, "corrected": {}}
    for name, content in read_members("loghub_2k", folder, lambda each: each in wanted):
        labels, system = wanted[name]
        rows = csv.DictReader(io.StringIO(content.decode("utf-8")))
        found[labels][system] = [(row["Content"], row["EventTemplate"]) for row in rows]
    return found


def watchkeeper_parse(lines: Sequence[str]) -> tuple[list[int], list[str]]:
    """Give each line's template id and template."""
    miner = TemplateMiner()
    ids = miner.match(pa.array(lines, pa.string()), pa.array(range(len(lines)), pa.int64())).to_pylist()
    texts = {template.id: template.text for template in miner.templates()}
    return ids, [texts[one] for one in ids]


def quality(folder: Path) -> dict[str, Any]:
    """Score Watchkeeper and drain3 on every system and label set."""
    parsers = {"watchkeeper": watchkeeper_parse}
    if not drain3_peer.why_not():
        parsers["drain3"] = drain3_peer.parse
    result: dict[str, Any] = {}
    for labels, systems in labelled(folder).items():
        for name, parse in parsers.items():
            each: dict[str, Scores] = {}
            for system, rows in systems.items():
                groups, templates = parse([line for line, _ in rows])
                each[system] = scores(groups, templates, [true for _, true in rows])
                progress(f"{labels} {system} {name}: GA {each[system].ga:.3f}")
            table = {**each, "average": mean(list(each.values()))}
            result.setdefault(labels, {})[name] = {system: _rounded(one) for system, one in table.items()}
    return result


def speed_lines(folder: Path) -> dict[str, list[str]]:
    """Give the texts of the HDFS and BGL lines, without their headers."""
    [(_, events)] = read_members("hdfs_2pct_raw", folder, lambda name: name.endswith("hdfs_events_2percent.parquet"))
    hdfs = parquet.read_table(io.BytesIO(events), columns=["m_message"]).column(0).to_pylist()
    [(_, bgl)] = read_members("bgl_100k_raw", folder, lambda name: name.endswith("bgl2_100k.log"))
    lines = bgl.decode("utf-8", "replace").splitlines()
    return {"hdfs": hdfs, "bgl": [line.split(" ", BGL_FIELDS_BEFORE_TEXT)[-1] for line in lines]}


def miner_seconds(lines: Sequence[str], miner: TemplateMiner) -> float:
    """Give the processor time that mining takes in batches of BATCH, the Arrow arrays being there."""
    column = pa.array(lines, pa.string())
    times = pa.array(np.arange(len(lines)), pa.int64())
    start = time.process_time()
    for at in range(0, len(lines), BATCH):
        miner.match(column.slice(at, BATCH), times.slice(at, BATCH))
    return time.process_time() - start


def speed(folder: Path, lines_max: int) -> dict[str, Any]:
    """Time Watchkeeper, its reference and drain3 on the same lines."""
    result: dict[str, Any] = {}
    for name, lines in speed_lines(folder).items():
        lines = lines[:lines_max]
        own = min(miner_seconds(lines, TemplateMiner()) for _ in range(3))
        distinct = list(dict.fromkeys(lines))
        own_distinct = min(miner_seconds(distinct, TemplateMiner()) for _ in range(3))
        few = lines[:REFERENCE_LINES]
        reference = miner_seconds(few, TemplateMiner(kernel=ReferenceKernel()))
        figures = {
            "lines": len(lines),
            "distinct_lines": len(distinct),
            "lines_per_s": round(len(lines) / own),
            "distinct_lines_per_s": round(len(distinct) / own_distinct),
            "reference_lines_per_s": round(len(few) / reference),
        }
        progress(f"speed {name}: {figures['lines_per_s']:,} lines/s")
        if not drain3_peer.why_not():
            peer = drain3_peer.timed(lines).cpu_s
            figures["drain3_lines_per_s"] = round(len(lines) / peer)
            figures["ratio_to_drain3"] = round(peer / own, 1)
            progress(f"speed {name}: drain3 {figures['drain3_lines_per_s']:,} lines/s")
        result[name] = figures
    return result


def progress(text: str) -> None:
    """Tell how far the run is, beside the result."""
    print(f"  {text}", file=sys.stderr, flush=True)


def _rounded(one: Scores) -> dict[str, float]:
    return {name: round(value, 4) for name, value in one._asdict().items()}


def averages(scored: dict[str, Any]) -> dict[str, Any]:
    """Give the means over systems, a row for each label set and parser."""
    return {
        f"{labels} labels, {parser}": systems["average"]
        for labels, parsers in scored.items()
        for parser, systems in parsers.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000, help="lines of each set that are timed")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    folder = Settings().path("data")
    kernel = "compiled" if isinstance(open_kernel(), NativeKernel) else "reference"
    scored = quality(folder)
    result: dict[str, Any] = {
        "kernel": kernel,
        "averages": averages(scored),
        "speed": speed(folder, chosen.lines),
        "quality": scored,
    }
    if reason := drain3_peer.why_not():
        result["skipped"] = {"drain3": reason}
    print(json.dumps(result) if chosen.json else show("patterns", result))


if __name__ == "__main__":
    main()
