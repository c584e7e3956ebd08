"""What a tenant holds: objects, and why a change to one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from entrasync.entra.contracts import PropertyValue, SyncObjectType

Value = str | bool | int | bytes | tuple[str, ...] | tuple[bytes, ...]
"""A value an attribute holds."""


class Attributes:
    """Attributes by name, whose case is kept and never matters.

    Args:
        items: names and values to begin with.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, Value]] = ()) -> None:
        self._items = {name.lower(): (name, value) for name, value in items}

    def get(self, name: str) -> Value | None:
        """The value, `None` when there is none."""
        found = self._items.get(name.lower())
        return None if found is None else found[1]

    def text(self, name: str) -> str | None:
        """The value when it is text that says something."""
        value = self.get(name)
        return value if isinstance(value, str) and value else None

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a list of texts; one text counts as a list."""
        value = self.get(name)
        if isinstance(value, str):
            return (value,)
        if isinstance(value, tuple):
            return tuple(item for item in value if isinstance(item, str))
        return ()

    def items(self) -> list[tuple[str, Value]]:
        """Names, in the case first seen, and values."""
        return list(self._items.values())

    def merged(self, changes: Mapping[str, PropertyValue]) -> Attributes:
        """These with changes applied: nil and an empty list clear, an absent name keeps."""
        merged = Attributes(self.items())
        for name, value in changes.items():
            if value is None or value == ():
                merged._items.pop(name.lower(), None)
            else:
                known = merged._items.get(name.lower(), (name, value))[0]
                merged._items[name.lower()] = (known, value)
        return merged


@dataclass(slots=True, kw_only=True)
class CloudObject:
    """One object of a tenant. Only the store changes it."""

    object_type: SyncObjectType
    cloud_anchor: str
    source_anchor: str = ""
    """Empty when the object is cloud-only."""
    attributes: Attributes = field(default_factory=Attributes)
    """The shadow: what was exported, not what the tenant made of it."""
    members: set[str] = field(default_factory=set)
    """CloudAnchors of a group's members, deleted ones included: those come back when restored."""
    deleted: bool = False
    version: int = 0
    """Version of the tenant at which the object last changed."""
    user_principal_name: str | None = None
    """The calculated one, as everybody but the sync service sees it."""
    claims: frozenset[str] = frozenset()
    """Unique names the object has in the tenant."""
    quarantined: dict[str, str] = field(default_factory=dict)
    """Values that belong to another object, by attribute."""


class RefusedError(Exception):
    """A change to one object is refused; the others of the request go on.

    Args:
        code: symbolic code of the result.
        description: sentence of the result, personal data marked as the service does.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code)
        self.code = code
        self.description = description
