"""One tenant: what a sync engine exports to it, and what somebody changes in the cloud.

Where Microsoft documents a behaviour, this keeps to it. Guesses, each named where it is made: the
code of an unknown reference, of a group over its limit and of a missing anchor; that removing a
link that is not there, and deleting what is deleted already, succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from entrasync.emulator.addresses import NAME_KEYS
from entrasync.emulator.holdings import Holdings
from entrasync.emulator.limits import CODE_LARGE, check_sizes
from entrasync.emulator.links import (
    CODE_UNKNOWN_REFERENCE,
    LinkPlan,
    check_manager,
    plan_links,
    split_members,
)
from entrasync.emulator.matching import (
    MatchingRules,
    MatchRules,
    check_authority,
    check_hard_match,
    check_type,
    soft_match,
)
from entrasync.emulator.naming import NameIndex
from entrasync.emulator.objects import Attributes, CloudObject, RefusedError, Standing
from entrasync.entra.contracts import (
    ObjectResult,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)

__all__ = [
    "CODE_GROUP_TOO_LARGE",
    "CODE_INVALID_DELETE",
    "CODE_MISSING_ANCHOR",
    "CODE_UNKNOWN_REFERENCE",
    "MatchingRules",
    "TenantStore",
]

CODE_GROUP_TOO_LARGE: Final = CODE_LARGE
"""Documented for other values that are too many; guessed for members."""
CODE_INVALID_DELETE: Final = "114"
"""Documented as an error type; Entra Connect shows it as HRESULT 0x8023134a."""
CODE_MISSING_ANCHOR: Final = "DataValidationFailed"
"""Guessed."""


class TenantStore(Holdings):
    """The objects of a tenant. Not thread-safe: the caller serializes.

    Args:
        names: the tenant's unique names.
        matching: rules of matching.
        new_id: gives the GUID of a new object.
    """

    def __init__(
        self, *, names: NameIndex, matching: MatchRules, new_id: Callable[[], str]
    ) -> None:
        super().__init__(names)
        self._matching = matching
        self._new_id = new_id

    # What a sync engine changes

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

    # What somebody changes in the cloud

    def add_cloud_only(
        self,
        kind: SyncObjectType,
        attributes: Attributes,
        *,
        immutable_id: str = "",
        standing: Standing | None = None,
    ) -> CloudObject:
        """An object made in the cloud.

        Args:
            kind: its type.
            attributes: what it holds.
            immutable_id: its onPremisesImmutableId, which a hard match goes by.
            standing: its roles and licences.

        Raises:
            RefusedError: a name or the immutable id is taken.
        """
        if immutable_id in self._by_source:
            raise RefusedError("AttributeValueMustBeUnique", "The immutable id is taken.")
        target = CloudObject(
            object_type=kind,
            cloud_anchor=f"{kind}_{self._new_id()}",
            source_anchor=immutable_id,
            standing=standing or Standing(),
        )
        self._commit(target, attributes, self._names.plan(target, attributes, synced=False))
        return target

    def edit(
        self,
        target: CloudObject,
        changes: Mapping[str, PropertyValue],
        *,
        standing: Standing | None = None,
    ) -> None:
        """Changes an object in the cloud: attributes by name, roles and licences.

        Raises:
            RefusedError: a name is taken or malformed.
        """
        before = target.standing
        target.standing = standing or before
        attributes = target.attributes.merged(changes)
        if target.deleted:
            target.attributes = attributes
            self._journal.note(target)
            return
        try:
            names = self._names.plan(target, attributes, synced=target.synced)
        except RefusedError:
            target.standing = before
            raise
        self._commit(target, attributes, names)

    def remove(self, target: CloudObject) -> None:
        """Deletes an object in the cloud; a user is restored when it is exported again."""
        self._bury(target)

    def recover(self, target: CloudObject) -> None:
        """Restores a deleted user in the cloud: cloud-managed until an engine exports it.

        Raises:
            RefusedError: a name is taken by now, and is not quarantined.
        """
        names = self._names.plan(target, target.attributes, synced=False)
        self._commit(target, target.attributes, names)

    def set_cloud_managed(self, target: CloudObject, *, cloud_managed: bool) -> None:
        """Converts an object to cloud-managed, or lets a sync engine take it over again.

        Documented: nothing flows to it while it is; set back, it is synced again only once an
        engine has exported it.
        """
        target.sync_blocked = cloud_managed
        target.synced = False
        self._journal.note(target)

    def retry_quarantined(self) -> None:
        """Gives objects the values that were held back and are free now.

        The service does so every hour (documented).
        """
        for target in list(self._by_cloud.values()):
            if target.deleted or not target.names.quarantined:
                continue
            names = self._names.plan(target, target.attributes, synced=target.synced)
            if names != target.names:
                self._commit(target, target.attributes, names)

    # Deleting

    def _delete(self, change: SyncObject) -> CloudObject:
        target = self._addressed(change)
        if target is None:
            raise _invalid_delete()
        check_type(target, change.object_type)
        if target.deleted:  # guessed: a repeated deletion does no harm
            return target
        check_authority(target)
        if not target.source_anchor:
            raise RefusedError(
                CODE_INVALID_DELETE,
                "Deleting a cloud-only object isn't supported. Contact Microsoft Customer Support.",
            )
        if not target.synced:
            raise _invalid_delete()
        self._bury(target)
        return target

    # Creating and updating

    def _upsert(self, change: SyncObject, max_members: int) -> tuple[CloudObject, str | None]:
        target = self._match(change)
        properties, whole = split_members(change.properties)
        check_manager(self, properties)
        links = plan_links(self, target, change, whole)
        self._check_size(target, links, max_members)
        attributes = target.attributes.merged(properties)
        check_sizes(properties, attributes)
        names = target.names
        if self._names_change(target, properties):
            names = self._names.plan(target, attributes, synced=True)
        target.source_anchor = target.source_anchor or change.source_anchor
        target.synced = True
        self._write_links(target, links)
        self._commit(target, attributes, names)
        return target, names.warning

    def _match(self, change: SyncObject) -> CloudObject:
        """The object a change is for: synced already, taken over, or new."""
        target = self._addressed(change)
        if target is None or (target.deleted and not target.restorable):
            return self._soft_match(change) or self._new(change)
        check_type(target, change.object_type)
        if change.source_anchor and target.source_anchor not in {"", change.source_anchor}:
            raise RefusedError(
                "AttributeUpdateNotAllowed", "SourceAnchor can be set only once for an object."
            )
        if not target.synced:
            check_hard_match(self._matching, target, change)
        return target

    def _addressed(self, change: SyncObject) -> CloudObject | None:
        target = self._by_source.get(change.source_anchor)
        if target is None and change.cloud_anchor is not None:
            target = self._by_cloud.get(change.cloud_anchor)
        return target

    def _soft_match(self, change: SyncObject) -> CloudObject | None:
        if not change.source_anchor:
            return None
        return soft_match(self._matching, self._names, change, self._by_cloud.get)

    def _new(self, change: SyncObject) -> CloudObject:
        if not change.source_anchor:
            raise RefusedError(
                CODE_MISSING_ANCHOR, "A new object must have a SourceAnchor that is not empty."
            )
        return CloudObject(
            object_type=change.object_type,
            cloud_anchor=f"{change.object_type}_{self._new_id()}",
        )

    def _names_change(self, target: CloudObject, properties: Mapping[str, PropertyValue]) -> bool:
        """Whether names must be worked out anew; those of a large tenant cost time."""
        settled = target.synced and not target.names.quarantined
        return not settled or any(name.lower() in NAME_KEYS for name in properties)

    def _check_size(self, target: CloudObject, links: LinkPlan, max_members: int) -> None:
        growth = len(links.added) - len(links.removed)
        if not links.added or len(target.members) + growth <= max_members:
            return
        count = self.count_after(target, links)
        if count > max_members:
            raise RefusedError(
                CODE_GROUP_TOO_LARGE,
                f"The group would have {count} members, more than {max_members}.",
            )


def _invalid_delete() -> RefusedError:
    return RefusedError(
        CODE_INVALID_DELETE,
        "This synchronization operation, Delete, is not valid. Contact Technical Support.",
    )
