"""What a metric tells about, read from its name and unit: latency, errors, traffic, cpu, memory, disk, network, queue.

Enters: a metric's name in whatever manner it is written (OpenTelemetry semantic conventions, Prometheus, CamelCase) and
its unit (UCUM). Leaves: one word, `other` when the field's usual terms are not in it. Reads no values, knows no system.
"""

from __future__ import annotations

import re
from functools import lru_cache

ASPECTS = ("latency", "errors", "traffic", "cpu", "memory", "disk", "network", "queue", "other")


def _terms(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+\d*|[A-Z]+\d*|\d+[a-z]*")

_ERRORS = _terms(
    "error err fail failure failed exception fault timeout 4xx 5xx 500 abort aborted reject rejected rejection retry "
    "success successful availability unavailable panic xid ecc crash restart evicted invalid drop dropped "
    "violation"
)
_MEMORY = _terms("memory mem heap rss swap oom ram gc pagefault vram fb hbm buffercache workingset garbage malloc")
_CPU = _terms("cpu loadavg load1 load5 load15 throttle throttled throttling processor sm")
_DISK = _terms(
    "disk filesystem fs inode volume storage blkio iops iowait ssd hdd nvme pvc partition mount block file wal segment"
)
_NETWORK = _terms(
    "network net tcp udp ip socket packet bandwidth rx tx retransmit retransmission receive received transmit "
    "transmitted nic eth0 conntrack dns nvlink"
)
_LATENCY = _terms("latency lat duration elapsed delay rtt ttft tpot responsetime resptime slow wait waited")
_QUEUE = _terms(
    "queue queued backlog lag pending depth waiting waiter inflight outstanding buffered saturation unacked"
)
_TRAFFIC = _terms(
    "request req rps qps tps throughput call query hit message msg op operation workload load rate transaction session "
    "visit login order invocation span record event packet connection consumed produced published  "
    "command count total"
)
_TIME_WORDS = frozenset({"second", "millisecond", "microsecond", "nanosecond", "ms", "us", "ns", "msec", "usec"})
_TIME_UNITS = frozenset({"s", "ms", "us", "ns", "min"})
_QUANTILES = frozenset({"p50", "p75", "p90", "p95", "p99", "p999", "percentile", "quantile"})
_COUNTED = re.compile(r"^(\{.+\}|1)?/(s|min|h)$|^\{(request|call|message|query|operation|record|event)s?\}$")
_RESOURCES = (("memory", _MEMORY), ("cpu", _CPU), ("disk", _DISK), ("network", _NETWORK))
_NODE_LOAD = frozenset({"average", "avg", "system", "node", "host", "1m", "5m", "15m"})


@lru_cache(maxsize=65_536)
def aspect_of(name: str, unit: str = "") -> str:
    """Give the aspect of a metric, one of ASPECTS.

    What a resource reports is the resource's (a disk's latency is `disk`, a card's dropped packets are `network`);
    time that a request takes is `latency`, how many come is `traffic`, how many fail or succeed is `errors`.
    Terms: OpenTelemetry semantic conventions for metrics, the Prometheus naming guide, and the exporters' usual names.

    >>> aspect_of("http.server.request.duration", "s"), aspect_of("node_load1"), aspect_of("PodSuccessRate(%)")
    ('latency', 'cpu', 'errors')
    """
    words = _words(name)
    if words & _ERRORS:
        return next((aspect for aspect, terms in _RESOURCES if words & terms), "errors")
    if "load" in words and words & _NODE_LOAD:
        return "cpu"
    for aspect, terms in (*_RESOURCES, ("latency", _LATENCY)):
        if words & terms:
            return aspect
    if words & {"response", "process", "processing", "execution"} and words & {"time"}:
        return "latency"
    if words & _QUEUE or {"active", "request"} <= words:
        return "queue"
    return _by_unit(words, unit)


def _by_unit(words: frozenset[str], unit: str) -> str:
    if words & {"uptime", "timestamp", "age", "created"}:
        return "other"
    timed = bool(words & _TIME_WORDS) or unit in _TIME_UNITS
    if (timed and "total" not in words) or words & _QUANTILES:
        return "latency"
    if words & {"read", "write", "written"}:
        return "disk"
    if words & _TRAFFIC or _COUNTED.match(unit):
        return "traffic"
    return "other"


def _words(name: str) -> frozenset[str]:
    return frozenset(_singular(word.lower()) for word in _WORD.findall(name))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        return word[:-1]
    return word
