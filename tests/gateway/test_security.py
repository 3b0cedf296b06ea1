"""What guards every request: Host, Origin, content type, size; and the headers of every answer."""

from __future__ import annotations

import socket

import pytest
from tests.gateway.assembly import Keeper, LiveServer

SQL = {"query": "SELECT 1"}


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    made = Keeper(tmp_path_factory.mktemp("security"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(keeper: Keeper):
    running = LiveServer(keeper)
    yield running
    running.stop()


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:1", "127.9.9.9", "[::1]:8080"]
)
def test_names_of_this_machine_are_answered(server: LiveServer, host):
    assert server.client.get("/api/v1/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "[fe80::1]", "[", "a@localhost.x", "0.0.0.0"]
)
@pytest.mark.parametrize("path", ["/api/v1/status", "/", "/metrics", "/openapi.json"])
def test_other_names_are_refused_on_loopback(server: LiveServer, host, path):
    answer = server.client.get(path, headers={"Host": host})
    assert answer.status_code == 403
    assert "host_names" in answer.json()["detail"]


def test_a_request_without_a_host_is_refused(server: LiveServer):
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET /api/v1/status HTTP/1.0\r\n\r\n")
        assert b" 400 " in raw.recv(4096).split(b"\r\n")[0]


def test_names_can_be_added(tmp_path):
    keeper = Keeper(tmp_path, host_names="watch.example, other.example")
    server = LiveServer(keeper)
    try:
        assert server.client.get("/health", headers={"Host": "Watch.example:8080"}).status_code == 200
        assert server.client.get("/health", headers={"Host": "localhost"}).status_code == 200
        assert server.client.get("/health", headers={"Host": "third.example"}).status_code == 403
        behind_a_proxy = {"Host": "localhost", "Origin": "https://watch.example"}
        assert server.client.post("/api/v1/sql", json=SQL, headers=behind_a_proxy).status_code == 200
    finally:
        server.stop()
        keeper.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/sql"), ("POST", "/api/v1/tokens"), ("DELETE", "/api/v1/tokens/x"), ("POST", "/logs")],
)
def test_pages_of_other_sites_change_nothing(server: LiveServer, keeper: Keeper, headers, method, path):
    body = None if method == "DELETE" else {"name": "x", "role": "admin", "query": "SELECT 1"}
    assert server.client.request(method, path, json=body, headers=headers).status_code == 403
    assert keeper.tokens.list() == []


def test_our_own_page_may(server: LiveServer):
    assert server.client.post("/api/v1/sql", json=SQL, headers={"Origin": server.url}).status_code == 200
    same = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert server.client.post("/api/v1/sql", json=SQL, headers=same).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_what_a_form_can_send_is_not_taken(server: LiveServer, content_type):
    answer = server.client.post("/api/v1/sql", content=b'{"query":"SELECT 1"}', headers={"Content-Type": content_type})
    assert (answer.status_code, answer.headers["accept-post"]) == (415, "application/json")


def test_a_body_of_the_api_is_bounded_whole_or_in_pieces(server: LiveServer):
    large = b'{"query":"' + b"x" * (1 << 20) + b'"}'
    headers = {"Content-Type": "application/json"}
    whole = server.client.post("/api/v1/sql", content=large, headers=headers)
    pieces = server.client.post("/api/v1/sql", content=iter([large[:7], large[7:]]), headers=headers)
    assert (whole.status_code, pieces.status_code) == (413, 413)
    small = server.client.post("/api/v1/sql", content=iter([b'{"query":', b'"SELECT 1"}']), headers=headers)
    assert small.status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/health", "/api/v1/status", "/api/v1/none", "/openapi.json", "/api/v1/logs?limit=x"]
)
def test_every_answer_has_the_guarding_headers(server: LiveServer, path):
    headers = server.client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; style-src 'self' 'unsafe-inline'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    if path.startswith("/api/"):
        assert headers["cache-control"] == "no-store"


def test_a_preflight_is_given_no_leave(server: LiveServer):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = server.client.options("/api/v1/sql", headers=asked)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers
