"""The rankers by name: Watchkeeper's own and the simple rules that stand beside it in every measurement.

Maps a name to a class without arguments. Imports a ranker only when it is asked for.
"""

from __future__ import annotations

from watchkeeper.diagnose.base import Ranker
from watchkeeper.registry import Lazy, Registry

_ROOM = "watchkeeper.diagnose.rank"

RANKERS = Registry[type[Ranker]]("ranker")
RANKERS.add("random", Lazy(f"{_ROOM}.random:RandomRanker"))
RANKERS.add("loudest", Lazy(f"{_ROOM}.loudest:LoudestRanker"))
RANKERS.add("robust", Lazy(f"{_ROOM}.robust:RobustRanker"))
RANKERS.add("pagerank", Lazy(f"{_ROOM}.pagerank:PageRankRanker"))
RANKERS.add("traversal", Lazy(f"{_ROOM}.traversal:TraversalRanker"))
RANKERS.add("blame", Lazy(f"{_ROOM}.blame:BlameRanker"))
RANKERS.add("event_support", Lazy(f"{_ROOM}.events:EventSupportRanker"))
RANKERS.add("trace_latency", Lazy(f"{_ROOM}.gaps:TraceLatencyRanker"))
RANKERS.add("self_time", Lazy(f"{_ROOM}.gaps:SelfTimeRanker"))
RANKERS.add("gaps", Lazy(f"{_ROOM}.gaps:GapRanker"))
RANKERS.add("routed", Lazy(f"{_ROOM}.routed:RoutedRanker"))
RANKERS.add("combined", Lazy(f"{_ROOM}.combined:CombinedRanker"))
RANKERS.add("findings", Lazy(f"{_ROOM}.findings:FindingsRanker"))

SIMPLE = ("random", "loudest", "robust", "pagerank", "traversal")
"""What any claim is held against."""


def ranker(name: str) -> Ranker:
    """Make the ranker of that name; raises UnknownName."""
    return RANKERS.get(name)()
