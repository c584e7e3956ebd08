"""What must never happen, and how it must end."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path

from entrasync.api.choices import (
    OnRemoval,
)
from entrasync.entra.contracts import SyncObjectType
from tests.support.model_directory import OBJECTS, ModelDirectory, Thing
from tests.support.model_people import People
from tests.support.model_scene import A_DAY, CONSISTENCY, MANY, MOST_MEMBERS, Config, encoded
from tests.support.model_tenant import Held, unique_names


class Watched(People):
    """Looks at what the service is sent, the moment it takes effect.

    Args:
        folder: where the state lies.
        config: what is synced.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        super().__init__(folder, config)
        self.tenant.deleted = self._is_deleted
        self.tenant.unlinked = self._is_unlinked
        self.tenant.disabled = self._is_disabled
        self.tenant.written = self._is_written

    def _is_deleted(self, held: Held) -> None:
        """Looks at every deletion the moment it takes effect."""
        assert held.anchor not in self.strangers, f"a stranger was deleted: {held.anchor}"
        assert self.config.on_removal is OnRemoval.DELETE, "nothing is to be deleted"
        assert self.rules.contacts or held.type is not SyncObjectType.CONTACT, "contacts rest"
        for guid in self.owners.get(held.anchor, ()):
            directory = self.directories_of(guid)
            thing = directory.things[guid]
            if any(each.has_left(guid) for each in self.named) and directory not in self.named:
                continue  # it went where the sync does not look
            assert directory in self.named or not self._is_its(held, guid), "its source rests"
            assert not (self.takes_part(guid) and self._is_its(held, guid)), (
                f"deleted what is kept: {directory.dn(guid)}"
            )
            # where it came from to where it cannot be seen it looks deleted
            left = any(each.has_left(guid) for each in self.directories)
            seen = thing.deleted or not thing.hidden or left
            assert seen or not self._is_its(held, guid), (
                f"deleted what was not seen: {directory.dn(guid)}"
            )
        for guid in [guid for guid, anchor in self.pins.items() if anchor == held.anchor]:
            del self.pins[guid]
        self._spend(f"deletions of {held.type}", (held.anchor, None))

    def _is_its(self, held: Held, guid: str) -> bool:
        """Whether a cloud object is that of a directory object."""
        identifier = held.properties.get("onpremisesobjectidentifier")
        return identifier in {None, uuid.UUID(guid).bytes_le}

    def _is_written(self, held: Held) -> None:
        """Whatever is exported is ours from then on, once that is known."""
        self._may_be_ours({held.anchor})
        identifier = held.properties.get("onpremisesobjectidentifier")
        if isinstance(identifier, bytes):
            self.pins[str(uuid.UUID(bytes_le=identifier))] = held.anchor

    def _may_be_ours(self, anchors: set[str]) -> None:
        self.doubtful |= anchors & self.strangers
        self.strangers -= anchors

    def _adoptable(self) -> set[str]:
        """SourceAnchors that the sync can see are wanted."""
        return {
            self.anchor(thing)
            for guid, thing in self.taking_part().items()
            if not thing.hidden
            and self.directories_of(guid) in self.named
            and (self.rules.contacts or thing.kind != "contact")
        }

    def _is_unlinked(self, group: str, member: str) -> None:
        self._spend("link removals", (group, member))

    def _is_disabled(self, anchor: str) -> None:
        self._spend("disables", (anchor, None))

    def _spend(self, sort: str, what: tuple[str, str | None]) -> None:
        if what in self.approved:
            return
        self.spent.append((self.now, sort))
        within = sum(each == sort and time > self.now - A_DAY for time, each in self.spent)
        limit = self._limit(sort)
        assert within <= limit, f"{within} {sort}, {limit} are allowed"

    def _limit(self, sort: str) -> int:
        if not self.config.tight:
            return MANY
        return 2 if sort == "link removals" else 1

    # --- the end ---------------------------------------------------------------------------

    def mend(self) -> None:
        taken = {
            name
            for anchor, held in self.tenant.alive().items()
            if anchor not in self.wanted()
            for name in unique_names(held.properties)
        }
        for directory in self.directories:
            for thing in directory.things.values():
                thing.hidden = False
            for thing in directory.alive():
                if thing.kind == "group":
                    for member in directory.members(thing.guid)[MOST_MEMBERS:]:
                        directory.unlink(thing.guid, member)
                if thing.kind == "user":
                    self._mend_anchor(directory, thing)
        for directory in self.directories:
            for thing in directory.alive():
                if thing.kind in OBJECTS:
                    self._mend_names(directory, thing, taken)

    def _mend_anchor(self, directory: ModelDirectory, thing: Thing) -> None:
        """Who is in the tenant, or was until somebody deleted it there, has the anchor of then."""
        anchor = self.pins.get(thing.guid)
        if anchor == encoded(thing.guid):
            directory.set(thing.guid, CONSISTENCY)
        elif anchor is not None:
            directory.set(thing.guid, CONSISTENCY, base64.b64decode(anchor))

    def _mend_names(self, directory: ModelDirectory, thing: Thing, taken: set[str]) -> None:
        """Gives whoever has a name of somebody else another one."""
        upn, mail = thing.text("userPrincipalName"), thing.text("mail")
        addresses = [value.decode() for value in thing.attributes.get("proxyAddresses", ())]
        if not self.takes_part(thing.guid):
            return
        own = unique_names(
            {"userprincipalname": upn, "mail": mail, "proxyaddresses": tuple(addresses)}
        )
        if own & taken:
            self._made += 1
            name = f"z{self._made}@{directory.domain}"
            if upn is not None:
                directory.set(thing.guid, "userPrincipalName", name.encode())
            directory.set(thing.guid, "mail", name.encode())
            directory.set(thing.guid, "proxyAddresses")
            own = {f"smtp:{name}", f"name:{name}"}
        taken |= own

    def check(self) -> None:
        """Compares the tenant with the model."""
        wanted, alive = self.wanted(), self.tenant.alive()
        missing = set(wanted) - set(alive)
        assert not missing, f"missing: {[wanted[each].properties for each in missing]}"
        for anchor, each in wanted.items():
            held = alive[anchor]
            assert held.type == each.kind
            told = self.tenant.properties(held)
            known = {key: told.get(key) for key in (*each.properties, *_compared(each.kind))}
            expected = {key: each.properties.get(key) for key in known}
            assert known == expected, anchor
            # who is kept although nobody wants it stays a member: nothing says it left
            assert self.tenant.members(held) & set(wanted) == each.members, anchor
        for anchor in set(alive) - set(wanted) - self.strangers - self.doubtful:
            held = alive[anchor]
            assert self.config.on_removal is not OnRemoval.DELETE, f"left: {held}"
            if self.config.on_removal is OnRemoval.DISABLE and held.type is SyncObjectType.USER:
                assert held.properties.get("accountenabled") is False, anchor


def _compared(kind: SyncObjectType) -> tuple[str, ...]:
    common = ("displayname", "mail", "proxyaddresses")
    if kind is SyncObjectType.USER:
        return (*common, "title", "manager", "publicdelegates")
    return (*common, "managedby") if kind is SyncObjectType.GROUP else (*common, "title", "manager")
