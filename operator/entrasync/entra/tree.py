"""Elements of a document: read one after the other, each kept only as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from entrasync.entra.infoset import DEFAULT_LIMITS, Attribute, CodecError, CodecLimits
from entrasync.entra.nbfx_reader import CLOSED, NOTHING, START, TEXT, NbfxReader, Source

_NO_ATTRIBUTES: Final[Mapping[tuple[str, str], str]] = {}


@dataclass(slots=True)
class Element:
    """An element with its text, attributes by (namespace, name), and children."""

    name: str
    namespace: str
    scope: Mapping[str, str]
    """Namespaces by prefix that hold inside it."""
    attributes: Mapping[tuple[str, str], str] = field(default_factory=dict)
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


class ElementReader:
    """Reads elements forward: a caller descends into one, takes it whole, or passes over it.

    Args:
        source: the document.
        limits: what is accepted at most.

    Attributes:
        records: the reader below, for what knows the octets it reads.
        limits: what is accepted at most.
    """

    def __init__(self, source: Source, limits: CodecLimits = DEFAULT_LIMITS) -> None:
        self.records = NbfxReader(source, limits)
        self.limits = limits

    def children(self) -> Iterator[Element]:
        """The children of the innermost open element, as they begin; without one, the root.

        What the caller leaves of a child is passed over before the next. Text between children
        is, too.
        """
        records = self.records
        outer = records.depth
        while True:
            node = records.read()
            if node is START:
                yield self._begun()
                while records.depth > outer:
                    records.read()
            elif node is CLOSED or node is NOTHING:
                return

    def members(self, namespace: str, names: Sequence[str]) -> Iterator[Element]:
        """Members of a data contract, as WCF reads them: as `children`, in the order of `names`.

        What stands out of order, is unknown or in another namespace is passed over in silence, as
        the real service does: a sender that gets the order wrong loses values.
        """
        position = 0
        for child in self.children():
            if child.namespace == namespace and child.name in names[position:]:
                position = names.index(child.name) + 1
                yield child

    def whole(self, element: Element) -> Element:
        """Read the rest of an element that has just begun.

        Raises:
            CodecError: it is malformed or beyond the limits.
        """
        records = self.records
        parents: list[tuple[Element, list[str], int]] = []
        texts: list[str] = []
        length = 0
        left = self.limits.max_elements
        while True:
            node = records.read()
            if node is TEXT:
                texts.append(records.text)
                length += len(records.text)
                if length > self.limits.max_text:
                    raise CodecError("a value is too long")
            elif node is START:
                left -= 1
                if left < 0:
                    raise CodecError("an element has too many elements below it")
                parents.append((element, texts, length))
                element, texts, length = self._begun(), [], 0
            else:
                element.text = texts[0] if len(texts) == 1 else "".join(texts)
                if not parents:
                    return element
                child = element
                element, texts, length = parents.pop()
                element.children.append(child)

    def text(self, element: Element) -> str:
        """The text of an element that has just begun; it is read to its end."""
        return self.whole(element).text

    def finish(self) -> None:
        """Make sure that the document ends well.

        Raises:
            CodecError: it is malformed, cut off or followed by something else.
        """
        while self.records.read() is not NOTHING:
            pass

    def _begun(self) -> Element:
        records = self.records
        (_, name, namespace), scope = records.element, records.scopes[-1]
        if not records.followers:
            return Element(name, namespace, scope, _NO_ATTRIBUTES)
        attributes = {
            (scope[each.prefix] if each.prefix else "", each.name): each.value
            for each in records.followers
            if isinstance(each, Attribute)
        }
        return Element(name, namespace, scope, attributes)


def parse_document(source: Source, limits: CodecLimits = DEFAULT_LIMITS) -> Element:
    """Read a whole document.

    Raises:
        CodecError: it is malformed or beyond the limits.
    """
    reader = ElementReader(source, limits)
    root = next(reader.children())
    reader.whole(root)
    reader.finish()
    return root
