"""What an import needs of a directory, and what it is to read there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from entrasync.directory.model import ChangePage, Container, SourceEntry


class GuidReader(Protocol):
    """What reading single objects needs of a directory session."""

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        """One object, tombstones included; `None` is no proof of anything."""
        ...


class DirectoryReader(GuidReader, Protocol):
    """What an import needs of a directory session."""

    def read_all(self, base_dn: str, attributes: Sequence[str]) -> Iterator[SourceEntry]:
        """All objects and containers at and below a container."""
        ...

    def current_cookie(self) -> bytes:
        """A cookie of now, empty when changes cannot be read."""
        ...

    def changes(self, cookie: bytes, attributes: Sequence[str]) -> Iterator[ChangePage]:
        """What changed since a cookie."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class SourceReading:
    """What is read of a source, and how it is told apart from what was read before.

    Attributes:
        name: of the source, within the sync.
        number: of the source, within the state.
        containers: roots of what is read, by their names of now.
        attributes: names to ask for.
        digest: names scope, attributes and directory; another one needs another full read.
        resource: `Kind/name` that errors point at.
        groups: groups that decide what takes part, read wherever they are.
    """

    name: str
    number: int
    containers: tuple[Container, ...]
    attributes: tuple[str, ...]
    digest: str
    resource: str
    groups: tuple[Container, ...] = ()
