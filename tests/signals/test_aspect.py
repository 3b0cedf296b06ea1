"""What a metric tells about, by the field's usual names."""

from __future__ import annotations

import pytest

from watchkeeper.signals.aspect import ASPECTS, aspect_of

NAMES = {
    "latency": [
        ("http.server.request.duration", "s"),
        ("http_request_duration_seconds_bucket", ""),
        ("orders_lat_90", ""),
        ("PodClientLatencyP95(s)", ""),
        ("db.client.operation.duration", "s"),
        ("response_time", "ms"),
        ("rpc.server.call", "ms"),
        ("checkout p99", ""),
    ],
    "errors": [
        ("http_requests_errors_total", ""),
        ("carts_error", ""),
        ("PodSuccessRate(%)", ""),
        ("availability", ""),
        ("grpc.client.failures", "{call}"),
        ("http_5xx_total", ""),
        ("DCGM_FI_DEV_XID_ERRORS", ""),
    ],
    "traffic": [
        ("http_requests_total", ""),
        ("http.client.request.count", "{request}"),
        ("carts_load", ""),
        ("PodWorkload(Ops)", ""),
        ("shop.orders", ""),
        ("something", "{request}/s"),
    ],
    "cpu": [
        ("process.cpu.time", "s"),
        ("container_cpu_usage_seconds_total", ""),
        ("node_load1", ""),
        ("CpuUsageRate(%)", ""),
        ("system.cpu.load_average.1m", ""),
    ],
    "memory": [
        ("jvm.memory.used", "By"),
        ("container_memory_working_set_bytes", ""),
        ("go_memstats_heap_inuse_bytes", ""),
        ("system.paging.swap", ""),
        ("carts_mem", ""),
        ("node_memory_MemAvailable_bytes", ""),
        ("jvm.gc.duration", "s"),
    ],
    "disk": [
        ("system.filesystem.utilization", "1"),
        ("node_filesystem_avail_bytes", ""),
        ("node_disk_io_time_seconds_total", ""),
        ("system.disk.errors", ""),
        ("SyscallRead", ""),
    ],
    "network": [
        ("system.network.io", "By"),
        ("node_network_receive_drop_total", ""),
        ("container_network_transmit_errors_total", ""),
        ("NodeNetworkReceiveBytes", ""),
        ("tcp_retransmits", ""),
    ],
    "queue": [
        ("kafka_consumergroup_lag", ""),
        ("messaging.queue.size", "{message}"),
        ("http.server.active_requests", "{request}"),
        ("db.client.connection.pending_requests", ""),
    ],
    "other": [("", ""), ("temperature", "Cel"), ("process.uptime", "s"), ("build_info", "")],
}


@pytest.mark.parametrize(
    ("aspect", "name", "unit"), [(aspect, *one) for aspect, names in NAMES.items() for one in names]
)
def test_the_usual_names_are_understood(aspect: str, name: str, unit: str) -> None:
    assert aspect_of(name, unit) == aspect


def test_every_answer_is_a_word_of_the_list() -> None:
    assert set(NAMES) == set(ASPECTS)
    assert aspect_of("a" * 10_000, "?") in ASPECTS
