"""One tenant in memory: objects by both anchors, links, soft deletion, and what changed when.

Where Microsoft documents a behaviour, this keeps to it. Guesses, each named where it is made: the
code of an unknown reference, of a group over its limit and of a missing anchor; that removing a
link that is not there, and deleting what is deleted already, succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from entrasync.emulator.naming import NameIndex, Names, proxy_claim, upn_claim
from entrasync.emulator.objects import Attributes, CloudObject, RefusedError
from entrasync.entra.contracts import (
    KEY_MEMBER,
    LinkChange,
    ObjectResult,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)

CODE_UNKNOWN_REFERENCE: Final = "ReferenceNotFound"
"""Guessed: how the service names a link to an object it does not have is not known."""
CODE_GROUP_TOO_LARGE: Final = "LargeObject"
"""Documented for other values that are too many; guessed for members."""
CODE_INVALID_DELETE: Final = "114"
"""Documented as an error type; Entra Connect shows it as HRESULT 0x8023134a."""
CODE_MISSING_ANCHOR: Final = "DataValidationFailed"
"""Guessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingRules:
    """How new objects meet cloud-only ones."""

    soft_match_on_upn: bool = True
    block_soft_match: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWrite:
    """Links of one group that changed, for whoever keeps them on disk."""

    group: str
    added: frozenset[str]
    removed: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What changed since it was last asked for."""

    objects: tuple[CloudObject, ...]
    links: tuple[LinkWrite, ...]


class TenantStore:
    """The objects of a tenant. Not thread-safe: the caller serializes.

    Args:
        names: the tenant's unique names.
        matching: rules of soft match.
        new_id: gives the GUID of a new object.
    """

    def __init__(
        self, *, names: NameIndex, matching: MatchingRules, new_id: Callable[[], str]
    ) -> None:
        self._names = names
        self._matching = matching
        self._new_id = new_id
        self._by_cloud: dict[str, CloudObject] = {}
        self._by_source: dict[str, CloudObject] = {}
        self._by_version: dict[int, CloudObject] = {}
        self._written: dict[str, CloudObject] = {}
        self._links_written: list[LinkWrite] = []
        self.version = 0

    # Reading

    def find(self, anchor: str) -> CloudObject | None:
        """An object by either anchor, deleted ones included."""
        return self._by_source.get(anchor) or self._by_cloud.get(anchor)

    def objects(self, kind: SyncObjectType | None = None) -> Iterator[CloudObject]:
        """All objects in the order they came, deleted ones included."""
        return (each for each in self._by_cloud.values() if kind in {None, each.object_type})

    def members(self, group: CloudObject) -> Iterator[CloudObject]:
        """Members of a group that are not deleted."""
        found = (self._by_cloud[anchor] for anchor in group.members)
        return (each for each in found if not each.deleted)

    def changed_since(self, version: int) -> Iterator[CloudObject]:
        """Objects that changed after a version of the tenant, oldest change first."""
        return (each for at, each in self._by_version.items() if at > version)

    # Changing

    def apply(self, change: SyncObject, *, max_members: int) -> ObjectResult:
        """Applies one object of an export wholly, or refuses it wholly."""
        try:
            if change.operation is SyncOperation.DELETE:
                target, warning = self._delete(change), None
            else:
                target, warning = self._upsert(change, max_members)
        except RefusedError as refusal:
            return ObjectResult(
                source_anchor=change.source_anchor,
                cloud_anchor=change.cloud_anchor,
                success=False,
                code=refusal.code,
                description=refusal.description,
            )
        return ObjectResult(
            source_anchor=change.source_anchor or target.source_anchor,
            cloud_anchor=target.cloud_anchor,
            success=True,
            code="QuarantinedAttributeValueMustBeUnique" if warning else None,
            description=warning,
        )

    def add_cloud_only(self, kind: SyncObjectType, attributes: Attributes) -> CloudObject:
        """An object made in the cloud, without a SourceAnchor.

        Raises:
            RefusedError: a name is taken.
        """
        target = CloudObject(object_type=kind, cloud_anchor=f"{kind}_{self._new_id()}")
        names = self._names.plan(kind, target.cloud_anchor, attributes, None)
        self._commit(target, attributes, names)
        return target

    def restore(self, target: CloudObject) -> None:
        """Takes in an object as it was written before, members included."""
        self._by_cloud[target.cloud_anchor] = target
        if target.source_anchor:
            self._by_source[target.source_anchor] = target
        self._by_version[target.version] = target
        self.version = max(self.version, target.version)
        names = Names(claims=target.claims)
        self._names.take(target.cloud_anchor, frozenset(), names)

    def writes(self) -> Writes:
        """What changed since the last call."""
        done = Writes(objects=tuple(self._written.values()), links=tuple(self._links_written))
        self._written, self._links_written = {}, []
        return done

    def _delete(self, change: SyncObject) -> CloudObject:
        target = self._target(change)
        if target is not None and not target.source_anchor:
            raise RefusedError(CODE_INVALID_DELETE, "Deleting a cloud-only object isn't supported.")
        if target is None:
            raise RefusedError(
                CODE_INVALID_DELETE,
                "This synchronization operation, Delete, is not valid. Contact Technical Support.",
            )
        if target.deleted:  # guessed: a repeated deletion does no harm
            return target
        target.deleted = True
        if target.object_type is SyncObjectType.GROUP:
            # Only users are restorable with what they had; a group comes back empty.
            self._write_links(target, added=frozenset(), removed=frozenset(target.members))
        self._names.take(target.cloud_anchor, target.claims, Names())
        target.claims = frozenset()
        self._touch(target)
        return target

    def _upsert(self, change: SyncObject, max_members: int) -> tuple[CloudObject, str | None]:
        target = self._target(change) or self._soft_match(change) or self._new(change)
        if change.source_anchor and target.source_anchor not in {"", change.source_anchor}:
            raise RefusedError(
                "AttributeUpdateNotAllowed", "SourceAnchor can be set only once for an object."
            )
        properties = {
            name: value
            for name, value in change.properties.items()
            if name.lower() != KEY_MEMBER.lower()
        }
        added, removed = self._planned_links(target, change)
        self._check_size(target, added, removed, max_members)
        attributes = target.attributes.merged(properties)
        names = self._names.plan(
            target.object_type, target.cloud_anchor, attributes, target.user_principal_name
        )
        target.source_anchor = target.source_anchor or change.source_anchor
        self._write_links(target, added=added, removed=removed)
        self._commit(target, attributes, names)
        return target, names.warning

    def _target(self, change: SyncObject) -> CloudObject | None:
        target = self._by_source.get(change.source_anchor)
        if target is None and change.cloud_anchor is not None:
            target = self._by_cloud.get(change.cloud_anchor)
        if target is not None and target.object_type is not change.object_type:
            raise RefusedError(
                "ObjectTypeMismatch",
                f"The anchor belongs to a {target.object_type}, not to a {change.object_type}.",
            )
        return target

    def _new(self, change: SyncObject) -> CloudObject:
        if not change.source_anchor:
            raise RefusedError(
                CODE_MISSING_ANCHOR, "A new object must have a SourceAnchor that is not empty."
            )
        return CloudObject(
            object_type=change.object_type,
            cloud_anchor=f"{change.object_type}_{self._new_id()}",
        )

    def _soft_match(self, change: SyncObject) -> CloudObject | None:
        """A cloud-only object with one of the names; synced ones are left to uniqueness."""
        if not change.source_anchor:
            return None
        wanted = Attributes().merged(change.properties)
        claims = [proxy_claim(address) for address in wanted.texts("proxyAddresses")]
        if self._matching.soft_match_on_upn and (upn := wanted.text("userPrincipalName")):
            claims.append(upn_claim(upn))
        for claim in claims:
            found = self._by_cloud.get(self._names.owner(claim) or "")
            if found is None or found.source_anchor:
                continue
            if self._matching.block_soft_match:
                raise RefusedError(
                    "InvalidSoftMatch", "Soft match is blocked in this tenant (BlockSoftMatch)."
                )
            if found.object_type is not change.object_type:
                raise RefusedError(
                    "ObjectTypeMismatch", f"The name belongs to a {found.object_type}."
                )
            return found
        return None

    def _planned_links(
        self, target: CloudObject, change: SyncObject
    ) -> tuple[frozenset[str], frozenset[str]]:
        whole, given = _whole_membership(change.properties)
        if (given or change.links) and target.object_type is not SyncObjectType.GROUP:
            raise RefusedError(CODE_MISSING_ANCHOR, "Only groups have members.")
        if given:
            wanted = frozenset(self._resolve(anchor, by_cloud_anchor=False) for anchor in whole)
            return wanted - target.members, frozenset(target.members - wanted)
        return self._changed_links(target, change.links)

    def _changed_links(
        self, target: CloudObject, changes: Sequence[LinkChange]
    ) -> tuple[frozenset[str], frozenset[str]]:
        added: set[str] = set()
        removed: set[str] = set()
        for change in changes:
            anchor = self._resolve(
                change.anchor, by_cloud_anchor=change.by_cloud_anchor, deleted=not change.add
            )
            (added if change.add else removed).add(anchor)
        if added & removed:
            raise RefusedError(
                CODE_MISSING_ANCHOR, "A member is both added and removed in one change."
            )
        return frozenset(added - target.members), frozenset(removed & target.members)

    def _resolve(self, anchor: str, *, by_cloud_anchor: bool, deleted: bool = False) -> str:
        index = self._by_cloud if by_cloud_anchor else self._by_source
        found = index.get(anchor)
        if found is None or (found.deleted and not deleted):
            raise RefusedError(
                CODE_UNKNOWN_REFERENCE,
                f"The reference {anchor} of attribute member names no object of this tenant.",
            )
        return found.cloud_anchor

    def _check_size(
        self,
        target: CloudObject,
        added: frozenset[str],
        removed: frozenset[str],
        max_members: int,
    ) -> None:
        if not added or len(target.members) + len(added) - len(removed) <= max_members:
            return
        live = sum(1 for each in self.members(target) if each.cloud_anchor not in removed)
        if live + len(added) > max_members:
            raise RefusedError(
                CODE_GROUP_TOO_LARGE,
                f"The group would have {live + len(added)} members, more than {max_members}.",
            )

    def _write_links(
        self, group: CloudObject, *, added: frozenset[str], removed: frozenset[str]
    ) -> None:
        if added or removed:
            group.members -= removed
            group.members |= added
            self._links_written.append(
                LinkWrite(group=group.cloud_anchor, added=added, removed=removed)
            )

    def _commit(self, target: CloudObject, attributes: Attributes, names: Names) -> None:
        self._names.take(target.cloud_anchor, target.claims, names)
        target.attributes = attributes
        target.claims = names.claims
        target.user_principal_name = names.user_principal_name
        target.quarantined = names.quarantined
        target.deleted = False
        self._by_cloud[target.cloud_anchor] = target
        if target.source_anchor:
            self._by_source[target.source_anchor] = target
        self._touch(target)

    def _touch(self, target: CloudObject) -> None:
        self.version += 1
        self._by_version.pop(target.version, None)
        target.version = self.version
        self._by_version[self.version] = target
        self._written[target.cloud_anchor] = target


def _whole_membership(properties: Mapping[str, PropertyValue]) -> tuple[tuple[str, ...], bool]:
    """The complete list of members, and whether there is one; nil is an empty one."""
    for name, value in properties.items():
        if name.lower() == KEY_MEMBER.lower():
            if isinstance(value, tuple):
                return tuple(each for each in value if isinstance(each, str)), True
            return ((value,) if isinstance(value, str) else ()), True
    return (), False
