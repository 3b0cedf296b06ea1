from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from datetime import UTC

import pytest

from watchkeeper.edge.replay import SAMPLE_LINES, Plan, Replay, SourceReader
from watchkeeper.edge.sender import Sender, Target
from watchkeeper.edge.source import Source, service_of_file, source_of_path
from watchkeeper.edge.timeline import Timeline, When
from watchkeeper.errors import Refused, Unauthorized

S = 10**9
NOW = 1_800_000_000 * S
AT = 1_704_164_645 * S


class FakeTime:
    """One clock for everything a replay asks; its pauses move it."""

    def __init__(self) -> None:
        self.ns = NOW
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.ns += round(seconds * S)

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / S


def source(text: str | bytes, service: str = "app", **options) -> Source:
    data = text.encode() if isinstance(text, str) else text
    return Source(service, lambda: io.BytesIO(data), service, NOW, len(data), **options)


def lines(count: int, gap_s: int = 1) -> str:
    return "".join(
        f"17/06/09 20:{10 + n * gap_s // 60}:{n * gap_s % 60:02d} INFO a.B: line {n}\n" for n in range(count)
    )


def run(collector, sources, fake: FakeTime | None = None, **plan):
    fake = fake or FakeTime()
    sender = Sender(Target(collector.url), sleep=fake.sleep, monotonic=fake.monotonic)
    job = Replay(sources, Plan(**plan), sender, sleep=fake.sleep, now_ns=fake.now_ns, monotonic=fake.monotonic)
    try:
        return job.run()
    finally:
        sender.close()
        run.summary = job.summary


def test_what_comes_through_a_pipe_for_days_is_dated_by_the_day_it_comes():
    fake = FakeTime()

    def pipe() -> Iterator[list[str]]:
        yield ["03:04:05 INFO a.B: first"] * SAMPLE_LINES
        fake.ns += 3 * 86_400 * S
        yield ["03:04:05 INFO a.B: later", "03:04:06 INFO a.B: last"]

    reader = SourceReader(source("", live=True), Plan(), now_ns=fake.now_ns)
    times = [record.time_unix_ns for batch in reader._parse(pipe()) for record in batch]
    assert times[-1] - times[0] == (3 * 86_400 + 1) * S


def test_everything_arrives_in_order_in_batches(collector):
    summary = run(collector, [source(lines(25))], batch_records=10)
    assert [record.body.string_value for record in collector.records()] == [f"line {n}" for n in range(25)]
    assert (summary.lines, summary.records, summary.sent, summary.requests, summary.unsent) == (25, 25, 25, 3, 0)
    assert collector.resources()[0]["service.name"] == "app"
    assert summary.shapes == {"app": "spark (Spark and others with a two-digit year)"}


def test_times_are_sent_as_recorded_unless_told_otherwise(collector):
    run(collector, [source("2024-01-02T03:04:05Z x\n")])
    assert [record.time_unix_nano for record in collector.records()] == [AT]


def test_now_keeps_the_gaps_and_ends_now(collector):
    summary = run(collector, [source(lines(5, gap_s=10))], when=When.NOW)
    times = [record.time_unix_nano for record in collector.records()]
    assert times == [NOW - 40 * S, NOW - 30 * S, NOW - 20 * S, NOW - 10 * S, NOW]
    assert summary.last_unix_ns == NOW
    assert summary.shift_ns > 0


def test_speed_keeps_the_gaps_divided_and_waits_for_them(collector):
    fake = FakeTime()
    run(collector, [source(lines(4, gap_s=10))], fake, when=When.NOW, speed=5.0)
    assert [record.time_unix_nano for record in collector.records()] == [NOW, NOW + 2 * S, NOW + 4 * S, NOW + 6 * S]
    assert fake.pauses == pytest.approx([2.0, 2.0, 2.0])


def test_rate_is_a_bound(collector):
    fake = FakeTime()
    run(collector, [source(lines(50))], fake, rate=10.0)
    assert (fake.ns - NOW) / S == pytest.approx(4.8)
    assert len(collector.records()) == 50


def test_several_sources_are_interleaved_by_time_and_each_service_ends_now(collector):
    early = "17/06/09 20:10:00 INFO a.B: a0\n17/06/09 20:10:20 INFO a.B: a1\n"
    late = "17/06/09 20:10:10 INFO a.B: b0\n17/06/09 20:10:30 INFO a.B: b1\n"
    run(collector, [source(early, "a"), source(late, "b")], merge=True)
    assert [record.body.string_value for record in collector.records()] == ["a0", "b0", "a1", "b1"]
    collector.requests.clear()
    run(collector, [source(early, "a"), source(late, "b")], merge=True, when=When.NOW)
    assert sorted(record.time_unix_nano - NOW for record in collector.records()) == [-20 * S, -20 * S, 0, 0]


