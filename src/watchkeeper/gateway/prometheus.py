"""The metrics of Watchkeeper as Prometheus text (exposition format 0.0.4), and those of the gateway itself.

Enters: families of metrics. Leaves: text. Written by hand: it is forty lines, and a client library would keep a second
set of counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from watchkeeper.app.own_metrics import Family, own_families
from watchkeeper.gateway.application import WatchkeeperLike
from watchkeeper.gateway.sse import Streams
from watchkeeper.gateway.work import Work

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(families: Iterable[Family]) -> str:
    """Write families as text.

    >>> print(render([Family("x_total", "counter", "All.", [({"a": 'say "hi"'}, 2)])]), end="")
    # HELP x_total All.
    # TYPE x_total counter
    x_total{a="say \\"hi\\""} 2
    """
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escape(family.help)}")
        lines.append(f"# TYPE {family.name} {family.type}")
        for labels, value in family.samples:
            said = ",".join(f'{name}="{_escape(text, quote=True)}"' for name, text in labels.items())
            lines.append(f"{family.name}{{{said}}} {_number(value)}" if said else f"{family.name} {_number(value)}")
    return "\n".join(lines) + "\n"


def exposition(keeper: WatchkeeperLike) -> str:
    """Give the whole of /metrics; cost: that of a status."""
    return render(own_families(keeper))


def gateway_families(work: Work, streams: Streams) -> list[Family]:
    """Give what the gateway tells of itself."""
    busy = [
        ({"pool": name}, float(pool.busy))
        for name, pool in (("queries", work.queries), ("sql", work.sql), ("live", work.live))
    ]
    return [
        Family("watchkeeper_gateway_work", "gauge", "Blocking work that runs or waits, by pool.", list(busy)),
        Family("watchkeeper_gateway_streams", "gauge", "Open event streams.", [({}, float(streams.open))]),
    ]


def _escape(text: str, *, quote: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quote else escaped


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
