"""Values as the state keeps them: GUIDs as bytes, attributes and properties as compact JSON."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from entrasync.entra.contracts import PropertyValue


def guid_bytes(guid: str) -> bytes:
    """A canonical GUID as the state keeps it."""
    return bytes.fromhex(guid.replace("-", ""))


def guid_text(value: bytes) -> str:
    """The inverse of `guid_bytes`."""
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def to_storable(value: PropertyValue) -> object:
    """A property value as JSON can hold it; the inverse of `from_storable`."""
    match value:
        case bytes():
            return _octets(value)
        case tuple():
            return [to_storable(item) for item in value]
        case _:
            return value


def _octets(value: object) -> dict[str, str]:
    """What JSON cannot hold by itself."""
    if not isinstance(value, bytes):
        raise TypeError(f"not a value to store: {type(value).__name__}")
    return {"b": binascii.b2a_base64(value, newline=False).decode()}


_slow_to_json: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_octets
).encode
_slow_from_json: Final = json.JSONDecoder().decode


def to_json(value: object) -> str:
    """Compact JSON, the same text for the same value: that of `json`, in a fifth of the time."""
    try:
        return orjson.dumps(value, _octets, orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:
        return _slow_to_json(value)  # numbers of more than 64 bits


def from_json(text: str) -> Any:
    """What was stored, as JSON has it: attributes as text, and as base64 what is none."""
    return orjson.loads(text)


def from_storable(value: object) -> PropertyValue:
    """What `to_storable` made, as it was."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list):
        return tuple([from_storable(item) for item in value])  # type: ignore[return-value]  # lists are of one sort
    match value:
        case {"b": str(encoded)}:
            return binascii.a2b_base64(encoded)
        case _:
            raise TypeError(f"not a stored property value: {type(value).__name__}")


def encode_properties(properties: Mapping[str, PropertyValue]) -> str:
    """Properties as compact JSON, the same text for the same properties."""
    return to_json(properties)


def decode_properties(text: str) -> dict[str, PropertyValue]:
    """The inverse of `encode_properties`."""
    try:
        found: dict[str, PropertyValue] = orjson.loads(text)
        for key, value in found.items():
            if value.__class__ is not str:  # most are text, which is as it was
                found[key] = from_storable(value)
    except (orjson.JSONDecodeError, TypeError):  # numbers of more than 64 bits are none to it
        return {key: from_storable(value) for key, value in _slow_from_json(text).items()}
    return found


def encode_value(value: PropertyValue) -> str:
    """One property value as compact JSON."""
    return to_json(value)


def encode_attributes(attributes: Mapping[str, tuple[bytes, ...]]) -> str:
    """Attributes of a source object as compact JSON: text as it is, anything else as base64.

    The same text for the same attributes.
    """
    return to_json(
        {name: [_encode_value(v) for v in values] for name, values in attributes.items()}
    )


def decode_attributes(text: str) -> dict[str, tuple[bytes, ...]]:
    """The inverse of `encode_attributes`."""
    return {
        name: tuple([_decode_value(v) for v in values]) for name, values in from_json(text).items()
    }


def _decode_value(value: str | dict[str, str]) -> bytes:
    return value.encode() if isinstance(value, str) else binascii.a2b_base64(value["b"])


def _encode_value(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b": binascii.b2a_base64(value, newline=False).decode()}
