"""The contract of an inference job: what a request must hold, and what an answer holds, wherever the job comes from.

Enters: the bytes of `{model, prompt, parameters: {max_tokens, temperature}, request_id?}`. Leaves: a Job; and of a Job
with its Answer the output `{result, request_id, model, processed_at, duration_ms, ...}`. Every fault is told at once,
each with line, column and field. Opens no model and no file.
"""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from watchkeeper.errors import InvalidJob, TooLarge
from watchkeeper.infer.json_fields import Fault, JsonFaults, Object, kind_of, object_at, offset_of, read_object

OUTPUT_SCHEMA_VERSION = 1
JOB_BYTES_MAX = 16 * 2**20
MODEL_CHARACTERS_MAX = 256
REQUEST_ID_CHARACTERS_MAX = 128
MAX_TOKENS_MAX = 1_000_000
TEMPERATURE_MAX = 2.0
FIELDS = ("model", "prompt", "parameters", "request_id")
PARAMETERS = ("max_tokens", "temperature")
REQUIRED = ("model", "prompt", "parameters")


@dataclass(frozen=True)
class Parameters:
    """max_tokens: 1 to MAX_TOKENS_MAX, the longest answer. temperature: 0 (the likeliest word) to 2, higher = freer."""

    max_tokens: int
    temperature: float


@dataclass(frozen=True)
class Job:
    """One valid job. `request_id` is the sender's, or made up."""

    model: str
    prompt: str
    parameters: Parameters
    request_id: str


@dataclass(frozen=True)
class Answer:
    """What a model gave: `result` is text, or numbers for an embedding; `details` is what else it tells, for JSON."""

    result: str | list[float]
    details: Mapping[str, Any] = field(default_factory=dict)


class JobFaults(InvalidJob):
    """A job that breaks the contract: `faults` in order of their place, `request_id` where it could be read, or ""."""

    def __init__(self, faults: tuple[Fault, ...], request_id: str = "") -> None:
        super().__init__("\n".join(["the job does not keep to the contract (docs/infer.md):", *map(str, faults)]))
        self.faults = faults
        self.request_id = request_id


def parse_job(data: bytes, *, request_id: str = "") -> Job:
    """Read and validate a job; `request_id` stands in for one that is absent, else a random one is made up.

    Raises JobFaults (an InvalidJob) with every fault found, TooLarge. Cost: some passes over the text.

    >>> parse_job(b'{"model": "category", "prompt": "x", "parameters": {"max_tokens": 0, "temperature": 0}}')
    Traceback (most recent call last):
    ...
    watchkeeper.infer.contract.JobFaults: the job does not keep to the contract (docs/infer.md):
    line 1, column 67, parameters.max_tokens: is 0; it must be from 1 to 1000000
    """
    if len(data) > JOB_BYTES_MAX:
        raise TooLarge(f"the job has {len(data)} bytes; {JOB_BYTES_MAX} are the most")
    try:
        found, text = read_object(data)
    except JsonFaults as error:
        raise JobFaults(error.faults) from error
    faults = [
        *_names(found, FIELDS, REQUIRED, ""),
        *_model(found),
        *_prompt(found),
        *_request_id(found),
    ]
    parameters: Mapping[str, Any] = {}
    if "parameters" in found.values:
        if isinstance(found.values["parameters"], dict):
            try:
                inner = object_at(text, offset_of(text, found.positions["parameters"]), "parameters")
                parameters = inner.values
                faults += [*_names(inner, PARAMETERS, PARAMETERS, "parameters."), *_parameters(inner)]
            except JsonFaults as error:
                faults += error.faults
        else:
            faults.append(_fault(found, "parameters", f"is {kind_of(found.values['parameters'])}, not an object"))
    told = found.values.get("request_id")
    if faults:
        readable = isinstance(told, str) and not any(fault.field == "request_id" for fault in faults)
        raise JobFaults(tuple(sorted(faults)), told if readable and isinstance(told, str) else request_id)
    return Job(
        found.values["model"],
        found.values["prompt"],
        Parameters(int(parameters["max_tokens"]), float(parameters["temperature"])),
        told if isinstance(told, str) else request_id or str(uuid.uuid4()),
    )


