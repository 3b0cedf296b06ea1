"""Whatever bytes come, the answer is a fault of the sender's or a request of OTLP that holds every sample, counted."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.receive.remote_write.written import V2, histogram, metadata_v1, request_v1, sample, series_v1
from watchkeeper.errors import MalformedTelemetry, TooLarge
from watchkeeper.receive.decode import decode
from watchkeeper.receive.remote_write.known import Known
from watchkeeper.receive.remote_write.snappy import compress, decompress
from watchkeeper.receive.remote_write.translate import Translator, Version
from watchkeeper.signals.schema import Signal

WORDS = st.sampled_from(["__name__", "job", "instance", "le", "a", "é", "otel_scope_name", "target", ""])
VALUES = st.one_of(st.sampled_from(["up", "n_total", "h:1", "a/b", ""]), st.text(max_size=5))
LABELS = st.dictionaries(WORDS, VALUES, max_size=6)
SAMPLES = st.lists(
    st.tuples(st.floats(width=64), st.integers(-(2**63), 2**63 - 1) | st.integers(1, 10**13)), max_size=4
)
SIDE = st.tuples(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 4)), max_size=3), st.lists(st.integers(-3, 9), max_size=8)
)
HISTOGRAMS = st.lists(
    st.builds(
        histogram,
        count=st.integers(0, 2**64 - 1),
        total=st.floats(),
        schema=st.integers(-54, 12),
        zero_count=st.integers(0, 2**64 - 1),
        positive=SIDE,
        negative=SIDE,
        bounds=st.lists(st.floats(), max_size=4),
        reset_hint=st.integers(0, 4),
        time_ms=st.integers(-1, 10**13),
    ),
    max_size=2,
)
SERIES = st.lists(st.tuples(LABELS, SAMPLES, HISTOGRAMS), max_size=6)


def rows_of(payload: bytes) -> list[dict[str, Any]]:
    decoded = decode(Signal.METRICS, "protobuf", payload, sender="s", received_unix_ns=1)
    assert decoded.rejected == 0
    found: list[dict[str, Any]] = decoded.batch.to_pylist()
    return found


@settings(max_examples=50, deadline=None)
@given(SERIES)
def test_both_versions_give_the_same_and_lose_nothing(series: Any) -> None:
    one, two = [], V2()
    for labels, samples, histograms in series:
        written = [sample(value, time_ms) for value, time_ms in samples]
        one.append(series_v1(labels, *written, histograms=histograms))
        two.series(labels, *written, histograms=histograms)
    translator = Translator(Known())
    first = translator.translate(Version.V1, request_v1(*one), "s")
    second = translator.translate(Version.V2, two.whole(), "s")
    assert first == second
    sent = sum(len(samples) + len(histograms) for _, samples, histograms in series)
    assert first.samples + first.histograms + first.rejected == sent
    found = rows_of(first.payload)
    assert len(found) == first.samples + first.histograms
    assert translator.translate(Version.V1, request_v1(*one), "s") == first, "the same bytes give the same request"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(Version), st.binary(max_size=200))
def test_noise_is_refused_or_read(version: Version, noise: bytes) -> None:
    try:
        done = Translator(Known()).translate(version, noise, "s")
    except MalformedTelemetry:
        return
    assert len(rows_of(done.payload)) <= done.samples + done.histograms


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_refused_or_read(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(Version))
    labels = {"__name__": "took_seconds", "job": "a", "instance": "b:1", "x": "y"}
    written = histogram(count=3, schema=2, positive=([(0, 2), (1, 1)], [1, 1, -1]))
    if version is Version.V1:
        body = request_v1(
            series_v1(labels, sample(1.0), histograms=[written]),
            metadata=[metadata_v1("took_seconds", 3, "h", "seconds")],
        )
    else:
        body = V2().series(labels, sample(1.0), histograms=[written], kind=3, help_="h").whole()
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    del changed[data.draw(st.integers(1, len(changed))) :]
    try:
        done = Translator(Known()).translate(version, bytes(changed), "s")
    except MalformedTelemetry:
        return
    assert len(rows_of(done.payload)) <= done.samples + done.histograms


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_snappy_gives_back_what_was_put_in_and_refuses_every_cut(data: bytes) -> None:
    block = compress(data)
    assert decompress(block, 300) == data
    for end in range(len(block)):
        try:
            decompress(block[:end], 300)
        except MalformedTelemetry:
            continue
        raise AssertionError(f"{end} of {len(block)} bytes pass for a whole block")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=100))
def test_snappy_of_noise_is_refused_or_within_its_bound(noise: bytes) -> None:
    held: list[int] = []
    try:
        assert len(decompress(noise, 1_000, held.append)) <= 1_000
    except (MalformedTelemetry, TooLarge):
        assert sum(held) <= 1_000
