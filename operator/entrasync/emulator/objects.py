"""What a tenant holds: objects, and why a change to one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from entrasync.entra.contracts import PropertyValue, SyncObjectType

Value = str | bool | int | bytes | tuple[str, ...] | tuple[bytes, ...]
"""A value an attribute holds."""

KEY_OBJECT_IDENTIFIER: Final = "onPremisesObjectIdentifier"
"""Ties a user to one directory object (its objectGUID). The property is documented for Graph, its
name on the wire is guessed."""
KEY_CLOUD_MASTERED: Final = "CloudMastered"
"""Marks what no sync engine has authority over. The name was seen, its use here is inferred."""
KEY_BLOCK_ON_PREMISES_SYNC: Final = "BlockOnPremisesSync"
"""Marks what was converted to cloud-managed. Guessed: Entra Connect shows the property as
`blockOnPremisesSync`, its name on the wire is not known."""


@lru_cache(maxsize=4096)
def _spelling(name: str) -> tuple[str, str]:
    """A name and what it is known by: names repeat in every object, and are kept once."""
    return name, name.lower()


class Attributes:
    """Attributes by name, whose case is kept and never matters. Never changed once made.

    Args:
        items: names and values to begin with.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, Value]] = ()) -> None:
        self._items: dict[str, tuple[str, Value]] = {}
        for name, value in items:
            spelled, key = _spelling(name)
            self._items[key] = (spelled, value)

    def get(self, name: str) -> Value | None:
        """The value, `None` when there is none."""
        found = self._items.get(_spelling(name)[1])
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
        if not changes:
            return self
        merged = Attributes()
        merged._items = items = dict(self._items)
        for name, value in changes.items():
            spelled, key = _spelling(name)
            if value is None or value == ():
                items.pop(key, None)
            else:
                known = items.get(key)
                items[key] = (spelled if known is None else known[0], value)
        return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the tenant makes of an object's exported names, as everybody but a sync engine sees it.

    The exported ones stay beside these as the shadow (documented).
    """

    user_principal_name: str | None = None
    mail_nickname: str | None = None
    addresses: tuple[str, ...] = ()
    """The calculated proxyAddresses."""
    mail: str | None = None
    claims: frozenset[str] = frozenset()
    """Unique names the object has in the tenant."""
    quarantined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that belong to another object, by attribute."""

    @property
    def warning(self) -> str | None:
        """What the result of an accepted object says when it lost a value."""
        if not self.quarantined:
            return None
        return (
            "This object has been updated in your Azure Active Directory, but with some modified"
            " properties, because the following attributes are associated with another object:"
            f" [{', '.join(sorted(self.quarantined))}]"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a user has in the cloud that no sync engine sends."""

    roles: frozenset[str] = frozenset()
    """Directory roles it holds, by their display names."""
    eligible_roles: frozenset[str] = frozenset()
    """Directory roles it may activate."""
    licensed: bool = False
    """Whether it has a licence."""

    @property
    def all_roles(self) -> frozenset[str]:
        """Roles it holds or may hold."""
        return self.roles | self.eligible_roles


@dataclass(slots=True, kw_only=True)
class CloudObject:
    """One object of a tenant. Only the store changes it."""

    object_type: SyncObjectType
    cloud_anchor: str
    source_anchor: str = ""
    """SourceAnchor, which Graph calls onPremisesImmutableId. An object made in the cloud may have
    one too; empty when there is none."""
    synced: bool = False
    """Whether a sync engine has authority over it, which Graph calls onPremisesSyncEnabled."""
    sync_blocked: bool = False
    """Whether it was converted to cloud-managed, which Graph calls isCloudManaged."""
    standing: Standing = Standing()
    attributes: Attributes = field(default_factory=Attributes)
    """The shadow: what was exported, not what the tenant made of it."""
    members: set[str] = field(default_factory=set)
    """CloudAnchors of a group's members, deleted ones included: those come back when restored."""
    deleted: bool = False
    version: int = 0
    """Version of the tenant at which the object last changed."""
    names: Names = Names()
    """What the tenant made of its names."""

    @property
    def user_principal_name(self) -> str | None:
        """The calculated one, as everybody but the sync service sees it."""
        return self.names.user_principal_name

    @property
    def calculated_proxy_addresses(self) -> tuple[str, ...]:
        """The addresses it has in the tenant, as Graph shows them; the primary begins `SMTP:`."""
        return self.names.addresses

    @property
    def mail(self) -> str | None:
        """The calculated mail address: the primary one, where there is one."""
        return self.names.mail

    @property
    def quarantined(self) -> Mapping[str, tuple[str, ...]]:
        """Values that belong to another object, by attribute."""
        return self.names.quarantined

    @property
    def restorable(self) -> bool:
        """Whether it comes back with its id when it is exported again: users only (documented)."""
        return self.object_type is SyncObjectType.USER

    @property
    def marks(self) -> dict[str, bool]:
        """What read-back says of who has authority over it; nothing when that is the engine."""
        if self.synced:
            return {}
        blocked = {KEY_BLOCK_ON_PREMISES_SYNC: True} if self.sync_blocked else {}
        return {KEY_CLOUD_MASTERED: True} | blocked


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
