"""Object stores for copies of published models: a folder (a mounted volume), or a server that speaks S3.

Enters: an address and credentials. Leaves: objects written and listed, and a state that never mixes up "no data",
"error" and "healthy". Requests to S3 are signed with AWS Signature Version 4 (Amazon S3 API reference, "Authenticating
Requests"). Redirects are not followed, so that what is signed goes to nobody else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

import httpx

from watchkeeper.errors import QueryError, Unreachable

TIMEOUT_S = 5.0
LISTED_MAX = 1_000
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_KEY = re.compile(r"[\w.@:+ -]+(/[\w.@:+ -]+)*", re.ASCII)


class ObjectStoreState(NamedTuple):
    """How an object store is: "healthy" answers and holds objects, "no data" answers and holds none."""

    state: Literal["not configured", "no data", "error", "healthy"]
    detail: str
    objects: int


class ObjectStore(Protocol):
    """A place for objects by key."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object; raises Unreachable."""

    def list(self) -> list[str]:
        """Give up to LISTED_MAX keys; raises Unreachable."""

    def state(self) -> ObjectStoreState:
        """Tell how the store is; never raises."""


class FolderStore:
    """Objects as files below a folder, which must be there: a volume that is not mounted is an error, not empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole or not at all."""
        place = self._folder / checked_key(key)
        partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            if not self._folder.is_dir():
                raise Unreachable(f"the folder {self._folder} is not there; mount it, or make it")
            place.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(place)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise Unreachable(f"{place} cannot be written: {error}") from error

    def list(self) -> list[str]:
        """Give the keys."""
        if not self._folder.is_dir():
            raise Unreachable(f"the folder {self._folder} is not there; mount it, or make it")
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise Unreachable(f"the folder {self._folder} may not be read and written by this user")
        found: list[str] = []
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and not path.name.startswith(".") and len(found) < LISTED_MAX:
                found.append(path.relative_to(self._folder).as_posix())
        return found

    def state(self) -> ObjectStoreState:
        """Tell how the folder is."""
        return _state(self)


class S3Store:
    """A bucket, or a prefix of it, in path style: `http(s)://host/bucket/prefix`. Without keys nothing is signed."""

    def __init__(
        self,
        url: str,
        *,
        region: str,
        access_key: str,
        secret_key: str,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        bucket, _, prefix = unquote(parts.path).strip("/").partition("/")
        self._origin, self._host = f"{parts.scheme}://{parts.netloc}", parts.netloc
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._region, self._access_key, self._secret_key = region, access_key, secret_key
        self._now_s = now_s

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._ask("PUT", f"/{self._bucket}/{self._prefix}{checked_key(key)}", {}, data)

    def list(self) -> list[str]:
        """Give the keys below the prefix, without it."""
        query = {"list-type": "2", "max-keys": str(LISTED_MAX), "prefix": self._prefix}
        answer = self._ask("GET", f"/{self._bucket}", query, b"")
        if b"<!DOCTYPE" in answer or b"<!ENTITY" in answer:
            raise Unreachable(f"{self._origin} did not answer as S3 does; is that the address of a bucket?")
        try:
            listed = ET.fromstring(answer)
        except ET.ParseError as error:
            raise Unreachable(f"{self._origin} did not answer as S3 does: {error}") from error
        if not listed.tag.endswith("ListBucketResult"):
            raise Unreachable(f"{self._origin} did not answer as S3 does; is that the address of a bucket?")
        keys = [each.text or "" for each in listed.iter() if each.tag.rpartition("}")[2] == "Key"]
        return [key.removeprefix(self._prefix) for key in keys]

    def state(self) -> ObjectStoreState:
        """Tell how the bucket is."""
        return _state(self)

    def _ask(self, method: str, path: str, query: Mapping[str, str], data: bytes) -> bytes:
        sha256 = hashlib.sha256(data).hexdigest() if data else EMPTY_SHA256
        headers = {"x-amz-content-sha256": sha256}
        if self._access_key:
            at = datetime.fromtimestamp(self._now_s(), UTC)
            headers = signed(
                method, path, query, {**headers, "host": self._host}, sha256, at=at, region=self._region,
                access_key=self._access_key, secret_key=self._secret_key,
            )  # fmt: skip
        encoded = quote(path, safe="/-_.~")
        question = f"?{_canonical(query)}" if query else ""
        try:
            with httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as client:
                answer = client.request(method, f"{self._origin}{encoded}{question}", content=data, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the object store {self._origin} does not answer: {error or type(error).__name__}"
            ) from error
        if answer.status_code >= 300:
            said = re.search(rb"<Code>([^<]{1,100})</Code>", answer.content)
            code = f" ({said[1].decode('utf-8', 'replace')})" if said else ""
            raise Unreachable(f"the object store {self._origin} answered {answer.status_code}{code} to {method} {path}")
        return answer.content


def open_object_store(url: str, *, region: str, access_key: str, secret_key: str) -> ObjectStore:
    """Give the store of an address, without asking it anything; raises QueryError for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise QueryError(f"the object store's url {url[:200]!r} is no address: {error}") from error
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/") or parts.query:
        raise QueryError(
            f"the object store's url {url[:200]!r} is not file:///folder or http(s)://host/bucket; write one of these"
        )
    if parts.username is not None or port == 0:
        raise QueryError("the object store's url holds no user and password; give access_key and secret_key")
    if bool(access_key) != bool(secret_key):
        raise QueryError("access_key and secret_key of the object store belong together; give both, or none")
    return S3Store(url, region=region, access_key=access_key, secret_key=secret_key)


def signed(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    sha256: str,
    *,
    at: datetime,
    region: str,
    access_key: str,
    secret_key: str,
) -> dict[str, str]:
    """Give the headers with a date and the signature over all of them (AWS Signature Version 4, service s3)."""
    stamp, day = f"{at:%Y%m%dT%H%M%SZ}", f"{at:%Y%m%d}"
    headers = {**headers, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    request = "\n".join([method, quote(path, safe="/-_.~"), _canonical(query), lines, names, sha256])
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={access_key}/{scope}"
    return {
        **headers,
        "authorization": f"AWS4-HMAC-SHA256 {credential},SignedHeaders={names},Signature={signature}",
    }


def checked_key(key: str) -> str:
    """Give a key; raises QueryError for one that could lead out of its place."""
    if not _KEY.fullmatch(key) or any(part.strip(". ") == "" for part in key.split("/")):
        raise QueryError(f"{key[:200]!r} is no key of an object")
    return key


def _canonical(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


def _state(store: ObjectStore) -> ObjectStoreState:
    try:
        found = store.list()
    except Unreachable as error:
        return ObjectStoreState("error", str(error), 0)
    if not found:
        return ObjectStoreState("no data", "it answers, and holds nothing yet", 0)
    return ObjectStoreState("healthy", "", len(found))
