"""Golden requests: bytes and JSON, and the rows that they mean, by every decoder."""

from __future__ import annotations

import json

import pytest

from tests.golden.otlp.write import HERE, RECEIVED_UNIX_NS, SENDER, rows
from watchkeeper.receive import otlp_columnar
from watchkeeper.receive.decode import decode, reference
from watchkeeper.receive.otlp_tables import assemble
from watchkeeper.signals.schema import SCHEMAS, Signal

SIGNALS = pytest.mark.parametrize("signal", list(Signal))


def golden(signal: Signal) -> object:
    return json.loads((HERE / f"{signal}.rows.json").read_text(encoding="utf-8"))


@SIGNALS
@pytest.mark.parametrize(("encoding", "ending"), [("protobuf", "bin"), ("json", "json")])
def test_both_encodings_mean_the_golden_rows(signal: Signal, encoding: str, ending: str) -> None:
    payload = (HERE / f"{signal}.{ending}").read_bytes()
    decoded = decode(signal, encoding, payload, sender=SENDER, received_unix_ns=RECEIVED_UNIX_NS)
    assert decoded.batch.schema == SCHEMAS[signal]
    assert rows(decoded.batch) == golden(signal)
    assert (decoded.rejected, decoded.reason) == (0, "")


@SIGNALS
def test_the_reference_means_the_golden_rows(signal: Signal) -> None:
    found = reference(signal, (HERE / f"{signal}.bin").read_bytes(), received_unix_ns=RECEIVED_UNIX_NS)
    batch = assemble(signal, found.tables, sender=SENDER, received_unix_ns=RECEIVED_UNIX_NS)
    assert rows(batch) == golden(signal)


@SIGNALS
@pytest.mark.skipif(not otlp_columnar.available(), reason="the native library is not built")
def test_the_columnar_decoder_is_sure_of_the_golden_bytes(signal: Signal) -> None:
    payload = (HERE / f"{signal}.bin").read_bytes()
    assert otlp_columnar.read(signal, payload, received_unix_ns=RECEIVED_UNIX_NS) is not None
