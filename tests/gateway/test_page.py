"""The page's files: what is served for which address, for how long it is kept, and that nothing else can be had."""

from __future__ import annotations

import socket

import pytest
from tests.gateway.assembly import Keeper, LiveServer

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("page")
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Watchkeeper</title>")
    (folder / "assets" / "main-3f2a.js").write_text("console.log(1)" + " " * 2000)
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / ".secret").write_text("hidden")
    (tmp_path / "outside.txt").write_text("outside")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    return folder


@pytest.fixture(scope="module")
def site(folder, tmp_path_factory):
    keeper = Keeper(tmp_path_factory.mktemp("home"))
    running = LiveServer(keeper, static_folder=folder)
    yield running
    running.stop()
    keeper.close()


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/logs", "/findings/f1", "/traces/abc", "/metrics-explorer", "/anything/at.all"]
)
def test_addresses_of_the_page_give_its_index(site, path):
    answer = site.client.get(path, headers=HTML)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert "Watchkeeper" in answer.text


def test_files_are_served_and_kept(site):
    script = site.client.get("/assets/main-3f2a.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "javascript" in script.headers["content-type"]
    assert script.headers["content-encoding"] == "gzip"
    icon = site.client.get("/favicon.svg")
    assert (icon.headers["content-type"], icon.headers["cache-control"]) == ("image/svg+xml", "no-cache")
    assert site.client.get("/favicon.svg", headers={"If-None-Match": icon.headers["etag"]}).status_code == 304
    assert site.client.head("/favicon.svg").text == ""


@pytest.mark.parametrize(
    "path",
    [
        "/assets/none.js",
        "/api/none",
        "/api/v1/none",
        "/v1/logs",
        "/.secret",
        "/assets/../.secret",
        "/link.txt",
        "/a%00b",
    ],
)
def test_what_is_not_the_pages_is_not_there(site, path):
    headers = {} if "link" in path or "secret" in path or "00" in path else HTML
    assert site.client.get(path, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../outside.txt",
        "/assets/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "//etc/passwd",
        "/assets/..%5c..%5coutside.txt",
    ],
)
def test_nothing_outside_the_folder_can_be_had(site, path):
    with socket.create_connection(("127.0.0.1", site.port)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert b" 404 " in answer.split(b"\r\n")[0]
    assert b"root:" not in answer


def test_programs_that_ask_for_an_address_of_the_page_are_told_it_is_none(site):
    assert site.client.get("/findings/f1", headers={"Accept": "application/json"}).status_code == 404


def test_get_logs_is_the_page_and_post_logs_takes_logs(site):
    assert site.client.get("/logs", headers=HTML).status_code == 200
    assert site.client.post("/logs", content=b"{").status_code == 400
    assert site.client.get("/metrics", headers=HTML).headers["content-type"].startswith("text/plain")


def test_a_page_that_was_not_built_says_how_to_build_it(keeper, tmp_path):
    server = LiveServer(keeper, static_folder=tmp_path / "missing")
    try:
        answer = server.client.get("/", headers=HTML)
        assert answer.status_code == 200
        assert "make page" in answer.text
    finally:
        server.stop()
