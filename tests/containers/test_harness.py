"""Three edges and a centre in podman: healthy, scraped, encrypted, cut off and healed, gone wrong and found out."""

from __future__ import annotations

import json
import time
from pathlib import Path

import grpc
import httpx
import pytest

from tests.containers.running import PROJECT, Capture, Running, podman, wait_for

pytestmark = [pytest.mark.containers, pytest.mark.slow]
EDGES = ("edge-1", "edge-2", "edge-3")
LINES = 200
EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def test_all_is_healthy_and_prometheus_scrapes_everything(harness: Running) -> None:
    status = harness.status()
    assert status["healthy"], status
    assert [node["name"] for node in status["nodes"]] == ["centre", *EDGES]
    wanted = {f"{edge}:8889" for edge in EDGES} | {"localhost:3000"}

    def all_up() -> bool:
        return {name for name, health in harness.reporter().targets().items() if health == "up"} == wanted

    wait_for(all_up, 45, "every target of Prometheus is up")
    asked = {"query": "watchkeeper_edge_centre_up"}

    def all_reach_the_centre() -> bool:
        answer = httpx.get(f"{harness.told['prometheus']}/api/v1/query", params=asked).json()
        told = {row["metric"]["instance"]: row["value"][1] for row in answer["data"]["result"]}
        return told == {f"{edge}:8889": "1" for edge in EDGES}

    # What the first scrape saw may be from before the centre answered.
    wait_for(all_reach_the_centre, 45, "every edge tells Prometheus that it reaches the centre")
    for edge, url in harness.told["edges"].items():
        assert "system_cpu_time_seconds_total" in httpx.get(url, verify=harness.trust()).text, edge


def test_the_containers_have_no_rights_that_they_do_not_need(harness: Running) -> None:
    for node in ("centre", *EDGES):
        facts = json.loads(podman("container", "inspect", harness.container(node)))[0]
        assert facts["Config"]["User"] == "10001"
        assert not facts["EffectiveCaps"]
        assert facts["HostConfig"]["ReadonlyRootfs"] is True
        assert facts["HostConfig"]["Memory"] > 0
        assert podman("exec", facts["Name"], "id", "-u") == "10001"


def test_who_shows_no_certificate_is_refused(harness: Running) -> None:
    url = f"{harness.told['otlp_http']}/v1/logs"
    body = {"content": b"{}", "headers": {"Content-Type": "application/json"}}
    with pytest.raises(httpx.TransportError):
        httpx.post(url, verify=harness.trust(), **body)
    assert httpx.post(url.replace("https:", "http:"), **body).status_code == 400
    assert httpx.post(url, verify=harness.trust("edge-1"), **body).status_code == 200
    credentials = grpc.ssl_channel_credentials(Path(harness.told["authority"]).read_bytes())
    with grpc.secure_channel(harness.told["otlp_grpc"], credentials) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(EXPORT)(b"", timeout=10)
    assert httpx.get(f"{harness.told['page']}/api/v1/status", verify=harness.trust()).status_code == 401
    with harness.api() as api:
        reasons = {row["reason"] for row in api.get("/api/v1/ledger").json()["turned_away"]}
    assert "it showed no client certificate" in reasons


def test_what_goes_between_containers_is_encrypted(harness: Running) -> None:
    nodes = ("centre", *EDGES)
    facts = json.loads(podman("container", "inspect", *(harness.container(node) for node in nodes)))
    addresses = {each["NetworkSettings"]["Networks"][PROJECT]["IPAddress"] for each in facts}
    marker, seen = f"secret-marker-{time.time_ns()}", f"plain-control-{time.time_ns()}"
    with Capture(PROJECT) as capture:
        for edge in EDGES:
            harness.send(edge, marker, 0, 5)
        # From the host to Prometheus is plain HTTP: proof that the capture would see plain text, were there any.
        httpx.get(f"{harness.told['prometheus']}/api/v1/query", params={"query": "up", "control": seen})
        count = f"SELECT count(*) FROM logs WHERE body LIKE '{marker}%'"
        wait_for(lambda: harness.sql(count)[0][0] == 5 * len(EDGES), 45, "the centre has the marker")
    assert any(seen.encode() in frame for frame in capture.frames), "the capture sees nothing"
    between = capture.between(addresses)
    assert len(between) > 50
    assert any(b"\x17\x03\x03" in frame for frame in between), "there is no TLS"
    for word in (marker.encode(), b"HTTP/1.1", b"traceparent"):
        assert not any(word in frame for frame in between), word