def test_a_limit_is_kept(collector):
    assert run(collector, [source(lines(25))], limit=7, batch_records=5).sent == 7
    assert len(collector.records()) == 7


def test_a_dry_run_sends_nothing():
    summary = Replay([source(lines(3))], Plan(), None).run()
    assert (summary.records, summary.sent, summary.unsent, summary.requests) == (3, 0, 0, 0)


def test_rejected_records_are_counted_with_the_reason(collector):
    collector.partial(2, "too old")
    summary = run(collector, [source(lines(5))])
    assert (summary.sent, summary.rejected, summary.rejected_message) == (3, 2, "too old")


def test_refusals_are_waited_out(collector):
    collector.answers.append((429, {"Retry-After": "3"}, b""))
    summary = run(collector, [source(lines(5))])
    assert (summary.sent, summary.retries, len(collector.records())) == (5, 1, 5)


def test_a_batch_too_large_for_the_collector_is_halved(collector):
    collector.answers += [(413, {}, b""), (413, {}, b"")]
    summary = run(collector, [source(lines(8))])
    assert summary.sent == 8
    assert [record.body.string_value for record in collector.records()] == [f"line {n}" for n in range(8)]
    assert [len(request.resource_logs[0].scope_logs[0].log_records) for request in collector.requests] == [2, 2, 4]


def test_an_error_ends_it_and_what_was_not_sent_is_told(collector):
    collector.answers += [(200, {}, b""), (401, {}, b"")]
    with pytest.raises(Unauthorized):
        run(collector, [source(lines(3000))], batch_records=10)
    summary = run.summary
    assert summary.sent == 10
    assert summary.unsent == summary.records - 10 > 0


def test_a_collector_that_never_relents_loses_nothing_silently(collector):
    collector.answers += [(503, {"Retry-After": "100"}, b"")] * 10
    with pytest.raises(Refused):
        run(collector, [source(lines(10))])
    assert (run.summary.sent, run.summary.unsent) == (0, 10)


def test_bad_bytes_empty_and_over_long_lines_arrive_and_are_counted(collector):
    text = (
        b"17/06/09 20:10:00 INFO a.B: caf\xe9 \x00 \x1b[31m\n\n\n17/06/09 20:10:01 INFO a.B: " + b"x" * 300_000 + b"\n"
    )
    summary = run(collector, [source(text)])
    assert (summary.records, summary.mended_lines, summary.empty_lines, summary.cut_lines) == (2, 1, 2, 1)
    bodies = [record.body.string_value for record in collector.records()]
    assert bodies[0] == "caf\ufffd \x00 \x1b[31m"
    assert len(bodies[1]) + summary.cut_bytes == 300_000


def test_lines_of_a_live_source_are_sent_while_it_is_quiet(collector):
    import os
    import threading

    reading, writing = os.pipe()
    arrived = threading.Event()

    def write() -> None:
        os.write(writing, b"17/06/09 20:10:00 INFO a.B: first\n")
        assert arrived.wait(20)
        os.write(writing, b"17/06/09 20:10:01 INFO a.B: second\n")
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    live = Source("pipe", lambda: os.fdopen(reading, "rb"), "pipe", NOW, live=True)
    sender = Sender(Target(collector.url))
    job = Replay([live], Plan(), sender)
    job.on_progress(lambda summary, position, elapsed_s: arrived.set() if collector.requests else None)
    summary = job.run()
    thread.join()
    sender.close()
    assert summary.sent == 2
    assert [len(request.resource_logs) for request in collector.requests] == [1, 1]


def test_a_file_is_named_measured_and_dated(tmp_path):
    path = tmp_path / "checkout.log.1.gz"
    path.write_bytes(gzip.compress(lines(3).encode()))
    found = source_of_path(str(path))
    assert (found.service, found.live, found.size_bytes) == ("checkout", False, path.stat().st_size)
    assert found.reference_unix_ns == path.stat().st_mtime_ns
    summary = Replay([found], Plan(zone=UTC), None).run()
    assert summary.records == 3


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("app.log", "app"),
        ("app.json.gz", "app"),
        ("syslog.2", "syslog"),
        (".log", "log"),
        ("a.b.txt", "a.b"),
        ("x", "x"),
    ],
)
def test_services_are_named_after_their_files(name, service):
    assert service_of_file(name) == service


def test_a_timeline_does_not_leave_the_range_of_times():
    timeline = Timeline(When.NOW, 0.0, 2**63 - 5, first_unix_ns=10)
    assert timeline.moved(2**62) == 2**63 - 1
    assert timeline.moved(0) == 0
