"""A job from one file to another: the output is there as a whole, or not at all.

Enters: the paths of input and output. Leaves: the output file, written beside and moved into place. A job that fails
leaves no output file, not even that of an earlier job, which could be taken for its own. `-` reads the standard input
and writes the standard output.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from watchkeeper.errors import NotFound, SettingError, StoreError, WatchkeeperError
from watchkeeper.infer.contract import JOB_BYTES_MAX
from watchkeeper.infer.job_log import JobLog
from watchkeeper.infer.run import JobRunner

T = TypeVar("T")
STANDARD = Path("-")


def run_files(source: Path, target: Path, runner: JobRunner, log: JobLog) -> dict[str, Any]:
    """Run the job in `source` and write its output to `target`; gives the output.

    Raises NotFound and StoreError for files that cannot be read or written, SettingError when both are the same, and
    what JobRunner.run raises.
    """
    if STANDARD not in {source, target} and source.resolve() == target.resolve():
        same = SettingError(f"input and output are the same file, {source}; name another for the output")
        runner.tell_failure(same)
        raise same
    try:
        data = _step(log, runner, "the input is read", lambda: read_input(source))
        output = runner.run(data)
        told = {"model": output["model"], "request_id": output["request_id"]}
        _step(log, runner, "the output is written", lambda: write_output(target, output), **told)
    except BaseException:
        if target != STANDARD and target.is_file():
            with contextlib.suppress(OSError):
                target.unlink()
        raise
    return output


def read_input(path: Path) -> bytes:
    """Read a job, a byte more than it may have at the most; raises NotFound, StoreError."""
    try:
        if path == STANDARD:
            return sys.stdin.buffer.read(JOB_BYTES_MAX + 1)
        with path.open("rb") as stream:
            return stream.read(JOB_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise NotFound(f"the input {path} does not exist; name the file of the job by --input") from error
    except OSError as error:
        raise StoreError(f"the input {path} cannot be read: {error.strerror}") from error


def write_output(path: Path, output: Mapping[str, Any]) -> None:
    """Write an output atomically: a reader sees all of it or nothing, also after a power cut. Raises StoreError."""
    data = (json.dumps(output, ensure_ascii=False, indent=2) + "\n").encode()
    try:
        if path == STANDARD:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        _move_into_place(path.resolve(), data)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"the output {path} cannot be written: {reason}; name a file in a folder that can") from error


def _move_into_place(path: Path, data: bytes) -> None:
    beside = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        # Made with the usual mode, so that the umask decides who may read the result.
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _step(log: JobLog, runner: JobRunner, message: str, work: Callable[[], T], **told: Any) -> T:
    """Do one step and log it; an error is logged as the job's failure."""
    begun = time.monotonic()
    try:
        done = work()
    except WatchkeeperError as error:
        runner.tell_failure(error, duration_ms=(time.monotonic() - begun) * 1e3, **told)
        raise
    log.write("info", message, duration_ms=(time.monotonic() - begun) * 1e3, **told)
    return done