def test_an_edge_that_is_cut_off_loses_nothing(harness: Running) -> None:
    text = f"line of {time.time_ns()}"
    for edge in EDGES:
        harness.send(edge, f"{text} {edge}", 0, LINES)
    harness.command("cut", "edge-3")
    for number in range(1, 4):
        for edge in EDGES:
            harness.send(edge, f"{text} {edge}", number * LINES, LINES)
    count = f"SELECT count(*), count(DISTINCT body) FROM logs WHERE body LIKE '{text} {{}} %'"
    for edge in EDGES[:2]:
        wait_for(lambda e=edge: harness.sql(count.format(e))[0][0] == 4 * LINES, 45, f"all lines of {edge}")  # type: ignore[misc]
    wait_for(lambda: harness.edge("edge-3")["centre_up"] == 0, 60, "edge-3 is away")
    assert harness.sql(count.format("edge-3"))[0][0] < 4 * LINES
    cut = harness.edge("edge-3")
    assert cut["received"] > cut["forwarded"]
    harness.command("heal", "edge-3")
    wait_for(lambda: harness.sql(count.format("edge-3"))[0][0] >= 4 * LINES, 90, "what edge-3 kept arrives")
    for edge in EDGES:
        assert harness.sql(count.format(edge))[0] == [4 * LINES, 4 * LINES], f"{edge}: 0 lost, 0 twice"
        assert harness.edge(edge)["dropped"] == 0
    url = harness.told["edges"]["edge-3"]
    assert httpx.get(url, verify=harness.trust()).status_code == 200, "its port is published again"


def test_a_fault_on_an_edge_is_found_at_the_centre(harness: Running) -> None:
    def watched() -> bool:
        with harness.api() as api:
            learning = {row["service"]: row["state"] for row in api.get("/api/v1/status").json()["learning"]}
        return learning.get("catalogue") == "watching"

    wait_for(watched, 120, "the centre has learned what catalogue does")
    begun = time.time_ns()
    harness.command("fault", "catalogue/error-rate", "on", "--for", "90", "--set", "share=1")

    def found() -> list[str]:
        with harness.api() as api:
            findings = api.get("/api/v1/findings", params={"limit": 100}).json()["items"]
        return [each["id"] for each in findings if each["service"] == "catalogue" and int(each["last_unix_ns"]) > begun]

    assert wait_for(found, 60, "a finding about catalogue")
    ended = json.loads(harness.command("fault", "catalogue/error-rate", "off").stdout)["ended"]
    assert [truth["service"] for truth in ended] == ["catalogue"]
    wrong = harness.command("fault", "edge-1/queue-jam", "on", check=False)
    assert (wrong.returncode, "does not run here" in wrong.stderr) == (1, True)


def test_what_died_is_brought_back_by_up(harness: Running) -> None:
    podman("kill", harness.container("edge-2"))
    assert harness.command("status", check=False).returncode == 1
    told = dict(harness.told)
    again = harness.up()
    assert (again["built"], again["token"], again["edges"]) == (False, told["token"], told["edges"])
    assert harness.status()["healthy"]


def test_a_process_that_dies_in_a_container_is_started_again(harness: Running) -> None:
    container = harness.container("edge-1")

    def agents() -> str:
        script = "for each in /proc/[0-9]*; do tr '\\0' ' ' < $each/cmdline | grep -q 'watchkeeper edge' && "
        return podman("exec", container, "sh", "-c", script + "basename $each; done; true", check=False)

    before = agents().split()
    assert len(before) >= 1
    podman("exec", container, "sh", "-c", "kill -9 " + " ".join(before), check=False)
    wait_for(lambda: (now := agents().split()) and not set(now) & set(before), 30, "s6 starts the agent again")
    wait_for(lambda: harness.healthy("edge-1"), 60, "edge-1 is healthy again")
