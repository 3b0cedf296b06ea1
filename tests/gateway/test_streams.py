"""Event streams against a real server: what they send, what slow and leaving clients cost, and how they end."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pytest
from tests.gateway.assembly import Keeper, LiveServer, finding, wait_until
from tests.store.reads.tables import NOW

from watchkeeper.gateway import models, models_status
from watchkeeper.gateway.sse import Streams
from watchkeeper.signals.schema import Signal


def batch(keeper: Keeper, *bodies: str, **common) -> pa.RecordBatch:
    """Give a batch of log records as the store would publish it."""
    keeper.store.connection.execute("DELETE FROM logs")
    keeper.store.logs(*[{"time_unix_ns": NOW + index, "body": body, **common} for index, body in enumerate(bodies)])
    table = keeper.store.sql("SELECT * FROM logs ORDER BY time_unix_ns")
    (only,) = table.combine_chunks().to_batches()
    return only


class Follower:
    """A client of one stream."""

    def __init__(self, server: LiveServer, path: str) -> None:
        self._client = httpx.Client(base_url=server.url, timeout=10)
        self._context = self._client.stream("GET", path)
        self.response = self._context.__enter__()
        assert self.response.status_code == 200, self.response.read()
        self._lines = self.response.iter_lines()

    def lines(self) -> Iterator[str]:
        return self._lines

    def next(self, *names: str) -> tuple[str, object]:
        """Give the next event of these names (or any)."""
        name = ""
        for line in self._lines:
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: ") and (not names or name in names):
                return name, json.loads(line[6:])
        raise AssertionError("the stream ended")

    def close(self) -> None:
        self._context.__exit__(None, None, None)
        self._client.close()


@pytest.fixture
def follow(server: LiveServer):
    opened: list[Follower] = []

    def make(path: str) -> Follower:
        opened.append(Follower(server, path))
        return opened[-1]

    yield make
    for follower in opened:
        follower.close()


def test_the_page_gets_status_at_once_and_findings_as_they_change(server, keeper, follow):
    page = follow("/api/v1/events")
    assert page.response.headers["content-type"].startswith("text/event-stream")
    name, status = page.next()
    assert name == "status"
    models_status.Status.model_validate(status)
    wait_until(lambda: keeper.findings._feed._subscribers)
    keeper.findings.put([finding("f9", title="new")])
    _, shown = page.next("finding")
    models.FindingShape.model_validate(shown)
    assert (shown["id"], shown["last_unix_ns"]) == ("f9", str(NOW))
    assert page.next("status")[1]["version"] == "0.1.0"


def test_a_status_is_made_once_for_many_pages(server, keeper, follow):
    pages = [follow("/api/v1/events") for _ in range(8)]
    for page in pages:
        page.next("status")
        page.next("status")
    assert keeper.status_calls < 12


def tail_is_read(keeper: Keeper, count: int = 1):
    return lambda: len(keeper.tail._subscribers) == count


def test_a_tail_gets_the_lines_that_match_as_search_would_give_them(server, keeper, follow):
    tail = follow("/api/v1/logs/stream?query=wanted&service=cart")
    wait_until(tail_is_read(keeper))
    wanted = batch(keeper, "wanted 1", "other", "wanted 2", service="cart")
    keeper.tail.publish(Signal.SPANS, wanted)
    keeper.tail.publish(Signal.LOGS, batch(keeper, "wanted, of another service", service="pay"))
    keeper.tail.publish(Signal.LOGS, wanted)
    shown = [tail.next("log")[1] for _ in range(2)]
    assert [record["body"] for record in shown] == ["wanted 1", "wanted 2"]
    models.LogRecord.model_validate(shown[0])


def test_a_tail_that_cannot_be_read_is_refused(server):
    assert server.client.get("/api/v1/logs/stream?query=%22").status_code == 400


def test_too_many_lines_at_once_are_dropped_and_told(server, keeper, follow):
    tail = follow("/api/v1/logs/stream")
    wait_until(tail_is_read(keeper))
    keeper.tail.publish(Signal.LOGS, batch(keeper, *[f"line {number}" for number in range(1000)]))
    shown, dropped = [], 0
    while not dropped:
        name, data = tail.next()
        if name == "log":
            shown.append(data["body"])
        else:
            dropped = data["count"]
    assert len(shown) + dropped == 1000
    assert shown[-1] == "line 999"


def test_a_client_that_does_not_read_costs_a_bounded_queue_and_is_told_what_it_missed(server, keeper):
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /api/v1/logs/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(tail_is_read(keeper))
        lines = batch(keeper, *["x" * 20_000 + str(number) for number in range(100)])
        (subscriber,) = keeper.tail._subscribers

        def full():
            keeper.tail.publish(Signal.LOGS, lines)
            return subscriber.missed_rows > 0

        wait_until(full)
        assert subscriber.batches.qsize() <= 256
        assert server.client.get("/health").status_code == 200
        slow.settimeout(10)
        end = b""
        while b"event: dropped" not in end:
            piece = slow.recv(1 << 20)
            assert piece
            end = end[-20:] + piece
    wait_until(lambda: server.gateway.streams.open == 0)


def test_a_client_that_goes_leaves_nothing_behind(server, keeper, follow):
    follow("/api/v1/logs/stream").close()
    follow("/api/v1/events").close()
    wait_until(lambda: server.gateway.streams.open == 0)
    wait_until(lambda: not keeper.tail._subscribers and not keeper.findings._feed._subscribers)


def test_quiet_streams_say_that_they_live(server, keeper, follow):
    server.gateway.streams.heartbeat_s = 0.05
    tail = follow("/api/v1/logs/stream")
    assert next(line for line in tail.lines() if line.startswith(":")) == ": still here"


def test_the_number_of_streams_is_bounded(server, keeper, follow):
    server.gateway.streams = Streams(streams_max=2)
    follow("/api/v1/events")
    follow("/api/v1/events")
    refused = server.client.get("/api/v1/events")
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)


def test_streams_end_promptly_with_the_server(keeper):
    server = LiveServer(keeper)
    follower = Follower(server, "/api/v1/events")
    follower.next("status")
    took = server.stop()
    assert took < 2.0
    for _ in follower.lines():
        pass
    follower.close()
    assert server.gateway.streams.open == 0


def test_a_stream_is_not_held_back_by_compression(server, keeper, follow):
    page = follow("/api/v1/events")
    assert "content-encoding" not in page.response.headers
    page.next("status")
