"""The most memory a training job holds in each stage at its bounds: distinct lines, tokens a line, words known.

The lines are counted already, as after a resumption, so that the bounds are met exactly; the worker is the product's
own process. `--steps` cuts the training: what a step holds does not grow with how many there are.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from watchkeeper.learn.line_counts import LineCounts
from watchkeeper.learn.line_tokens import TOKENS_MAX, VOCABULARY_MAX
from watchkeeper.training.job import JobSpec
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.process import WorkerProcess
from watchkeeper.training.reading import Account

DISTINCT = 200_000
HELD = 2_000
TOGETHER = 10_000
LOOK_S = 0.1


def counted(distinct: int, seed: int) -> LineCounts:
    """Give lines of TOKENS_MAX words each out of VOCABULARY_MAX, written together; their counts are heavy-tailed."""
    random = np.random.default_rng(seed)
    letters = [chr(ord("a") + at) for at in range(26)]
    words = [a.upper() + b for a in letters for b in letters]
    words += [a.upper() + b + c for a in letters for b in letters for c in letters]
    known = np.array(words[:VOCABULARY_MAX])
    chances = 1.0 / np.arange(1, len(known) + 1)
    chances /= chances.sum()
    counts = LineCounts()
    for begin in range(0, distinct, TOGETHER):
        rows = random.choice(known, (min(TOGETHER, distinct - begin), TOKENS_MAX), p=chances)
        counts.add_forms(["".join(row) for row in rows.tolist()], random.zipf(1.5, len(rows)).clip(max=10_000))
    return counts


def prepare(folder: JobFolder, distinct: int, steps: int, memory_bytes_max: int) -> dict[str, int]:
    folder.make()
    parts = {"learned": counted(distinct, 0), "held": counted(HELD, 1)}
    for name, counts in parts.items():
        (folder.counts / name).mkdir(parents=True)
        counts.save(folder.counts / name)
    folder.write("counted", {"held_by": "later lines", "account": asdict(Account(taken=distinct))})
    parameters = {"steps_max": steps, "steps_min": 1, "epochs": 1, "tests": 2}
    job = {
        "spec": JobSpec("logs", "logs/default", parameters=parameters).as_dict(),
        "rows": 0,
        "memory_bytes_max": memory_bytes_max,
        "false_alarms_max": 0.05,
    }
    folder.write("job", job)
    return {name: len(counts) for name, counts in parts.items()}


def measure(distinct: int, steps: int, memory_bytes_max: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        folder = JobFolder(Path(home) / "job")
        sizes = prepare(folder, distinct, steps, memory_bytes_max)
        command = [sys.executable, "-m", "watchkeeper.training.worker", str(folder.path)]
        begun_s = time.monotonic()
        process = WorkerProcess.begin(command, folder.log_file)
        most: dict[str, int] = defaultdict(int)
        try:
            while process.ended() is None:
                told = folder.read("progress")
                if told is not None:
                    stage = str(told["statistics"]["stage"])
                    most[stage] = max(most[stage], process.memory_bytes())
                time.sleep(LOOK_S)
            result, told = folder.read("result"), folder.read("progress")
            if result is None or told is None:
                raise RuntimeError(folder.log_tail())
        finally:
            process.kill()
        return {
            "distinct_learned": sizes["learned"],
            "distinct_held": sizes["held"],
            "tokens_a_line": TOKENS_MAX,
            "words_known": result["parameters"]["vocabulary"],
            "steps": result["parameters"]["steps_planned"],
            "seconds": round(time.monotonic() - begun_s, 1),
            "cap_mib": memory_bytes_max >> 20,
            "peak_mib": round(told["peak_memory_bytes"] / 2**20),
            **{f"held_mib {stage}": round(held / 2**20) for stage, held in most.items()},
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--distinct", type=int, default=DISTINCT)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cap-mib", type=int, default=1536)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.distinct, chosen.steps, chosen.cap_mib << 20)))


if __name__ == "__main__":
    main()
