"""The XML infoset as events, and what a codec of it may refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from entrasync.errors import TransientError


class StartElement(NamedTuple):
    """An element begins; its namespaces and attributes follow as events of their own."""

    prefix: str
    name: str
    namespace: str


class Namespace(NamedTuple):
    """A namespace declaration of the element that has just begun."""

    prefix: str
    uri: str


class Attribute(NamedTuple):
    """An attribute of the element that has just begun."""

    prefix: str
    name: str
    value: str


class Text(NamedTuple):
    """Character content in its lexical form; an element may have several in a row."""

    value: str


class EndElement(NamedTuple):
    """The innermost open element ends."""


Event = StartElement | Namespace | Attribute | Text | EndElement
"""Anything a document consists of."""

END: Final = EndElement()
"""The one value of `EndElement` that is needed."""

XML_NAMESPACE: Final = "http://www.w3.org/XML/1998/namespace"
"""Bound to the prefix `xml` everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecLimits:
    """What a reader accepts at most, so that no peer can exhaust us."""

    max_bytes: int = 256 * 1024 * 1024
    """Size of a document."""
    max_depth: int = 64
    """Elements open at the same time."""
    max_text: int = 16 * 1024 * 1024
    """Characters of one value."""
    max_name: int = 4096
    """Characters of a name, prefix or namespace."""
    max_attributes: int = 64
    """Attributes and namespace declarations of one element."""
    max_array: int = 1_000_000
    """Values of all Array records of a document: an octet there can become a whole element."""
    max_elements: int = 1_000_000
    """Elements that are kept at a time: below one that is read whole."""


DEFAULT_LIMITS: Final = CodecLimits()
"""Limits where none are given."""


class CodecError(TransientError):
    """What was received or is to be sent is no document this codec understands."""

    def __init__(self, message: str) -> None:
        super().__init__("RunFailed", message)
