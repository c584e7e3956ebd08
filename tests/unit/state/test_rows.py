"""Values survive the state, and equal ones have equal text."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.contracts import PropertyValue
from entrasync.state.rows import (
    decode_attributes,
    decode_properties,
    encode_attributes,
    encode_properties,
    encode_value,
    from_storable,
    guid_bytes,
    guid_text,
    to_storable,
)

VALUE: st.SearchStrategy[PropertyValue] = st.one_of(
    st.none(),
    st.text(),
    st.booleans(),
    st.integers(),
    st.binary(),
    st.lists(st.text(), max_size=3).map(tuple),
    st.lists(st.binary(), min_size=1, max_size=3).map(tuple),
)


@given(st.dictionaries(st.text(), VALUE))
def test_properties_survive(properties: dict[str, PropertyValue]) -> None:
    text = encode_properties(properties)

    assert decode_properties(text) == properties
    assert encode_properties(dict(reversed(properties.items()))) == text


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**400, -(10**400)])
def test_numbers_of_any_size_survive(number: int) -> None:
    text = encode_properties({"a": "b", "number": number})

    assert text == f'{{"a":"b","number":{number}}}'
    assert decode_properties(text) == {"a": "b", "number": number}


@given(st.dictionaries(st.text(), VALUE))
def test_the_text_is_that_of_json(properties: dict[str, PropertyValue]) -> None:
    """Names of changes are made of it: they do not depend on who writes it."""
    stored = {key: to_storable(value) for key, value in properties.items()}
    text = json.dumps(stored, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    assert encode_properties(properties) == text


@given(VALUE)
def test_a_value_survives(value: PropertyValue) -> None:
    assert from_storable(json.loads(encode_value(value))) == value


@given(st.dictionaries(st.text(), st.lists(st.binary()).map(tuple)))
def test_attributes_survive(attributes: dict[str, tuple[bytes, ...]]) -> None:
    text = encode_attributes(attributes)

    assert decode_attributes(text) == attributes
    assert encode_attributes(dict(reversed(attributes.items()))) == text


@given(st.uuids())
def test_guids_survive(guid: uuid.UUID) -> None:
    assert guid_bytes(str(guid)) == guid.bytes
    assert guid_text(guid.bytes) == str(guid)


def test_what_was_never_stored_is_an_error() -> None:
    with pytest.raises(TypeError, match="float"):
        from_storable(1.5)
