"""Values of attributes as the service wants them: text, numbers, bytes, and names of objects."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from entrasync.directory.values import integer_from_text
from entrasync.engine.source import SourceObject, Value, raw_value
from entrasync.entra.contracts import PropertyValue

Values = Sequence[Value]
"""What an attribute holds: text and base64 as the state has it, or bytes; see `SourceObject`."""
AnchorOf = Callable[[str], str | None]
"""SourceAnchor of an objectGUID, `None` when that object does not take part."""
Converter = Callable[[Values], PropertyValue]
"""Values to the property's value, `None` when there is none."""

_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ValueType(StrEnum):
    """What a property holds; the plural ones hold several values."""

    TEXT = "text"
    TEXTS = "texts"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    BINARY = "binary"
    BINARIES = "binaries"
    REFERENCE = "reference"
    REFERENCES = "references"

    @property
    def several(self) -> bool:
        """Whether the property holds several values."""
        return self in _SINGULAR

    @property
    def refers(self) -> bool:
        """Whether the property names other objects."""
        return self in {ValueType.REFERENCE, ValueType.REFERENCES}

    @property
    def singular(self) -> ValueType:
        """The type of one of its values."""
        return _SINGULAR.get(self, self)

    @property
    def plural(self) -> ValueType:
        """The type of several such values; numbers and truths come alone."""
        return _PLURAL.get(self, self)


_SINGULAR: Final = {
    ValueType.TEXTS: ValueType.TEXT,
    ValueType.BINARIES: ValueType.BINARY,
    ValueType.REFERENCES: ValueType.REFERENCE,
}
_PLURAL: Final = {one: several for several, one in _SINGULAR.items()}


class Contributor(NamedTuple):
    """An object of a source that gives values to a cloud object.

    Attributes:
        source: the object.
        dn: its DN as it is now.
        domain: DNS name of its domain.
    """

    source: SourceObject
    dn: str
    domain: str


def as_text(values: Values) -> str | None:
    """The value as trimmed text.

    Of several the one that sorts first: directories give them in any order.
    """
    if len(values) == 1:
        value = values[0]
        return (value if value.__class__ is str else _decoded(value)).strip() or None
    return min(_texts(values), default=None)


def as_texts(values: Values) -> tuple[str, ...] | None:
    """All values as trimmed text, sorted, each once; the empty and undecodable left out."""
    if len(values) == 1:
        text = as_text(values)
        return None if text is None else (text,)
    return tuple(sorted(_texts(values))) or None


def _texts(values: Values) -> set[str]:
    found = {_decoded(value).strip() for value in values}
    found.discard("")
    return found


def _decoded(value: Value) -> str:
    """A value as text, empty when it is none: the state keeps as base64 what is no UTF-8."""
    if isinstance(value, str):
        return value
    try:
        return value.decode() if isinstance(value, bytes) else ""
    except UnicodeDecodeError:
        return ""


def as_boolean(values: Values) -> bool | None:
    """`TRUE` or `FALSE`, as directories spell it."""
    return _BOOLEANS.get((as_text(values) or "").lower())


_BOOLEANS: Final = {"true": True, "false": False}


def as_integer(values: Values) -> int | None:
    """The value as a number; of several the smallest."""
    if len(values) == 1:
        return _integer(values[0])
    if not values:
        return None
    return min((number for number in map(_integer, values) if number is not None), default=None)


def _integer(value: Value) -> int | None:
    return integer_from_text((value if isinstance(value, str) else _decoded(value)).strip())


def as_binary(values: Values) -> bytes | None:
    """The value as it is; of several the one that sorts first."""
    if len(values) == 1:
        return raw_value(values[0]) or None
    return min(map(raw_value, values), default=None) or None


def as_binaries(values: Values) -> tuple[bytes, ...] | None:
    """All values as they are, sorted, each once."""
    return tuple(sorted(set(map(raw_value, values)) - {b""})) or None


CONVERTERS: Final[dict[ValueType, Converter]] = {
    ValueType.TEXT: as_text,
    ValueType.TEXTS: as_texts,
    ValueType.BOOLEAN: as_boolean,
    ValueType.INTEGER: as_integer,
    ValueType.BINARY: as_binary,
    ValueType.BINARIES: as_binaries,
}
"""For all types but references, which need to know the anchors."""


def as_anchors(values: Values, anchor_of: AnchorOf) -> tuple[str, ...] | None:
    """SourceAnchors of the objects named that take part, sorted."""
    found = (_anchor(value, anchor_of) for value in values)
    return tuple(sorted({anchor for anchor in found if anchor is not None})) or None


def as_anchor(values: Values, anchor_of: AnchorOf) -> str | None:
    """SourceAnchor of the object named; of several the one that sorts first."""
    if len(values) == 1:
        return _anchor(values[0], anchor_of)
    found = as_anchors(values, anchor_of)
    return None if found is None else found[0]


def _anchor(value: Value, anchor_of: AnchorOf) -> str | None:
    text = _decoded(value)
    # what is not the GUID of an object is a DN that could not be resolved
    return anchor_of(text) if _GUID.fullmatch(text) else None


def from_word(kind: ValueType, word: str) -> PropertyValue:
    """A value written in the configuration.

    Raises:
        ValueError: it is no value of that type.
    """
    if kind.refers:
        raise ValueError("a reference cannot be written as a value")
    raw = word.encode()
    if kind in {ValueType.BINARY, ValueType.BINARIES}:
        try:
            raw = base64.b64decode(raw, validate=True)
        except binascii.Error as error:
            raise ValueError("it is not base64") from error
    value = CONVERTERS[kind]((raw,))
    if value is None:
        raise ValueError(f"it is no {kind.singular}")
    return value
