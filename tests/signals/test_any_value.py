"""AnyValue as JSON text: nothing is lost on the way there and back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from watchkeeper.signals.any_value import any_value_json, attributes_json, plain

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


def message(value: object) -> AnyValue:
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[message(item) for item in value]))
    assert isinstance(value, dict)
    return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))


def pairs(value: dict[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=message(item)) for key, item in value.items()]


def same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            math.copysign(1, left) == math.copysign(1, right) and left == right
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


@given(VALUES)
def test_every_value_survives(value: object) -> None:
    assert same(plain(json.loads(any_value_json(message(value)))), value)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**63 - 1])
def test_integers_beyond_2_to_53_keep_their_digits(number: int) -> None:
    assert any_value_json(AnyValue(int_value=number)) == str(number)


def test_repeated_keys_stay_in_the_text() -> None:
    twice = [KeyValue(key="a", value=AnyValue(int_value=1)), KeyValue(key="a", value=AnyValue(int_value=2))]
    assert attributes_json(twice) == '{"a":1,"a":2}'


def test_a_map_that_looks_like_bytes_is_still_a_map() -> None:
    value = {"$bytes": "AQI="}
    assert plain(json.loads(any_value_json(message(value)))) == value
