"""Compaction: small segments of one hour become one, so that a query opens few files.

Enters: what the catalog knows of the segments. Leaves: groups to merge, and for each group a new segment. The merged
one names the segments it replaces in its own metadata, and the swap is one catalog transaction, so a kill at any
moment leaves each row counting once. Memory is bounded by ARROW_BYTES_MAX for each merge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from watchkeeper.store import segments as files
from watchkeeper.store.segments import Segment

ARROW_BYTES_MAX = 48 << 20


def groups(segments: Sequence[Segment], *, bytes_min: int, together_min: int = 2) -> list[list[Segment]]:
    """Give groups of segments of one folder to merge: at least `together_min`, each smaller than `bytes_min`."""
    folders: dict[str, list[Segment]] = defaultdict(list)
    for segment in sorted(segments, key=lambda s: (s.min_time_unix_ns, s.id)):
        if segment.bytes < bytes_min:
            folders[str(Path(segment.path).parent)].append(segment)
    found: list[list[Segment]] = []
    for members in folders.values():
        if len(members) < together_min:
            continue
        group: list[Segment] = []
        for segment in members:
            if group and sum(s.arrow_bytes for s in group) + segment.arrow_bytes > ARROW_BYTES_MAX:
                found.append(group)
                group = []
            group.append(segment)
        found.append(group)
    return [group for group in found if len(group) > 1]


def merge(root: Path, group: Sequence[Segment]) -> Segment:
    """Write one segment with the rows of all of a group; raises OSError or pyarrow's errors for one that is damaged."""
    table = pa.concat_tables([files.read(root, s) for s in group], promote_options="default").unify_dictionaries()
    return files.write_one(root, group[0].signal, table.sort_by("time_unix_ns"), replaces=[s.id for s in group])
