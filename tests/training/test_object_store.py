"""Object stores: a folder and a server that speaks S3; "no data", "error" and "healthy" are told apart."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from watchkeeper.errors import QueryError, Unreachable
from watchkeeper.training.object_store import EMPTY_SHA256, open_object_store, signed

KEYS = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
"""The keys of the examples in Amazon's reference, which belong to nobody."""


@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        (
            "/test.txt",
            {},
            {"range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/", {"lifecycle": ""}, {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "/",
            {"max-keys": "2", "prefix": "J"},
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signatures_are_those_of_the_examples_of_amazons_reference(path, query, headers, signature):
    made = signed(
        "GET",
        path,
        query,
        {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": EMPTY_SHA256, **headers},
        EMPTY_SHA256,
        at=datetime(2013, 5, 24, tzinfo=UTC),
        region="us-east-1",
        **KEYS,
    )
    assert made["authorization"].endswith(f"Signature={signature}")


class Bucket(http.server.BaseHTTPRequestHandler):
    """The two requests of S3 that are used, over real HTTP."""

    objects: dict[str, bytes]
    refuse: str
    seen: list[str]

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused():
            return
        self.objects[self.path.removeprefix("/models/")] = data
        self._answer(200, b"")

    def do_GET(self):
        if self._refused():
            return
        prefix = parse_qs(urlsplit(self.path).query).get("prefix", [""])[0]
        keys = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in self.objects if key.startswith(prefix))
        xmlns = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        self._answer(200, f"<ListBucketResult {xmlns}><Name>models</Name>{keys}</ListBucketResult>".encode())

    def _refused(self) -> bool:
        self.seen.append(self.headers.get("authorization", ""))
        if self.refuse:
            self._answer(403, f"<Error><Code>{self.refuse}</Code></Error>".encode())
        return bool(self.refuse)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Tell nothing."""


@contextmanager
def bucket(refuse: str = "") -> Iterator[tuple[str, type[Bucket]]]:
    kind = type("OneBucket", (Bucket,), {"objects": {}, "refuse": refuse, "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/models/wk", kind
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_bucket_takes_objects_and_tells_its_state():
    with bucket() as (url, kind):
        store = open_object_store(url, region="eu", **KEYS)
        assert store.state().state == "no data"
        store.put("logs/default/000001/card.json", b"{}")
        assert kind.objects == {"wk/logs/default/000001/card.json": b"{}"}
        assert store.list() == ["logs/default/000001/card.json"]
        assert store.state()[::2] == ("healthy", 1)
        assert all(said.startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/") for said in kind.seen)


def test_a_bucket_that_refuses_or_is_away_is_an_error():
    with bucket("AccessDenied") as (url, _):
        store = open_object_store(url, region="eu", **KEYS)
        state = store.state()
        assert state.state == "error"
        assert "AccessDenied" in state.detail
        with pytest.raises(Unreachable, match="403"):
            store.put("a", b"")
    assert store.state().state == "error"


def test_a_folder(tmp_path):
    store = open_object_store(f"file://{tmp_path}/volume", region="", access_key="", secret_key="")
    state = store.state()
    assert state.state == "error"
    assert "mount it" in state.detail
    with pytest.raises(Unreachable, match="mount it"):
        store.put("a/b", b"1")
    (tmp_path / "volume").mkdir()
    assert store.state().state == "no data"
    store.put("a/b", b"1")
    store.put("a/b", b"2")
    assert (tmp_path / "volume" / "a" / "b").read_bytes() == b"2"
    assert store.state()[::2] == ("healthy", 1)
    for key in ("../x", "a/../../x", "/x", "", "a//b", "a/."):
        with pytest.raises(QueryError, match="no key"):
            store.put(key, b"")


@pytest.mark.parametrize(
    "url",
    ["", "models", "file://host/models", "file:models", "ftp://host/models", "http://host", "https://host/",
     "http://me:pw@host/models", "http://host/models?x=1", "http://[host/models", "http://host:99999/models"],
)  # fmt: skip
def test_addresses_that_are_none(url):
    with pytest.raises(QueryError, match="object store's url"):
        open_object_store(url, region="", access_key="", secret_key="")


def test_half_of_the_credentials_is_none():
    with pytest.raises(QueryError, match="give both, or none"):
        open_object_store("http://host/models", region="", access_key="a", secret_key="")
