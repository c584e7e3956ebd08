"""SOAP envelopes, and the manner in which data contracts are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from entrasync.entra.contracts import (
    NS_ADDRESSING,
    NS_SOAP,
    NS_XSI,
    ContractError,
)
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.nbfx_reader import NOTHING, START
from entrasync.entra.tree import Element, ElementReader

Write = Callable[[NbfxWriter], None]

_BODY_DEPTH: Final = 2
"""Elements that are open inside the body: the envelope and the body."""
_ONE_ELEMENT: Final = "the envelope's body does not hold one element"


def leaf(writer: NbfxWriter, prefix: str, name: str, value: str) -> None:
    """Write an element that holds text."""
    writer.start(prefix, name)
    writer.text(value)
    writer.end()


def optional_leaf(writer: NbfxWriter, prefix: str, name: str, value: str | None) -> None:
    """Write an element that holds text, or is nil; the prefix `i` must be declared."""
    writer.start(prefix, name)
    if value is None:
        writer.attribute("i", "nil", "true")
    else:
        writer.text(value)
    writer.end()


def boolean_leaf(writer: NbfxWriter, prefix: str, name: str, *, value: bool) -> None:
    """Write an element that holds a typed truth value."""
    writer.start(prefix, name)
    writer.boolean(value)
    writer.end()


def integer_leaf(writer: NbfxWriter, prefix: str, name: str, value: int) -> None:
    """Write an element that holds a typed integer."""
    writer.start(prefix, name)
    writer.integer(value)
    writer.end()


def understood(writer: NbfxWriter, name: str, value: str) -> None:
    """Write an addressing header the receiver must understand."""
    writer.start("a", name)
    writer.attribute("s", "mustUnderstand", "1")
    writer.text(value)
    writer.end()


def envelope(header: Write, body: Write) -> bytes:
    """A whole envelope with the prefixes `s` and `a`."""
    writer = NbfxWriter()
    write_envelope(writer, header, body)
    return writer.getvalue()


def write_envelope(writer: NbfxWriter, header: Write, body: Write) -> None:
    """Write an envelope with the prefixes `s` and `a`."""
    writer.start("s", "Envelope")
    writer.namespace("s", NS_SOAP)
    writer.namespace("a", NS_ADDRESSING)
    writer.start("s", "Header")
    header(writer)
    writer.end()
    writer.start("s", "Body")
    body(writer)
    writer.end()
    writer.end()


def answer(action: str, relates_to: str | None, body: Write) -> bytes:
    """An envelope in answer to the message `relates_to`."""

    def header(writer: NbfxWriter) -> None:
        understood(writer, "Action", action)
        if relates_to:
            leaf(writer, "a", "RelatesTo", f"urn:uuid:{relates_to}")

    return envelope(header, body)


def open_envelope(reader: ElementReader) -> tuple[Element | None, Element]:
    """Header, if any, and the element of the body, which has just begun.

    Raises:
        CodecError: no document, or no SOAP 1.2 envelope.
    """
    root = next(reader.children())
    if (root.namespace, root.name) != (NS_SOAP, "Envelope"):
        raise ContractError("the document is no SOAP 1.2 envelope")
    header = None
    for child in reader.children():
        if child.name == "Header" and header is None:
            header = reader.whole(child)
        elif child.name == "Body":
            for content in reader.children():
                return header, content
            break
    raise ContractError(_ONE_ELEMENT)


def close_envelope(reader: ElementReader) -> None:
    """Read an envelope to its end.

    Raises:
        CodecError: it does not end well, or its body holds more than one element.
    """
    records = reader.records
    in_body = True
    while (node := records.read()) is not NOTHING:
        in_body = in_body and records.depth >= _BODY_DEPTH
        if in_body and node is START and records.depth == _BODY_DEPTH + 1:
            raise ContractError(_ONE_ELEMENT)


def is_nil(element: Element) -> bool:
    """Whether the element says that it has no value."""
    return element.attributes.get((NS_XSI, "nil"), "").strip() in {"true", "1"}


def members(element: Element, namespace: str, names: Sequence[str]) -> dict[str, Element]:
    """Members of a data contract by name, as WCF reads them.

    What stands out of order, is unknown or in another namespace is passed over in silence, as the
    real service does: a sender that gets the order wrong loses values.
    """
    found: dict[str, Element] = {}
    position = 0
    for child in element.children:
        if child.namespace == namespace and child.name in names[position:]:
            position = names.index(child.name) + 1
            found[child.name] = child
    return found


def text_of(found: dict[str, Element], name: str) -> str:
    """Text of a member that must be there.

    Raises:
        ContractError: it is missing.
    """
    if name not in found:
        raise ContractError(f"{name} is missing or out of order")
    return found[name].text


def boolean_of(text: str) -> bool:
    """The truth value a text says.

    Raises:
        ContractError: it says none.
    """
    value = {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
    if value is None:
        raise ContractError("a value is neither true nor false")
    return value


def integer_of(text: str) -> int:
    """The 64-bit integer a text says.

    Raises:
        ContractError: it says none.
    """
    digits = text.strip()
    if not digits.isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 20:  # noqa: PLR2004 - 64 bits and a sign
        raise ContractError("a value is no integer")
    value = int(digits)
    if not -(2**63) <= value < 2**63:
        raise ContractError("an integer does not fit 64 bits")
    return value
