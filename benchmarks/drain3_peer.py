"""drain3 as a peer: with the masks, similarity and depth of its example configuration, the same for every system."""

from __future__ import annotations

import importlib.util
import logging
import re
import time
from collections.abc import Sequence
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


def is_installed() -> bool:
    """Tell whether drain3 can be imported."""
    return importlib.util.find_spec("drain3") is not None


def miner() -> Any:
    """Give a fresh drain3 miner."""
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


def parse(lines: Sequence[str]) -> tuple[list[int], list[str]]:
    """Give each line's cluster and that cluster's final template, masks written as `<*>`."""
    peer = miner()
    clusters = [int(peer.add_log_message(line)["cluster_id"]) for line in lines]
    texts = {cluster.cluster_id: re.sub("<[A-Z]+>", "<*>", cluster.get_template()) for cluster in peer.drain.clusters}
    return clusters, [texts.get(cluster, "") for cluster in clusters]


def cpu_seconds(lines: Sequence[str]) -> float:
    """Give the processor time that drain3 takes over the lines."""
    peer = miner()
    start = time.process_time()
    for line in lines:
        peer.add_log_message(line)
    return time.process_time() - start
