"""What a tenant holds at a glance: counts and lists that stay quick with 250,000 objects.

Each is made when it is first asked for and kept until the tenant changes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from entrasync.emulator.objects import CloudObject
from entrasync.emulator.store import TenantStore
from entrasync.entra.contracts import SyncObjectType

_NAMES: Final = ("displayName", "userPrincipalName", "mail", "onPremisesSamAccountName")
"""Attributes a person looks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much a tenant holds."""

    live: dict[SyncObjectType, int]
    """Objects that are not deleted, by type."""
    deleted: int
    links: int
    """Memberships of live objects in live groups."""


class Overview:
    """Counts and lists of a tenant. The caller holds the tenant's lock.

    Args:
        store: the tenant's objects.
    """

    def __init__(self, store: TenantStore) -> None:
        self._store = store
        self._version = -1
        self._live: dict[SyncObjectType, list[CloudObject]] = {}
        self._deleted: list[CloudObject] = []
        self._counts: Counts | None = None
        self._members: tuple[str, int, list[str]] = ("", -1, [])
        self._anchors: tuple[str, int, list[str]] = ("", -1, [])
        self._texts: dict[str, tuple[int, str]] = {}

    def live(self, kind: SyncObjectType) -> list[CloudObject]:
        """Objects of a type that are not deleted, in the order they came; not to be changed."""
        self._refresh()
        return self._live[kind]

    def deleted(self) -> list[CloudObject]:
        """Deleted objects of all types, in the order they came; not to be changed."""
        self._refresh()
        return self._deleted

    def counts(self) -> Counts:
        """How much the tenant holds."""
        self._refresh()
        if self._counts is None:
            self._counts = Counts(
                live={kind: len(found) for kind, found in self._live.items()},
                deleted=len(self._deleted),
                links=sum(self.member_count(each) for each in self._live[SyncObjectType.GROUP]),
            )
        return self._counts

    def member_count(self, group: CloudObject) -> int:
        """Members of a group that are not deleted."""
        return self._store.member_count(group)

    def members_after(self, group: CloudObject, anchor: str, most: int) -> list[CloudObject]:
        """Members of a group that are not deleted, in the order of their CloudAnchors.

        Args:
            group: the group.
            anchor: CloudAnchor of the last one seen, empty to begin.
            most: how many at most.
        """
        known, version, members = self._members
        if (known, version) != (group.cloud_anchor, self._store.version):
            members = sorted(each.cloud_anchor for each in self._store.members(group))
            self._members = (group.cloud_anchor, self._store.version, members)
        begin = bisect_right(members, anchor)
        found = (self._store.find_by(each, cloud=True) for each in members[begin : begin + most])
        return [each for each in found if each is not None]

    def member_anchors(self, group: CloudObject) -> list[str]:
        """Anchors of a group's members that are not deleted, sorted; not to be changed."""
        known, version, anchors = self._anchors
        if (known, version) != (group.cloud_anchor, self._store.version):
            members = self._store.members(group)
            anchors = sorted(each.source_anchor or each.cloud_anchor for each in members)
            self._anchors = (group.cloud_anchor, self._store.version, anchors)
        return anchors

    def matching(self, objects: Iterable[CloudObject], text: str) -> Iterator[CloudObject]:
        """Objects that have a text in a name or an anchor, whatever its letter case.

        The one method that may go on while the tenant changes.
        """
        wanted = text.strip().casefold()
        for each in objects:
            version, known = self._texts.get(each.cloud_anchor, (-1, ""))
            if version != each.version:
                version, known = each.version, _search_text(each)
                self._texts[each.cloud_anchor] = (version, known)
            if wanted in known:
                yield each

    def _refresh(self) -> None:
        if self._version == self._store.version:
            return
        live: dict[SyncObjectType, list[CloudObject]] = {kind: [] for kind in SyncObjectType}
        deleted = []
        for each in self._store.objects():
            if each.deleted:
                deleted.append(each)
            else:
                live[each.object_type].append(each)
        self._live, self._deleted = live, deleted
        self._counts, self._version = None, self._store.version


def _search_text(each: CloudObject) -> str:
    """The names and anchors of an object, one a line, in a letter case that does not matter."""
    names = [each.source_anchor, each.cloud_anchor, each.user_principal_name or ""]
    names += [each.attributes.text(name) or "" for name in _NAMES]
    names += each.attributes.texts("proxyAddresses")
    return "\n".join(names).casefold()


def title_of(each: CloudObject) -> str:
    """What a person calls an object."""
    return (
        each.attributes.text("displayName")
        or each.user_principal_name
        or each.attributes.text("mail")
        or each.source_anchor
        or each.cloud_anchor
    )
