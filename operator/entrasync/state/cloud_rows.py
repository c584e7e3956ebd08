"""What a read-back says of an object, as the cloud space keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from entrasync.entra.contracts import KEY_MEMBER, PropertyValue, SyncObject, SyncObjectType

KEY_IDENTIFIER: Final = "onPremisesObjectIdentifier"
"""The objectGUID an object comes from, as the tenant remembers it."""
_BLOCKED_KEY: Final = "blockOnPremisesSync"
CLOUD_MANAGED_KEYS: Final = frozenset({_BLOCKED_KEY, "cloudMastered"})
"""Say that the source of authority of an object is the cloud: the first that it was converted, so
that nothing may flow to it; the second alone that no engine has taken it over."""
KINDS: Final = frozenset({SyncObjectType.USER, SyncObjectType.GROUP, SyncObjectType.CONTACT})
"""Types that are kept; others matter as members only."""

_GUID_BYTES: Final = 16
EMPTY: Final = (None, "", ())
"""Values that do not travel back."""
_MOST_KEYS: Final = 10_000
"""Spellings that are remembered; nobody sends as many."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ToldObject:
    """An object as the tenant tells it.

    Attributes:
        type: its SyncObjectType.
        cloud_anchor: the tenant's own name of it.
        identifier: objectGUID it comes from, as the tenant remembers it.
        cloud_managed: whether its source of authority is the cloud.
        never_synced: whether it is so only because no engine has taken it over, though it has an
            anchor: an addition with that anchor would.
        properties: what can be compared with what is exported.
    """

    type: str
    cloud_anchor: str | None
    identifier: bytes | None
    cloud_managed: bool
    never_synced: bool
    properties: dict[str, PropertyValue]


@dataclass(slots=True, frozen=True, kw_only=True)
class ToldMembers:
    """What the tenant tells of the members of a group, each by the name it uses.

    Attributes:
        anchors: members, or members added, by SourceAnchor; used up by who takes them, since there
            may be a quarter of a million.
        cloud_anchors: the same by CloudAnchor.
        removed: members removed by SourceAnchor.
        removed_cloud_anchors: the same by CloudAnchor.
        whole: whether these are all members, not changes of them.
    """

    anchors: set[str]
    cloud_anchors: frozenset[str]
    removed: frozenset[str]
    removed_cloud_anchors: frozenset[str]
    whole: bool


class Spelling:
    """Keys in our spelling, by which the tenant's own are found.

    Args:
        keys: all that can be compared.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = frozenset(keys)
        ours = (*CLOUD_MANAGED_KEYS, KEY_IDENTIFIER, *self._keys)
        self._by_lower = {key.lower(): key for key in ours}
        self._by_key: dict[str, str] = {}
        self._identifier = self._by_lower[KEY_IDENTIFIER.lower()]
        self._managed = frozenset(self._by_lower[key.lower()] for key in CLOUD_MANAGED_KEYS)
        self._blocked = self._by_lower[_BLOCKED_KEY.lower()]

    def _learn(self, key: str) -> str:
        """Our spelling of a key, or its own."""
        ours = self._by_lower.get(key.lower(), key)
        if len(self._by_key) < _MOST_KEYS:
            self._by_key[key] = ours
        return ours

    def told_object(self, each: SyncObject) -> ToldObject:
        """What an object says of itself; what cannot be compared is left out."""
        properties: dict[str, PropertyValue] = {}
        identifier = None
        cloud_managed = blocked = False
        for key, value in each.properties.items():
            if value in EMPTY:
                continue
            ours = self._by_key.get(key) or self._learn(key)
            if ours in self._keys:
                properties[ours] = comparable(value) if isinstance(value, tuple) else value
            if ours == self._identifier:
                identifier = _guid(value)
            elif ours in self._managed:
                cloud_managed = cloud_managed or _is_true(value)
                blocked = blocked or (ours == self._blocked and _is_true(value))
        return ToldObject(
            type=str(each.object_type),
            cloud_anchor=each.cloud_anchor or None,
            identifier=identifier,
            cloud_managed=cloud_managed,
            never_synced=cloud_managed and not blocked,
            properties=properties,
        )


def told_members(each: SyncObject, *, changes: bool) -> ToldMembers:
    """What a group says of its members.

    Args:
        each: the group.
        changes: whether a list of changes means just these; otherwise what it adds is all there is.
            A group without any list has no members in either case, since values that are empty do
            not travel; and one with the list itself says all there are.
    """
    anchors = {link.anchor for link in each.links if link.add and not link.by_cloud_anchor}
    cloud_anchors = {link.anchor for link in each.links if link.add and link.by_cloud_anchor}
    gone = [link for link in each.links if not link.add]
    listed = False
    for key, value in each.properties.items():
        if key.lower() == KEY_MEMBER:
            listed = True
            if isinstance(value, tuple):
                anchors.update(item for item in value if isinstance(item, str))
    anchors.discard("")
    return ToldMembers(
        anchors=anchors,
        cloud_anchors=frozenset(cloud_anchors - {""}),
        removed=frozenset(link.anchor for link in gone if not link.by_cloud_anchor),
        removed_cloud_anchors=frozenset(link.anchor for link in gone if link.by_cloud_anchor),
        whole=listed or not (changes and each.links),
    )


def identifier_of(properties: Mapping[str, PropertyValue]) -> bytes | None:
    """The objectGUID an object comes from, as it is written to the tenant."""
    return _guid(properties.get(KEY_IDENTIFIER))


def comparable(value: PropertyValue) -> PropertyValue:
    """Lists are sets to the service: flows sort them, so does this."""
    if isinstance(value, tuple):
        return tuple(sorted(value))  # type: ignore[return-value]  # all of one sort
    return value


def _guid(value: PropertyValue) -> bytes | None:
    """The octets as directories write them, as the state keeps them."""
    if isinstance(value, bytes) and len(value) == _GUID_BYTES:
        return value[3::-1] + value[5:3:-1] + value[7:5:-1] + value[8:]
    return None


def _is_true(value: PropertyValue) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