def output_of(job: Job, answer: Answer, *, processed_at: datetime, duration_ms: float) -> dict[str, Any]:
    """Give the output of a job as plain data for JSON; `processed_at` is when the answer was complete."""
    return {
        "schema_version": OUTPUT_SCHEMA_VERSION,
        "result": answer.result,
        "request_id": job.request_id,
        "model": job.model,
        "processed_at": rfc3339(processed_at),
        "duration_ms": round(duration_ms, 3),
        "parameters": {"max_tokens": job.parameters.max_tokens, "temperature": job.parameters.temperature},
        "details": dict(answer.details),
    }


def rfc3339(moment: datetime) -> str:
    """Write a time in UTC with milliseconds.

    >>> rfc3339(datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC))
    '2026-01-02T03:04:05.678Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _names(found: Object, known: tuple[str, ...], required: tuple[str, ...], prefix: str) -> Iterator[Fault]:
    for name in required:
        if name not in found.values:
            yield Fault(found.position, f"{prefix}{name}", "is missing")
    for name in found.values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(known)}"
            yield Fault(found.positions[name], f"{prefix}{_printable(name)}", f"is not known; {hint}")


def _model(found: Object) -> Iterator[Fault]:
    yield from _text(found, "model", MODEL_CHARACTERS_MAX)


def _prompt(found: Object) -> Iterator[Fault]:
    if "prompt" in found.values:
        value = found.values["prompt"]
        if not isinstance(value, str):
            yield _fault(found, "prompt", f"is {kind_of(value)}, not a string")
        elif not value.strip():
            yield _fault(found, "prompt", "is empty")
        elif _lone_surrogate(value):
            yield _fault(found, "prompt", "holds half of a surrogate pair, which is no text")


def _request_id(found: Object) -> Iterator[Fault]:
    yield from _text(found, "request_id", REQUEST_ID_CHARACTERS_MAX)


def _text(found: Object, name: str, most: int) -> Iterator[Fault]:
    if name not in found.values:
        return
    value = found.values[name]
    if not isinstance(value, str):
        yield _fault(found, name, f"is {kind_of(value)}, not a string")
    elif not value.strip():
        yield _fault(found, name, "is empty")
    elif len(value) > most:
        yield _fault(found, name, f"has {len(value)} characters; {most} are the most")
    elif not value.isprintable():
        yield _fault(found, name, "holds control characters or half of a surrogate pair")


def _parameters(inner: Object) -> Iterator[Fault]:
    if "max_tokens" in inner.values:
        value = inner.values["max_tokens"]
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole:
            yield _fault(inner, "max_tokens", f"is {_shown(value)}; it must be a whole number", "parameters.")
        elif not 1 <= value <= MAX_TOKENS_MAX:
            yield _fault(
                inner, "max_tokens", f"is {_shown(value)}; it must be from 1 to {MAX_TOKENS_MAX}", "parameters."
            )
    if "temperature" in inner.values:
        value = inner.values["temperature"]
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield _fault(inner, "temperature", f"is {kind_of(value)}, not a number", "parameters.")
        elif not 0.0 <= value <= TEMPERATURE_MAX:
            problem = f"is {_shown(value)}; it must be from 0 to {TEMPERATURE_MAX:g}"
            yield _fault(inner, "temperature", problem, "parameters.")


def _fault(found: Object, name: str, problem: str, prefix: str = "") -> Fault:
    return Fault(found.positions[name], f"{prefix}{name}", problem)


def _shown(value: Any) -> str:
    """Show a number as it is, if it is short."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return kind_of(value)
    return str(value) if abs(value) < 10**15 else "too large"


def _printable(text: str) -> str:
    return text if text.isprintable() and len(text) <= 64 else repr(text[:64])[1:-1]


def _lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
