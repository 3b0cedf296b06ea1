"""The columnar decoder gives what the reference gives, for any bytes at all."""

from __future__ import annotations

import random
import time

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.receive.otlp_noise import noisy
from tests.receive.otlp_strategies import damaged, random_request, requests
from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive import otlp_columnar
from watchkeeper.receive.decode import reference
from watchkeeper.receive.otlp_tables import Tables, assemble
from watchkeeper.signals.schema import SCHEMAS, Signal

RECEIVED = 1_763_700_000_000_000_123
SIGNALS = pytest.mark.parametrize("signal", list(Signal))
FUZZ_S = 3.0

pytestmark = pytest.mark.skipif(not otlp_columnar.available(), reason="the native library is not built")

_SETTINGS = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def _batch(signal: Signal, tables: Tables) -> pa.RecordBatch:
    return assemble(signal, tables, sender="test", received_unix_ns=RECEIVED)


def compare(signal: Signal, payload: bytes) -> str:
    """Check that both decoders agree, column by column; tell how it went: `sure`, `unsure` or `malformed`."""
    found = otlp_columnar.read(signal, payload, received_unix_ns=RECEIVED)
    try:
        expected = reference(signal, payload, received_unix_ns=RECEIVED)
    except MalformedTelemetry:
        assert found is None, f"malformed for the reference, read by the columnar decoder: {payload.hex()}"
        return "malformed"
    if found is None:
        return "unsure"
    assert expected.rejected == 0, f"a record to be rejected was taken: {payload.hex()}"
    batch = _batch(signal, found.tables)
    right = _batch(signal, expected.tables)
    batch.validate(full=True)
    assert batch.schema == SCHEMAS[signal]
    for name, column, right_column in zip(batch.schema.names, batch.columns, right.columns, strict=True):
        same = _bits(column) == _bits(right_column)
        assert same, f"{name} differs for {payload.hex()}: {column.to_pylist()} is not {right_column.to_pylist()}"
    return "sure"


def _bits(column: pa.Array) -> tuple[object, ...]:
    """Give what a column holds in a form for which NaN equals itself and -0.0 is not 0.0."""
    if pa.types.is_dictionary(column.type):
        return (_bits(column.indices), column.dictionary.to_pylist())
    if pa.types.is_list(column.type):
        return (column.is_null().to_pylist(), column.value_lengths().to_pylist(), _bits(column.flatten()))
    if pa.types.is_float64(column.type):
        return tuple(None if value is None else value.hex() for value in column.to_pylist())
    return tuple(column.to_pylist())


@SIGNALS
@given(data=st.data())
@_SETTINGS
def test_both_decoders_give_the_same_for_every_field(signal: Signal, data: st.DataObject) -> None:
    compare(signal, data.draw(requests(signal)).SerializeToString())


@SIGNALS
def test_the_columnar_decoder_is_sure_of_what_clients_send(signal: Signal) -> None:
    source = random.Random(1)
    outcomes = [compare(signal, random_request(source, signal).SerializeToString()) for _ in range(150)]
    # Only a string index (which profiles alone use) and some powers of two among doubles are left to the reference.
    assert outcomes.count("sure") > 20
    assert "malformed" not in outcomes


@SIGNALS
def test_damaged_requests_end_alike(signal: Signal) -> None:
    source = random.Random(f"damage {signal}")
    corpus = [random_request(source, signal).SerializeToString() for _ in range(40)]
    until = time.monotonic() + FUZZ_S
    outcomes: dict[str, int] = {"sure": 0, "unsure": 0, "malformed": 0}
    while time.monotonic() < until:
        outcomes[compare(signal, damaged(source, source.choice(corpus), corpus))] += 1
    assert all(outcomes.values()), f"the fuzzer did not reach every outcome: {outcomes}"


@SIGNALS
def test_requests_that_no_library_would_write_end_alike(signal: Signal) -> None:
    source = random.Random(f"noise {signal}")
    until = time.monotonic() + FUZZ_S / 3
    outcomes: dict[str, int] = {"sure": 0, "unsure": 0, "malformed": 0}
    while time.monotonic() < until:
        noise = source.choice((0, 0.003, 0.03, 0.2))
        outcomes[compare(signal, noisy(source, random_request(source, signal), noise=noise))] += 1
    assert outcomes["sure"]
    assert outcomes["unsure"]


@SIGNALS
def test_times_past_the_signed_range_are_left_to_the_reference(signal: Signal) -> None:
    source = random.Random(5)
    rejected = 0
    for _ in range(40):
        payload = random_request(source, signal, late_times=True).SerializeToString()
        compare(signal, payload)
        rejected += reference(signal, payload, received_unix_ns=RECEIVED).rejected
    assert rejected > 0
