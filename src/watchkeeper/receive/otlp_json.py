"""OTLP's JSON encoding, read into the messages that the protobuf encoding gives.

Enters: the text of an Export{Logs,Metrics,Trace}ServiceRequest in JSON. Leaves: the message, or MalformedTelemetry
that says where. OTLP's own rules over those of protobuf's JSON: trace and span ids are hexadecimal; fields that are not
known are ignored; enums may be numbers. Names in snake_case are taken too, and 64-bit numbers as text or number. Half a
surrogate pair, which JavaScript writes for cut text, becomes U+FFFD.
"""

from __future__ import annotations

import json
from typing import NoReturn, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.otlp_json_fields import Unfit, fields_of_message
from watchkeeper.receive.otlp_requests import REQUESTS
from watchkeeper.signals.signal import Signal


def parse(signal: Signal, payload: bytes) -> Message:
    """Read OTLP/JSON; raises MalformedTelemetry with the place. Cost: some 30 microseconds a record."""
    kind = REQUESTS[signal]
    try:
        document = json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant)
        return kind(**fields_of_message(cast(Descriptor, kind.DESCRIPTOR), document))
    except Unfit as error:
        raise MalformedTelemetry(f"the JSON is no {kind.DESCRIPTOR.name}: {error}") from error
    except UnicodeDecodeError as error:
        raise MalformedTelemetry(f"the JSON is not UTF-8 at byte {error.start}: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise MalformedTelemetry(f"no JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise MalformedTelemetry("the JSON is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise MalformedTelemetry(f"the JSON is no {kind.DESCRIPTOR.name}: {error}") from error


def _refuse_constant(word: str) -> NoReturn:
    raise MalformedTelemetry(f'the JSON has the word {word}, which is none of JSON\'s; write it as the text "{word}"')
