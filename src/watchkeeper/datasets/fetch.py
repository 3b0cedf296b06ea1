"""Fetches data sets: whole or not at all, and only with the checksum of the catalogue.

Enters: the name of a set, and a mirror (address or folder) that holds its packed file; without one, the files of the
set are taken from the public repository at the commit given, where the catalogue knows them one by one. Leaves: files
in the data folder. What is cut off goes on where it stopped; what is not what it should be is removed and told.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from watchkeeper.datasets.catalogue import DATA_SETS, DataSet
from watchkeeper.errors import DataSetError
from watchkeeper.version import __version__

PUBLIC_FILE = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
_CHUNK_BYTES = 256 * 1024
_ATTEMPTS = 5
_TIMEOUT_S = 60.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """One file to fetch: where from, where to, and what it must be."""

    url: str
    target: Path
    size_bytes: int
    sha256: str


@cache
def upstream_files() -> dict[str, Any]:
    """Give, by name of set, the public files that the catalogue knows one by one: repository, commit, and each file."""
    text = resources.files("watchkeeper.datasets").joinpath("upstream.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def is_present(data_set: DataSet, folder: Path) -> bool:
    """Tell whether a set lies in the data folder, packed or as single files (their contents are not checked)."""
    if (folder / data_set.file).is_file():
        return True
    known = upstream_files().get(data_set.name)
    return known is not None and all((folder / data_set.name / row["member"]).is_file() for row in known["files"])


def wanted_files(data_set: DataSet, folder: Path, mirror: str, *, public: str = PUBLIC_FILE) -> list[Wanted]:
    """Say what is to be fetched for a set; raises DataSetError when nothing is known to fetch it from."""
    if mirror:
        base = mirror if "://" in mirror else Path(mirror).expanduser().resolve().as_uri()
        url = f"{base.rstrip('/')}/{quote(data_set.file)}"
        return [Wanted(url, folder / data_set.file, data_set.size_bytes, data_set.sha256)]
    known = upstream_files().get(data_set.name)
    if known is None:
        places = "; ".join(str(place) for place in data_set.places)
        raise DataSetError(
            f"{data_set.name} is packed from several public files and is not published as such ({places}); "
            f"name an address or folder that holds {data_set.file} with --from or the setting data_mirror"
        )
    return [
        Wanted(
            public.format(repository=known["repository"], commit=known["commit"], path=quote(row["path"])),
            folder / data_set.name / row["member"],
            row["size_bytes"],
            row["sha256"],
        )
        for row in known["files"]
    ]


def fetch(
    name: str,
    folder: Path,
    mirror: str = "",
    *,
    progress: Progress = lambda file, done, total: None,
    sleep: Callable[[float], None] = time.sleep,
    public: str = PUBLIC_FILE,
) -> list[Path]:
    """Fetch a set unless it lies there with the right checksum; gives its files.

    Raises UnknownName, and DataSetError when a file is not there, is not what it should be, or cannot be had in five
    attempts; what came so far is kept for the next call, unless it is wrong.
    """
    files = wanted_files(DATA_SETS.get(name), folder, mirror, public=public)
    for wanted in files:
        if not (wanted.target.is_file() and sha256_of(wanted.target) == wanted.sha256):
            _fetch_file(wanted, progress, sleep)
    return [wanted.target for wanted in files]


def verify(data_set: DataSet, folder: Path) -> str:
    """Compare a set on disk with its checksums: `ok`, `absent`, or what is wrong."""
    packed = folder / data_set.file
    if packed.is_file():
        found = sha256_of(packed)
        return "ok" if found == data_set.sha256 else f"{packed} has the checksum {found}, not {data_set.sha256}"
    if not is_present(data_set, folder):
        return "absent"
    for row in upstream_files()[data_set.name]["files"]:
        path = folder / data_set.name / row["member"]
        if (found := sha256_of(path)) != row["sha256"]:
            return f"{path} has the checksum {found}, not {row['sha256']}"
    return "ok"


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file in hexadecimal; reads it once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_file(wanted: Wanted, progress: Progress, sleep: Callable[[float], None]) -> None:
    """Fetch into `<name>.part`, check, then rename: a file of the right name is always whole."""
    part = wanted.target.with_name(wanted.target.name + ".part")
    try:
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_part(wanted, part, progress, sleep)
        found = sha256_of(part)
        if found != wanted.sha256:
            part.unlink()
            raise DataSetError(
                f"{wanted.url} has the checksum {found}, not {wanted.sha256}; it is not the file of the catalogue "
                "and was removed"
            )
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(wanted.target)
    except OSError as error:
        raise DataSetError(
            f"cannot write {wanted.target}: {error.strerror or error}; is there room on the disk?"
        ) from error


def _fetch_part(wanted: Wanted, part: Path, progress: Progress, sleep: Callable[[float], None]) -> None:
    failure = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            sleep(2.0 ** (attempt - 1))
        if part.is_file() and part.stat().st_size > wanted.size_bytes:
            part.unlink()
        if part.is_file() and part.stat().st_size == wanted.size_bytes:
            return
        try:
            _download(wanted, part, progress)
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in {408, 416, 429, 500, 502, 503, 504}:
                    raise DataSetError(
                        f"{wanted.url} answered {error.code} {error.reason}; is the address right?"
                    ) from error
                if error.code == 416:
                    part.unlink(missing_ok=True)
            failure = f"it answered {error.code}"
        except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            failure = str(getattr(error, "reason", None) or error) or type(error).__name__
        else:
            if part.stat().st_size >= wanted.size_bytes:
                return
            failure = f"it ended after {part.stat().st_size:,} of {wanted.size_bytes:,} bytes"
    raise DataSetError(
        f"{wanted.url} could not be fetched in {_ATTEMPTS} attempts: {failure}; what came is kept, run it again"
    )


def _download(wanted: Wanted, part: Path, progress: Progress) -> None:
    """Append what is missing to the part, or begin anew where the server cannot go on in the middle."""
    have = part.stat().st_size if part.is_file() else 0
    if wanted.url.startswith("file:"):
        _copy(wanted, part)
        progress(wanted.target.name, part.stat().st_size, wanted.size_bytes)
        return
    request = urllib.request.Request(wanted.url, headers={"User-Agent": f"watchkeeper/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        done = have if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := response.read1(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                progress(wanted.target.name, done, wanted.size_bytes)
                if done > wanted.size_bytes:
                    return


def _copy(wanted: Wanted, part: Path) -> None:
    source = Path(urllib.request.url2pathname(wanted.url.removeprefix("file://")))
    if not source.is_file():
        raise DataSetError(f"there is no file {source}; is the folder right?")
    shutil.copyfile(source, part)
