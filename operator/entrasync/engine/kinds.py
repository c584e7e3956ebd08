"""What an object of a directory is, as the state keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from entrasync.engine.source import SourceKind, SourceObject
from entrasync.state.schema import Kind

CONTAINER_CLASSES: Final = frozenset(
    {b"builtinDomain", b"container", b"domainDNS", b"organizationalUnit"}
)
_KINDS: Final = {
    SourceKind.USER: Kind.USER,
    SourceKind.GROUP: Kind.GROUP,
    SourceKind.CONTACT: Kind.CONTACT,
}


def describe(attributes: Mapping[str, tuple[bytes, ...]]) -> tuple[Kind, bytes | None]:
    """What an object is, and its objectSid; `None` where it has none."""
    return kind_by(attributes.get("objectClass", ())), next(
        iter(attributes.get("objectSid", ())), None
    )


@lru_cache(maxsize=1024)  # a directory has few combinations of classes, and many objects
def kind_by(classes: tuple[bytes, ...]) -> Kind:
    """What an object of these classes is."""
    source = SourceObject(guid="", dn="", parent_guid=None, attributes={"objectClass": classes})
    if source.kind in _KINDS:
        return _KINDS[source.kind]
    return Kind.OTHER if CONTAINER_CLASSES.isdisjoint(classes) else Kind.CONTAINER
