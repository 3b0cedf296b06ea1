"""A request of Prometheus remote write becomes one OTLP request, so that its points go the way of all metrics.

Enters: the bytes of a `prometheus.WriteRequest` (1.0) or an `io.prometheus.write.v2.Request` (2.0), and who sends.
Leaves: an ExportMetricsServiceRequest in protobuf, and how much of what was written, left out and why. Series that came
before are known by their labels' bytes, so most of a request costs a look-up and 18 bytes a sample. The same bytes
always give the same request, as long as nothing new is known of its families and targets (known.py). Stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from operator import itemgetter
from typing import Any

from google.protobuf.message import DecodeError

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.remote_write import messages
from watchkeeper.receive.remote_write.known import TEXT_CHARACTERS_MAX, Family, Known, limited
from watchkeeper.receive.remote_write.request import Request, Translated
from watchkeeper.receive.remote_write.series import NAME, TARGET_INFO, BadSeries, Series, SeriesBook, read_labels
from watchkeeper.receive.remote_write.wire import field


class Version(Enum):
    """The two messages, by the version of the specification that brought them."""

    V1 = "1.0"
    V2 = "2.0"


class Translator:
    """Translates requests; safe to use from any thread."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self._book = SeriesBook()

    def translate(self, version: Version, payload: bytes, sender: str) -> Translated:
        """Translate a decompressed request; raises MalformedTelemetry. Cost: about 2 microseconds a known series."""
        kind = messages.WriteRequest if version is Version.V1 else messages.Request
        try:
            request = kind.FromString(payload)
        except DecodeError as error:
            raise MalformedTelemetry(
                f"the {len(payload)} bytes are no remote write request of version {version.value}: {error}"
            ) from error
        made = Request(sender, self.known)
        if version is Version.V1:
            self._read_v1(request, made)
        else:
            self._read_v2(request, made)
        return made.finish()

    def _read_v1(self, request: Any, made: Request) -> None:
        for told in request.metadata:
            if told.metric_family_name:
                help_, unit = told.help[:TEXT_CHARACTERS_MAX], told.unit[:TEXT_CHARACTERS_MAX]
                made.families[told.metric_family_name[:TEXT_CHARACTERS_MAX]] = Family(told.type, unit, help_)
        known = self._book
        for message in request.timeseries:
            labels = message.labels
            key = b"".join(labels)
            series = known.get(key)
            if series is None:
                series = self._learn(made, message, key, partial(_pairs_v1, labels))
                if series is None:
                    continue
            made.add(series, message)

    def _read_v2(self, request: Any, made: Request) -> None:
        symbols = list(request.symbols)
        if symbols and symbols[0]:
            raise MalformedTelemetry("the first symbol of a remote write request of version 2.0 is not empty")
        texts = _Texts(symbols)
        known = self._book
        for message in request.timeseries:
            references = message.labels_refs
            if len(references) % 2:
                raise MalformedTelemetry("a series has a label without a value: labels_refs holds an odd number")
            try:
                key = itemgetter(*references)(symbols) if references else ()
            except IndexError:
                raise MalformedTelemetry(f"a label refers to a symbol past the {len(symbols)} of the request") from None
            series = known.get(key)
            if series is None:
                series = self._learn(made, message, key, partial(_pairs_v2, key))
                if series is None:
                    continue
            name = series.group.name
            if name not in made.families and message.HasField("metadata"):
                told = message.metadata
                if told.type or told.help_ref or told.unit_ref:
                    made.families[name] = Family(told.type, texts.at(told.unit_ref), texts.at(told.help_ref))
            made.add(series, message, message.created_timestamp)

    def _learn(
        self, made: Request, message: Any, key: Any, read: Callable[[], tuple[list[tuple[str, str]], bool]]
    ) -> Series | None:
        """Read the labels of a series that is new; None when its samples are not to be written as points."""
        try:
            pairs, canonical = read()
            told = read_labels(pairs)
        except (BadSeries, UnicodeDecodeError, DecodeError) as error:
            reason = str(error) if isinstance(error, BadSeries) else "a label is no text in UTF-8"
            made.refuse(len(message.samples) + len(message.histograms), reason)
            return None
        if told.name == TARGET_INFO:
            labels = limited([pair for pair in pairs if pair[0] not in {NAME, "job", "instance"} and pair[1]])
            made.note_target(told.target, labels, message)
            return None
        series = self._book.make(told)
        if canonical:
            self._book.keep(key, series)
        return series


class _Texts:
    """The symbols of a request as texts, read when they are asked for."""

    def __init__(self, symbols: Sequence[bytes]) -> None:
        self._symbols = symbols
        self._known: dict[int, str] = {0: ""}

    def at(self, place: int) -> str:
        """Give a symbol; raises MalformedTelemetry when there is none."""
        found = self._known.get(place)
        if found is None:
            try:
                found = self._symbols[place].decode()[:TEXT_CHARACTERS_MAX]
            except (IndexError, UnicodeDecodeError):
                raise MalformedTelemetry(f"symbol {place} of metadata is not there, or no text in UTF-8") from None
            self._known[place] = found
        return found


def _pairs_v1(labels: Sequence[bytes]) -> tuple[list[tuple[str, str]], bool]:
    """Read labels, and tell whether each is written as usual: only such bytes, one after another, are unique."""
    read = [messages.Label.FromString(each) for each in labels]
    pairs = [(label.name, label.value) for label in read]
    usual = all(
        each == (field(1, name.encode()) + field(2, value.encode()))
        for each, (name, value) in zip(labels, pairs, strict=True)
    )
    return pairs, usual


def _pairs_v2(symbols: tuple[bytes, ...]) -> tuple[list[tuple[str, str]], bool]:
    texts = [symbol.decode() for symbol in symbols]
    return list(zip(texts[::2], texts[1::2], strict=True)), True
