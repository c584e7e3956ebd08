"""Directories and a tenant, and a simple model of what a sync between them should do.

The model knows nothing of deltas, states and plans: it looks at the directories as they are and
says what the tenant should hold.
"""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from dataclasses import dataclass
from pathlib import Path

from entrasync.api.choices import (
    OnRemoval,
)
from entrasync.api.directory_sync import PinnedScope
from entrasync.engine.flows import FlowRule, flow_set
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import PropertyValue, SyncObjectType
from tests.support.model_directory import OBJECTS, ModelDirectory, Thing
from tests.support.model_tenant import ModelTenant

DOMAINS = ("contoso.test", "fabrikam.test")
MOST_MEMBERS = 4
MANY = 10**6
FLOWS = flow_set()
FIXED = flow_set({SourceKind.USER: [FlowRule(target="title", constant="Fixed")]})
CONSISTENCY = "mS-DS-ConsistencyGuid"
TYPES = {
    "user": SyncObjectType.USER,
    "group": SyncObjectType.GROUP,
    "contact": SyncObjectType.CONTACT,
}
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
HALF_AN_HOUR = dt.timedelta(minutes=30)
A_DAY = dt.timedelta(hours=24)
QUIET_CYCLES = 12

Op = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the sync was told, and what is random about the beginning."""

    sources: int = 1
    users: int = 3
    groups: int = 2
    contacts: int = 1
    on_removal: OnRemoval = OnRemoval.DELETE
    tight: bool = False
    holds: bool = False
    batch: int = 2
    narrow: bool = False


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """One cycle and what goes wrong in it.

    Attributes:
        call: which provision call something happens to; negative for none.
        how: what happens to it.
        refused: numbers of objects that the service refuses.
        poison: number of an object that upsets the service; negative for none.
        read_back: pages of a read-back until it fails; negative for never.
        restart: whether the service does not take the cookie.
        directory: calls until the directory fails; negative for never.
        rejects: whether the directory does not take the cookie.
        transaction: the transaction in which the process is killed; negative for none.
        committed: whether it is killed just after it, not just before its end.
        midway: what people do while the cycle runs.
        full: whether a person asked for everything.
    """

    call: int = -1
    how: str = "before"
    refused: tuple[int, ...] = ()
    poison: int = -1
    read_back: int = -1
    restart: bool = False
    directory: int = -1
    rejects: bool = False
    transaction: int = -1
    committed: bool = False
    midway: tuple[Op, ...] = ()
    full: bool = False


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What people change about the sync now and then.

    Attributes:
        excludes: whether a container is left out.
        contacts: whether contacts are synced.
        both: whether all sources are named.
        title: what every user's title is; `None` for what the directory says.
        most_members: most members of a group.
    """

    excludes: bool = True
    contacts: bool = True
    both: bool = True
    title: str | None = None
    most_members: int = MOST_MEMBERS


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An object as the tenant should hold it; properties by folded name."""

    kind: SyncObjectType
    guid: str
    properties: dict[str, PropertyValue]
    members: frozenset[str]


class Scene:
    """Directories, a tenant, and what is known of both.

    Args:
        folder: where the state lies.
        config: what is synced.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config
        self.now = NOON
        self.directories = [
            ModelDirectory(DOMAINS[number], number + 1) for number in range(config.sources)
        ]
        for directory in self.directories:
            directory.forest = self.directories
        # who is kept stays a member, and counts
        strict = config.on_removal is OnRemoval.DELETE
        self.tenant = ModelTenant(MOST_MEMBERS if strict else MANY)
        self.remembered: tuple[PinnedScope, ...] = ()
        self.approves: str | None = None
        self.braked: list[tuple[str, str | None]] = []
        self.approved: set[tuple[str, str | None]] = set()
        self.spent: list[tuple[dt.datetime, str]] = []
        self.owners: dict[str, set[str]] = {}
        self.strangers: set[str] = set()
        """What is in the tenant and not ours."""
        self.doubtful: set[str] = set()
        """What may be ours, or may not."""
        self.pins: dict[str, str] = {}
        self.spoiled: set[tuple[str, str]] = set()
        self.excluded: list[str] = []
        self.roots: list[str] = []
        self.written: dict[str, str] = {}
        """Containers that the sync names, as they were called then."""
        self.keepers: set[str] = set()
        self.rules = Rules()
        self._made = 0
        self._untold = False
        self._begin()

    def _begin(self) -> None:
        for directory in self.directories:
            inside = directory.create("unit", "In", directory.base)
            nested = directory.create("unit", "Nested", inside)
            outside = directory.create("unit", "Out", directory.base)
            self.excluded.append(outside)
            self.roots.append(inside if self.config.narrow else directory.base)
            self.written |= {
                guid: directory.dn(guid)
                for guid in (outside, *((inside,) if self.config.narrow else ()))
            }
            for number in range(self.config.users):
                self.make(directory, "user", (inside, nested)[number % 2])
            for _ in range(self.config.groups):
                self.make(directory, "group", inside)
            for _ in range(self.config.contacts):
                self.make(directory, "contact", nested)
            # somebody is always there: an empty directory is an error
            self.keepers.add(self.make(directory, "user", self.roots[-1]))

    # --- what people do --------------------------------------------------------------------

    def make(self, directory: ModelDirectory, kind: str, parent: str) -> str:
        self._made += 1
        name = f"{kind[0]}{self._made}"
        domain = directory.domain
        attributes = {"mail": f"{name}@{domain}"}
        if kind == "user":
            attributes |= {
                "sAMAccountName": name,
                "userAccountControl": "512",
                "userPrincipalName": f"{name}@{domain}",
                "title": "Title",
            }
        elif kind == "group":
            attributes |= {"sAMAccountName": name, "groupType": "-2147483646"}
        guid = directory.create(kind, name, parent, **attributes)
        if kind == "user" and self._made % 3 == 0:
            self.directories_of(guid).set(guid, CONSISTENCY, self._made.to_bytes(16, "big"))
        if kind == "user" and self._made % 2 == 0:
            self.directories_of(guid).set(guid, "mailNickname", name.encode())
        self._remember(self.directories_of(guid).things[guid])
        return guid

    def directories_of(self, guid: str) -> ModelDirectory:
        return next(each for each in self.directories if guid in each.things)

    def _things(self, *kinds: str) -> list[Thing]:
        return [
            thing
            for directory in self.directories
            for thing in directory.alive()
            if thing.kind in kinds
        ]

    def _pick(self, number: int, *kinds: str) -> tuple[ModelDirectory, Thing] | None:
        found = self._things(*kinds)
        if not found:
            return None
        thing = found[number % len(found)]
        return self.directories_of(thing.guid), thing

    @property
    def named(self) -> list[ModelDirectory]:
        """Directories of the sources that the sync names."""
        return self.directories if self.rules.both else self.directories[:1]

    # --- the model -------------------------------------------------------------------------

    def _remember(self, thing: Thing) -> None:
        self.owners.setdefault(self.anchor(thing), set()).add(thing.guid)
        self.owners.setdefault(encoded(thing.guid), set()).add(thing.guid)

    @staticmethod
    def anchor(thing: Thing) -> str:
        value = thing.attributes.get(CONSISTENCY)
        if thing.kind == "user" and value:
            return base64.b64encode(value[0]).decode()
        return encoded(thing.guid)

    def takes_part(self, guid: str) -> bool:
        directory = self.directories_of(guid)
        thing = directory.things[guid]
        path = directory.path(guid)
        if thing.kind not in OBJECTS or any(directory.things[each].deleted for each in path):
            return False
        # the nearest container that the sync names decides
        named = next((e for e in path if e in self.excluded_units or e in self.roots), None)
        if named not in self.roots or "adminDescription" in thing.attributes:
            return False
        return thing.kind != "contact" or self._has_address(thing)

    @staticmethod
    def _has_address(thing: Thing) -> bool:
        return bool(thing.text("mail")) or bool(thing.attributes.get("proxyAddresses"))

    @property
    def excluded_units(self) -> set[str]:
        return set(self.excluded) if self.rules.excludes else set()

    def taking_part(self) -> dict[str, Thing]:
        return {
            thing.guid: thing
            for directory in self.directories
            for thing in directory.alive()
            if self.takes_part(thing.guid)
        }

    def wanted(self) -> dict[str, Wanted]:
        """What the tenant should hold, by SourceAnchor."""
        taking = self.taking_part()
        return {self.anchor(thing): self._wanted(thing, taking) for thing in taking.values()}

    def _wanted(self, thing: Thing, taking: dict[str, Thing]) -> Wanted:
        directory = self.directories_of(thing.guid)

        def named(name: str) -> tuple[str, ...]:
            return tuple(
                sorted(
                    self.anchor(taking[each])
                    for each in thing.references.get(name, ())
                    if each in taking
                )
            )

        properties: dict[str, PropertyValue] = {
            "displayname": thing.text("displayName") or thing.name,
            "mail": thing.text("mail"),
            "proxyaddresses": tuple(
                sorted(value.decode() for value in thing.attributes.get("proxyAddresses", ()))
            )
            or None,
        }
        if thing.kind in {"user", "contact"}:
            properties |= {
                "title": (thing.kind == "user" and self.rules.title) or thing.text("title"),
                "manager": next(iter(named("manager")), None),
            }
        if thing.kind in {"user", "group"}:
            properties["onpremisesdistinguishedname"] = directory.dn(thing.guid)
        if thing.kind == "user":
            properties |= {
                "userprincipalname": thing.text("userPrincipalName"),
                "accountenabled": thing.text("userAccountControl") == "512",
                "onpremisesobjectidentifier": uuid.UUID(thing.guid).bytes_le,
                "publicdelegates": (
                    named("publicDelegates") if "mailNickname" in thing.attributes else ()
                )
                or None,
            }
        members: set[str] = set()
        if thing.kind == "group":
            properties["managedby"] = next(iter(named("managedBy")), None)
            members = {
                self.anchor(taking[each])
                for each in map(self._resolved, directory.members(thing.guid))
                if each in taking
            }
        return Wanted(
            kind=TYPES[thing.kind],
            guid=thing.guid,
            properties={key: value for key, value in properties.items() if value is not None},
            members=frozenset(members),
        )

    def _resolved(self, member: str) -> str | None:
        thing = self.directories_of(member).things[member]
        if thing.kind != "foreign":
            return member
        return next(
            (
                each.guid
                for directory in self.directories
                for each in directory.alive()
                if each.sid == thing.sid and each.kind != "foreign"
            ),
            None,
        )


def encoded(guid: str) -> str:
    return base64.b64encode(uuid.UUID(guid).bytes_le).decode()
