"""Runs inside drain3's own environment: `python drain3_worker.py parse|time LINES.json RESULT.json [SECONDS]`.

drain3 with the masks, similarity and depth of its example configuration, the same for every system. LINES.json holds a
list of strings. `parse` gives each line's cluster and final template; `time` gives the processor time of the whole
list, or of as many rounds of it as fit SECONDS. Imports nothing of Watchkeeper, and times nothing but drain3.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EDGE_BEFORE, EDGE_AFTER = "((?<=[^A-Za-z0-9])|^)", "((?=[^A-Za-z0-9])|$)"
MASKS = (
    (f"{EDGE_BEFORE}(([0-9a-f]{{2,}}:){{3,}}([0-9a-f]{{2,}})){EDGE_AFTER}", "ID"),
    (rf"{EDGE_BEFORE}(\d{{1,3}}\.\d{{1,3}}\.\d{{1,3}}\.\d{{1,3}}){EDGE_AFTER}", "IP"),
    (f"{EDGE_BEFORE}([0-9a-f]{{6,}} ?){{3,}}{EDGE_AFTER}", "SEQ"),
    (f"{EDGE_BEFORE}([0-9A-F]{{4}} ?){{4,}}{EDGE_AFTER}", "SEQ"),
    (f"{EDGE_BEFORE}(0x[a-f0-9A-F]+){EDGE_AFTER}", "HEX"),
    (rf"{EDGE_BEFORE}([\-\+]?\d+){EDGE_AFTER}", "NUM"),
    ('(?<=executed cmd )(".+?")', "CMD"),
)
SIMILARITY, DEPTH, CHILDREN_MAX, CLUSTERS_MAX = 0.4, 4, 100, 1024


def fresh() -> Any:
    """Give a drain3 miner that has seen nothing."""
    from drain3 import TemplateMiner
    from drain3.masking import MaskingInstruction
    from drain3.template_miner_config import TemplateMinerConfig

    logging.getLogger("drain3").setLevel(logging.WARNING)
    config = TemplateMinerConfig()
    config.drain_sim_th, config.drain_depth = SIMILARITY, DEPTH
    config.drain_max_children, config.drain_max_clusters = CHILDREN_MAX, CLUSTERS_MAX
    config.drain_extra_delimiters = ["_"]
    config.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in MASKS]
    return TemplateMiner(config=config)


def parse(lines: Sequence[str]) -> dict[str, Any]:
    """Give each line's cluster and that cluster's final template, masks written as `<*>`."""
    miner = fresh()
    clusters = [int(miner.add_log_message(line)["cluster_id"]) for line in lines]
    texts = {cluster.cluster_id: re.sub("<[A-Z]+>", "<*>", cluster.get_template()) for cluster in miner.drain.clusters}
    return {"clusters": clusters, "templates": [texts.get(cluster, "") for cluster in clusters]}


def timed(lines: Sequence[str], seconds: float) -> dict[str, float]:
    """Give how many lines were mined and in what time; at least one whole round unless `seconds` ends it before."""
    miner = fresh()
    done, cpu_from, wall_from = 0, time.process_time(), time.perf_counter()
    until = wall_from + seconds
    while True:
        for line in lines:
            miner.add_log_message(line)
            done += 1
            if seconds and not done % 1000 and time.perf_counter() >= until:
                break
        if not seconds or time.perf_counter() >= until:
            break
    return {"lines": done, "cpu_s": time.process_time() - cpu_from, "wall_s": time.perf_counter() - wall_from}


def main() -> None:
    task, source, target = sys.argv[1:4]
    lines = json.loads(Path(source).read_text(encoding="utf-8"))
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
    result = parse(lines) if task == "parse" else timed(lines, seconds)
    Path(target).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
