"""A small shop whose telemetry tests make: a front that calls a cart that calls a store, a request a second."""

import numpy as np

from watchkeeper.diagnose.trace_events import LogRows, SpanRows, count, gaps, observe
from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

S = 1_000_000_000
MS = 1_000_000
START = 1_700_000_000 * S
ONSET = START + 600 * S
UNTIL = ONSET + 180 * S
FRONT, CART, STORE, OTHER = "service:front", "service:cart", "service:store", "service:other"
NODES = (FRONT, CART, STORE, OTHER)


class Shop:
    """What was recorded; `request` adds one and tells how it went."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str, str, str, int, int]] = []
        self.lines: list[tuple[str, str, str, str, int, bool]] = []

    def request(
        self, second: int, *, wait_ms: int = 2, own_ms: int = 5, lines: tuple[str, ...] = ("read cart", "cart read")
    ) -> None:
        trace, begin = f"t{second}", START + second * S
        work = own_ms * MS + second % 7 * MS // 10
        cart = begin + (3 + wait_ms) * MS
        waited = wait_ms * MS * 2
        self.spans += [
            (trace, "a", "", FRONT, "GET /", begin, begin + 30 * MS + work + waited),
            (trace, "b", "a", FRONT, "call cart", begin + 3 * MS, begin + 23 * MS + work + waited),
            (trace, "c", "b", CART, "Cart/Get", cart, cart + 20 * MS + work),
            (trace, "d", "c", CART, "call store", cart + work, cart + work + 14 * MS),
            (trace, "e", "d", STORE, "select", cart + work + MS, cart + work + 13 * MS),
        ]
        at = [cart + MS + place * (work + 14 * MS) for place in range(len(lines))]
        self.lines += [(trace, "c", CART, line, when, "fail" in line) for line, when in zip(lines, at, strict=True)]
        self.lines.append((trace, "a", FRONT, "served", begin + 29 * MS, False))

    def window(self, series: tuple[Series, ...] = (), *, order: int = 1) -> IncidentWindow:
        """Give the incident; `order` -1 hands all rows over in reverse."""
        spans, lines = list(zip(*self.spans[::order], strict=True)), list(zip(*self.lines[::order], strict=True))
        observed = observe(
            SpanRows(
                *(list(part) for part in spans[:5]),
                np.array(spans[5], np.int64),
                np.array(spans[6], np.int64),
                np.zeros(len(spans[0]), bool),
            ),
            LogRows(*(list(part) for part in lines[:4]), np.array(lines[4], np.int64), np.array(lines[5], bool)),
        )
        starts = START + 10 * S * np.arange((UNTIL - START) // (10 * S), dtype=np.int64)
        events = count(observed, starts, 10)
        waits = next(one for one in events if one.kind == "wait")
        return IncidentWindow(
            START,
            ONSET,
            UNTIL,
            NODES,
            Topology(
                tuple(Node(NodeKind.SERVICE, node.partition(":")[2]) for node in NODES),
                (Edge(FRONT, CART, EdgeKind.CALLS), Edge(CART, STORE, EdgeKind.CALLS)),
            ),
            series=series,
            events=events,
            gaps=gaps(waits, ONSET),
        )


def shop(**during: object) -> Shop:
    """Give a shop that served as usual until the onset, and `during` it as told."""
    made = Shop()
    for second in range(600):
        made.request(second)
    for second in range(600, 780):
        made.request(second, **during)  # type: ignore[arg-type]
    return made


def cpu(node: str, usual: float, during: float, scale: float = 1.0) -> Series:
    """Give a metric of the processor, a point every 15 seconds with a little noise."""
    times = np.arange(START, UNTIL, 15 * S, dtype=np.int64)
    values = np.where(times < ONSET, usual, during) + np.random.default_rng(3).normal(0, usual / 20, len(times))
    return Series(node, "container.cpu.usage", Aspect.CPU, times, values * scale)


def steady() -> tuple[Series, ...]:
    """Give a metric of the processor of each node, as usual all the time."""
    return tuple(cpu(node, 1.0, 1.0) for node in NODES)
