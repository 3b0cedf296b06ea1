"""The training gateway on a real NATS server with JetStream: answers, buckets, restarts, a server that is away."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.training.assembly import DEADLINE_S, A, Assembly, B, items

from watchkeeper.errors import SettingError, Unreachable
from watchkeeper.receive.nats_address import NatsAddress, address_of
from watchkeeper.settings import Settings
from watchkeeper.training.buckets import AGGREGATION, STATUS, Buckets, SqliteBuckets
from watchkeeper.training.publisher import SUMMARY, Publisher

pytest.importorskip("nats", reason="needs the extra nats (nats-py)")
from nats.aio.client import Client
from tests.infer.nats_server import PROGRAM, NatsServer
from tests.training.test_counts import logs, said

from watchkeeper.signals.schema import Signal
from watchkeeper.training.nats_buckets import JetStreamBuckets
from watchkeeper.training.nats_link import NatsLink
from watchkeeper.training.nats_responder import AT_ONCE, WAITING_MAX, Responder, checked_prefix

needs_server = pytest.mark.skipif(PROGRAM is None, reason="needs nats-server (Debian: apt-get install nats-server)")


@pytest.fixture
def server(tmp_path) -> Iterator[NatsServer]:
    folder = tmp_path / "nats"
    folder.mkdir()
    made = NatsServer(folder)
    yield made
    made.kill()


@pytest.fixture
def made(tmp_path) -> Iterator[Assembly]:
    assembly = Assembly(tmp_path / "home")
    yield assembly
    assembly.close()


def wait_until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)
    return found


@contextmanager
def linked(server: NatsServer, operations: dict[str, Any] | None = None, **options: Any) -> Iterator[NatsLink]:
    link = NatsLink(NatsAddress(server.url), pause_s_max=0.2)
    responder = Responder(link, operations or {}, **options) if operations else None
    link.start()
    try:
        yield link
    finally:
        link.stop()
        if responder:
            responder.close()


def ask_all(url: str, *requests: tuple[str, bytes], timeout_s: float = DEADLINE_S) -> list[dict[str, Any]]:
    """Send requests at once and give the replies in their order."""

    async def run() -> list[dict[str, Any]]:
        client = Client()
        await client.connect(url, allow_reconnect=False)
        try:
            replies = [client.request(subject, data, timeout=timeout_s) for subject, data in requests]
            return [json.loads(each.data) for each in await asyncio.gather(*replies)]
        finally:
            await client.close()

    return asyncio.run(run())


def ask(url: str, subject: str, request: Any = None) -> dict[str, Any]:
    [reply] = ask_all(url, (subject, b"" if request is None else json.dumps(request).encode()))
    return reply


@needs_server
def test_every_operation_is_answered_as_over_http(server, made):
    server.start()
    with linked(server, made.gateway.operations(), prefix="west.") as link:
        wait_until(lambda: link.connected)
        assert ask(server.url, "west.model_status")["status"] == "no model trained"
        answer = ask(server.url, "west.train_model", items(A, B))
        assert answer["decision"] == "trained"
        assert ask(server.url, "west.model_status") == made.gateway.model_status()
        assert ask(server.url, "west.workload_parameters")["items"] == items(A, B)["items"]
        told = ask(server.url, "west.put_model_status", {"status": "completed"})
        assert told["error"]["code"] == "conflict"
        assert ask(server.url, "west.train_model", {"items": []})["decision"] == "reset"
        assert ask(server.url, "west.put_model_status", {"status": "training"}) == {}
        assert ask(server.url, "west.workload_aggregation", {"cluster_id": "local"})["state"] == "counting"
        assert ask(server.url, "west.gpu_info") == {"state": "no data", "problem": "", "items": []}
        assert ask(server.url, "west.put_ai_settings", {"replicas": 2})["replicas"] == 2
        assert ask(server.url, "west.get_ai_settings")["replicas"] == 2
        assert ask(server.url, "west.delete_ai_settings", {"purge_model_training_data": True})["replicas"] == 1


@needs_server
@pytest.mark.parametrize(
    ("data", "said_"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "send a JSON object"),
        (b'{"items": 1}', "valid list"),
        (b'{"items": [{"cluster_id": "\\ud800", "namespace": "n", "deployment": "d"}]}', ""),
    ],
)
def test_what_cannot_be_read_is_answered_and_harms_nobody(server, made, data, said_):
    server.start()
    with linked(server, made.gateway.operations()) as link:
        wait_until(lambda: link.connected)
        poisoned, good = ask_all(server.url, ("train_model", data), ("model_status", b""))
        assert poisoned["error"]["code"] in {"invalid_request", "internal"}
        assert said_ in poisoned["error"]["message"]
        assert good["status"] == "no model trained"
        assert ask(server.url, "train_model", items(A))["decision"] == "trained"


@needs_server
def test_a_slow_operation_holds_up_no_other_and_is_bounded(server):
    server.start()
    gate = threading.Event()

    def slow(_data: Any, _who: str) -> dict[str, Any]:
        assert gate.wait(DEADLINE_S)
        return {"slow": True}

    def broken(_data: Any, _who: str) -> dict[str, Any]:
        raise RuntimeError("a fault of ours")

    operations = {"slow": slow, "quick": lambda data, _: {"echo": data}, "broken": broken}
    with linked(server, operations) as link:
        wait_until(lambda: link.connected)
        flood = [("slow", b"")] * (AT_ONCE + WAITING_MAX + 5)
        replies: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: replies.extend(ask_all(server.url, *flood)))
        thread.start()
        assert ask(server.url, "quick", 7) == {"echo": 7}
        assert ask(server.url, "broken")["error"]["code"] == "internal"
        gate.set()
        thread.join()
        refused = [each for each in replies if "error" in each]
        assert {each["error"]["code"] for each in refused} <= {"busy"}
        assert len(replies) == len(flood)
        assert len(refused) >= 5


@needs_server
def test_an_answer_that_is_too_large_says_so(tmp_path):
    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder, payload_bytes_max=4_096)
    server.start()
    try:
        with linked(server, {"large": lambda _data, _who: {"text": "x" * 5_000}}) as link:
            wait_until(lambda: link.connected)
            assert ask(server.url, "large")["error"]["code"] == "too_large"
    finally:
        server.kill()


@needs_server
def test_a_server_that_comes_late_and_goes_is_connected_to_again(server, made):
    with linked(server, made.gateway.operations()) as link:
        wait_until(lambda: "cannot be reached" in link.problem)
        assert link.status()["state"] == "connecting"
        with pytest.raises(Unreachable, match="cannot be reached"):
            link.run(lambda client: client.flush())
        server.start()
        wait_until(lambda: link.connected)
        assert link.problem == ""
        assert ask(server.url, "model_status")["status"] == "no model trained"
        server.kill()
        wait_until(lambda: link.problem)
        server.start()
        wait_until(lambda: link.connected)
        assert ask(server.url, "model_status")["status"] == "no model trained"
        assert link.connections == 2


def test_what_is_no_nats_server_is_told_of_and_tried_again():
    answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"INFO []\r\n", b"INFO {\r\n", b"INFO 7\r\n", b"\xff\xfe\r\n", b""]
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        asked.append(answers[len(asked) % len(answers)])
                        connection.sendall(asked[-1])

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        link = NatsLink(NatsAddress(f"nats://127.0.0.1:{listening.getsockname()[1]}"), pause_s_max=0.01)
        link.start()
        wait_until(lambda: len(asked) > 4 * len(answers))
        assert "cannot be reached" in link.problem
        assert not link.connected
        link.stop()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(DEADLINE_S)


@pytest.fixture(params=["sqlite", "jetstream"])
def buckets(request, tmp_path, made) -> Iterator[Buckets]:
    if request.param == "sqlite":
        yield SqliteBuckets(made.metadata)
        return
    if PROGRAM is None:
        pytest.skip("needs nats-server (Debian: apt-get install nats-server)")
    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder)
    server.start()
    with linked(server) as link:
        wait_until(lambda: link.connected)
        yield JetStreamBuckets(link)
    server.kill()


def test_buckets_keep_what_is_put(buckets):
    assert buckets.get(STATUS, "default") is None
    assert buckets.keys(STATUS) == []
    buckets.put(STATUS, "default", b"1")
    buckets.put(STATUS, "default", b"2")
    buckets.put(STATUS, "a=2Fb.0", b"")
    buckets.put(AGGREGATION, "default", b"3")
    assert buckets.keys(STATUS) == ["a=2Fb.0", "default"]
    assert (buckets.get(STATUS, "default"), buckets.get(STATUS, "a=2Fb.0")) == (b"2", b"")
    buckets.delete(STATUS, "default")
    buckets.delete(STATUS, "default")
    assert buckets.get(STATUS, "default") is None
    assert buckets.keys(STATUS) == ["a=2Fb.0"]
    assert buckets.get(AGGREGATION, "default") == b"3"
    assert buckets.value_bytes_max() > 100_000


def test_the_publisher_fills_both_buckets(buckets, made):
    from tests.store.reads.tables import Tables

    made.counter.seed(Tables())
    now = time.time_ns()
    rows = [(said(f"d{number}", **{"k8s.cluster.name": "we/st"}), now) for number in range(3)] + [(said("a"), now)]
    made.counter.observe(Signal.LOGS, logs(1, rows))
    made.watchlists.choose("night", [A])
    publisher = Publisher(made.gateway, buckets, refresh_s=3600)
    publisher.start()
    wait_until(lambda: buckets.get(AGGREGATION, SUMMARY))
    summary = json.loads(buckets.get(AGGREGATION, SUMMARY) or b"")
    assert summary["state"] == "healthy"
    west = next(each for each in summary["clusters"] if each["cluster_id"] == "we/st")
    assert (west["log_count"], west["workloads"], west["keys"]) == (3, 3, ["we=2Fst.0"])
    value = json.loads(buckets.get(AGGREGATION, "we=2Fst.0") or b"")
    assert value["namespaces"] == {"default": {"d0": 1, "d1": 1, "d2": 1}}
    assert buckets.keys(STATUS) == ["default", "night"]
    made.train(A)
    wait_until(lambda: json.loads(buckets.get(STATUS, "default") or b"{}")["status"] == "training")
    made.train()
    wait_until(lambda: json.loads(buckets.get(STATUS, "default") or b"{}")["status"] == "no model trained")
    made.lists.remove("night", who="test")
    wait_until(lambda: buckets.keys(STATUS) == ["default"])
    publisher.stop()


@needs_server
def test_a_server_restarted_in_mid_job_keeps_the_status_and_goes_on(server, made):
    server.start()
    link = NatsLink(NatsAddress(server.url), pause_s_max=0.1)
    responder = Responder(link, made.gateway.operations())
    buckets = JetStreamBuckets(link)
    publisher = Publisher(made.gateway, buckets, refresh_s=3600)

    async def nothing(_client: Any) -> None:
        """Prepare nothing."""

    def told() -> dict[str, Any]:
        try:
            return dict(json.loads(buckets.get(STATUS, "default") or b"{}"))
        except Unreachable:
            return {}

    link.on_connected(nothing, publisher.connected)
    link.start()
    publisher.start()
    wait_until(lambda: link.connected)
    made.gateway.put_settings({"trainer": "remote"})
    job = ask(server.url, "train_model", items(A))["job_id"]
    report = {"status": "training", "statistics": {"percentage_completed": 40.0, "stage": "train"}}
    ask(server.url, "put_model_status", report)
    wait_until(lambda: told().get("statistics", {}).get("percentage_completed") == 40)
    server.kill()
    wait_until(lambda: not link.connected)
    made.gateway.put_model_status(
        {"status": "training", "statistics": {"percentage_completed": 60.0, "stage": "train"}}, who="http"
    )
    wait_until(lambda: publisher.problem)
    server.start()
    wait_until(lambda: told().get("statistics", {}).get("percentage_completed") == 60)
    assert told()["job_id"] == job
    assert ask(server.url, "put_model_status", {"status": "completed"}) == {}
    wait_until(lambda: told().get("status") == "completed")
    wait_until(lambda: not publisher.problem)
    publisher.stop()
    link.stop()
    responder.close()


@needs_server
def test_two_gateways_on_one_server_answer_and_write_each_for_itself(server, made, tmp_path):
    server.start()
    east = Assembly(tmp_path / "east")
    made.watchlists.choose("night", [A])
    with (
        linked(server, made.gateway.operations(), prefix="west.") as one,
        linked(server, east.gateway.operations(), prefix="east.") as other,
    ):
        wait_until(lambda: one.connected and other.connected)
        assert ask(server.url, "west.train_model", items(A))["decision"] == "trained"
        assert ask(server.url, "west.model_status")["status"] == "training"
        assert ask(server.url, "east.model_status")["status"] == "no model trained"
        for assembly, link, prefix in ((made, one, "west."), (east, other, "east.")):
            for _ in range(2):
                Publisher(assembly.gateway, JetStreamBuckets(link, prefix=prefix)).write_status()
        plain = JetStreamBuckets(one)
        assert plain.keys("west_modelTrainingStatus") == ["default", "night"]
        assert plain.keys("east_modelTrainingStatus") == ["default"]
        west = json.loads(plain.get("west_modelTrainingStatus", "default") or b"")
        assert west["status"] == "training"
    east.close()


@pytest.mark.parametrize("prefix", ["west", "west.", "a-1.b_2."])
def test_prefixes(prefix):
    assert checked_prefix(prefix) == prefix
    for odd in (f"{prefix} ", f"{prefix}>", f"{prefix}*.", f".{prefix}", f"{prefix}..", "wést."):
        with pytest.raises(SettingError, match="nats_subject_prefix"):
            checked_prefix(odd)


@needs_server
def test_without_jetstream_requests_are_answered_and_the_buckets_are_told_of(tmp_path, made):
    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder, jetstream=False)
    server.start()
    try:
        with linked(server, made.gateway.operations()) as link:
            wait_until(lambda: link.connected)
            publisher = Publisher(made.gateway, JetStreamBuckets(link))
            publisher.start()
            assert ask(server.url, "model_status")["status"] == "no model trained"
            wait_until(lambda: "start nats-server with -js" in publisher.problem)
            publisher.stop()
    finally:
        server.kill()


def test_addresses(tmp_path):
    def address(**chosen: str) -> NatsAddress | None:
        told = {f"nats_{name}": value for name, value in chosen.items()}
        return address_of(Settings(chosen=told, environment={}))

    assert address() is None
    several = address(url="nats://me:secret@one:4222, tls://two:4222")
    assert several is not None
    assert several.list == ["nats://me:secret@one:4222", "tls://two:4222"]
    assert "secret" not in several.shown
    for url in ("one:4222", "http://one", "nats://"):
        with pytest.raises(SettingError, match="nats_url"):
            address(url=url)
    with pytest.raises(SettingError, match=r"\.creds"):
        address(url="nats://one", credentials=str(tmp_path / "none.creds"))
    with pytest.raises(SettingError, match="nats_ca"):
        address(url="nats://one", ca=str(tmp_path / "none.pem"))
    with pytest.raises(SettingError, match="belong together"):
        address(url="nats://one", cert="x.pem")
