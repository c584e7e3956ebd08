"""A small element tree over the events, for answers and requests that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from entrasync.entra.infoset import (
    DEFAULT_LIMITS,
    XML_NAMESPACE,
    Attribute,
    CodecError,
    CodecLimits,
    Event,
    Namespace,
    StartElement,
    Text,
)
from entrasync.entra.nbfx import read_events


@dataclass(slots=True)
class Element:
    """An element with its text, attributes by (namespace, name), and children."""

    name: str
    namespace: str
    scope: Mapping[str, str]
    """Namespaces by prefix that hold inside it."""
    attributes: dict[tuple[str, str], str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def find(self, name: str) -> Element | None:
        """The first child of that local name."""
        return next((child for child in self.children if child.name == name), None)

    def find_all(self, name: str) -> list[Element]:
        """All children of that local name."""
        return [child for child in self.children if child.name == name]

    def descend(self, name: str) -> Element | None:
        """The first element of that local name anywhere below, in document order."""
        return next((each for each in self.walk() if each is not self and each.name == name), None)

    def walk(self) -> Iterator[Element]:
        """This element and everything below it, in document order."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))

    def child_text(self, name: str) -> str | None:
        """Text of the first child of that local name, `None` when there is none."""
        child = self.find(name)
        return None if child is None else child.text

    def qualified(self, value: str) -> tuple[str, str]:
        """Namespace and local name of a qualified name that stands in this element.

        Raises:
            CodecError: its prefix is not declared.
        """
        prefix, colon, local = value.strip().rpartition(":")
        if not local or (colon and not prefix) or prefix not in self.scope:
            raise CodecError("a qualified name has a prefix that is not declared")
        return self.scope[prefix], local


def parse_document(data: bytes | memoryview, limits: CodecLimits = DEFAULT_LIMITS) -> Element:
    """Read a whole document.

    Raises:
        CodecError: it is malformed or beyond the limits.
    """
    return build_tree(read_events(data, limits), limits)


def build_tree(events: Iterator[Event], limits: CodecLimits = DEFAULT_LIMITS) -> Element:
    """Collect events into their root element.

    Raises:
        CodecError: the events are no document or one value is too long.
    """
    document = Element("", "", {"": "", "xml": XML_NAMESPACE})
    parents = [document]
    pending: list[Attribute] = []
    texts: list[str] = []
    length = 0
    for event in events:
        top = parents[-1]
        if isinstance(event, Namespace):
            top.scope = {**top.scope, event.prefix: event.uri}
            continue
        if isinstance(event, Attribute):
            pending.append(event)
            continue
        if pending:
            _attach(top, pending)
            pending = []
        if isinstance(event, Text):
            length += len(event.value)
            if length > limits.max_text:
                raise CodecError("a value is too long")
            texts.append(event.value)
            continue
        if texts:
            top.text += "".join(texts)
            texts = []
        if isinstance(event, StartElement):
            element = Element(event.name, event.namespace, top.scope)
            top.children.append(element)
            parents.append(element)
        else:
            parents.pop()
        length = len(parents[-1].text)
    if len(parents) != 1 or len(document.children) != 1:
        raise CodecError("the document has no root element")
    return document.children[0]


def _attach(element: Element, attributes: list[Attribute]) -> None:
    for each in attributes:
        namespace = element.scope[each.prefix] if each.prefix else ""
        element.attributes[namespace, each.name] = each.value
