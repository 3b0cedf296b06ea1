import pytest
from benchmarks.endurance import Sample, verdict
from benchmarks.otlp_batches import prepare
from benchmarks.shop_traffic import SHAPES, STEP_NS, STEP_S, steps
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

BEGINS = 1_763_700_000_000_000_000


def samples(*third_mib):
    return [Sample(hour, third_mib[min(2, hour // 8)]) for hour in range(25)]


def test_memory_that_settles_is_flat():
    found = verdict(samples(100, 200, 210))
    assert found["flat"] == "yes"
    assert found["last_to_middle_third_ratio"] == pytest.approx(1.05)
    assert found["peak_mib"] == 210


def test_memory_that_grows_on_is_not_flat():
    found = verdict(samples(100, 200, 231))
    assert found["flat"].startswith("no")
    assert found["slope_mib_per_hour"] > 1


def test_a_step_is_stamped_with_its_own_times_traces_and_orders():
    [step] = steps("payment", 1)
    first, second = (ExportLogsServiceRequest.FromString(step["/v1/logs"].at(BEGINS + n * STEP_NS, n)) for n in (0, 1))
    records = [one.resource_logs[0].scope_logs[0].log_records for one in (first, second)]
    assert all(BEGINS <= record.time_unix_nano < BEGINS + STEP_NS for record in records[0])
    assert [b.time_unix_nano - a.time_unix_nano for a, b in zip(*records, strict=True)] == [STEP_NS] * len(records[0])
    assert records[0][0].trace_id != records[1][0].trace_id
    assert any("o-00000001" in record.body.string_value for record in records[1])


def test_spans_end_after_they_start():
    [step] = steps("frontend", 1)
    request = ExportTraceServiceRequest.FromString(step["/v1/traces"].at(BEGINS, 7))
    assert all(s.end_time_unix_nano > s.start_time_unix_nano for s in request.resource_spans[0].scope_spans[0].spans)


def test_rates_are_those_of_the_shop():
    per_s = {"/v1/logs": 30, "/v1/metrics": 45, "/v1/traces": 65}
    made = [step for service in SHAPES for step in steps(service, 6)]
    for path, rate in per_s.items():
        assert sum(step[path].records for step in made) / 6 / STEP_S == pytest.approx(rate, rel=0.1)


def test_a_prepared_request_has_the_times_of_now_in_every_record():
    request = ExportLogsServiceRequest.FromString(prepare(["a", "b" * 300], "bench").stamped(BEGINS))
    records = request.resource_logs[0].scope_logs[0].log_records
    assert [(r.time_unix_nano, r.body.string_value[0]) for r in records] == [(BEGINS, "a"), (BEGINS + 1, "b")]
