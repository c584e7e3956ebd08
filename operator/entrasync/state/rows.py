"""Rows of the state, and property values as JSON keeps them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from entrasync.entra.contracts import PropertyValue


@dataclass(slots=True, frozen=True, kw_only=True)
class SourceRow:
    """One object of the source: as read, changes merged in."""

    guid: str
    dn: str
    parent_guid: str | None
    attributes: Mapping[str, tuple[bytes, ...]]


@dataclass(slots=True, frozen=True, kw_only=True)
class CloudRow:
    """One object of the tenant: as exported or read back."""

    anchor: str
    object_type: str
    guid: str | None
    properties: Mapping[str, PropertyValue]
    members: frozenset[str] = frozenset()
    owned: bool = False


def to_storable(value: PropertyValue) -> object:
    """A property value as JSON can hold it; the inverse of `from_storable`."""
    match value:
        case bytes():
            return {"b": base64.b64encode(value).decode()}
        case tuple():
            return [to_storable(item) for item in value]
        case _:
            return value


def from_storable(value: object) -> PropertyValue:
    """What `to_storable` made, as it was."""
    match value:
        case {"b": str(encoded)}:
            return base64.b64decode(encoded)
        case list():
            return tuple(from_storable(item) for item in value)  # type: ignore[return-value]  # lists are of one sort
        case None | bool() | int() | str():
            return value
        case _:
            raise TypeError(f"not a stored property value: {type(value).__name__}")


def encode_properties(properties: Mapping[str, PropertyValue]) -> str:
    """Properties as compact JSON."""
    storable = {key: to_storable(value) for key, value in properties.items()}
    return json.dumps(storable, ensure_ascii=False, separators=(",", ":"))


def decode_properties(text: str) -> dict[str, PropertyValue]:
    """The inverse of `encode_properties`."""
    return {key: from_storable(value) for key, value in json.loads(text).items()}
