"""Plans for tests of what sends them: written into the state as the engine does."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from entrasync.engine.brakes import spent_by
from entrasync.engine.changes import (
    Action,
    Phase,
    PlannedChange,
    canonical_line,
    fingerprint_of_line,
)
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.state.rows import decode_properties, encode_properties, to_storable
from entrasync.state.schema import Part
from entrasync.state.store import Store

_PHASES = {
    SyncObjectType.USER: Phase.USERS,
    SyncObjectType.CONTACT: Phase.CONTACTS,
    SyncObjectType.GROUP: Phase.GROUPS,
}


def fingerprint_of(change: PlannedChange) -> bytes:
    """Short name of exactly what a change does, made of the change and not of the state."""
    message = change.message
    properties = {key: to_storable(value) for key, value in message.properties.items()}
    return fingerprint_of_line(
        canonical_line(
            change.action, message.object_type, message.source_anchor, properties, message.links
        )
    )


@dataclass(frozen=True)
class Planned:
    """A plan in the state."""

    changes: tuple[PlannedChange, ...]

    def sendable(self) -> Iterator[PlannedChange]:
        yield from self.changes


@dataclass
class Approved:
    """Approvals that cover given changes."""

    fingerprints: set[bytes]

    def settle(self, done: Sequence[PlannedChange]) -> dict[str, int]:
        spent = spent_by(each for each in done if each.fingerprint not in self.fingerprints)
        self.fingerprints -= {each.fingerprint for each in done}
        return spent


@dataclass(frozen=True)
class Held:
    """What is known of a cloud object."""

    owned: bool
    properties: dict[str, PropertyValue]
    members: frozenset[str]


def guid_of(anchor: str) -> str:
    """ObjectGUID of the object behind an anchor."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, anchor))


def added(
    anchor: str, kind: SyncObjectType = SyncObjectType.USER, **properties: PropertyValue
) -> PlannedChange:
    """An object to be created."""
    return _set(anchor, kind, _PHASES[kind], Action.ADD, properties)


def updated(
    anchor: str, kind: SyncObjectType = SyncObjectType.USER, **properties: PropertyValue
) -> PlannedChange:
    """An object to be changed."""
    return _set(anchor, kind, _PHASES[kind], Action.UPDATE, properties)


def referring(anchor: str, **properties: PropertyValue) -> PlannedChange:
    """References to be set."""
    change = _set(anchor, SyncObjectType.USER, Phase.REFERENCES, Action.UPDATE, properties)
    return replace(change, part=Part.REFERENCES)


def deleted(anchor: str, kind: SyncObjectType = SyncObjectType.USER) -> PlannedChange:
    """An object to be deleted."""
    message = SyncObject(object_type=kind, operation=SyncOperation.DELETE, source_anchor=anchor)
    return PlannedChange(phase=Phase.DELETIONS, action=Action.DELETE, message=message, guid=None)


def linked(anchor: str, *members: str, removed: Sequence[str] = ()) -> PlannedChange:
    """Members to be added and removed."""
    message = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        links=tuple(LinkChange(anchor=member, add=False) for member in removed)
        + tuple(LinkChange(anchor=member, add=True) for member in members),
    )
    return PlannedChange(
        phase=Phase.LINKS, action=Action.LINKS, message=message, guid=None, part=Part.LINKS
    )


def _set(
    anchor: str,
    kind: SyncObjectType,
    phase: Phase,
    action: Action,
    properties: dict[str, PropertyValue],
) -> PlannedChange:
    message = SyncObject(
        object_type=kind,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
    )
    return PlannedChange(phase=phase, action=action, message=message, guid=guid_of(anchor))


def plan(store: Store, changes: Iterable[PlannedChange]) -> Planned:
    """Writes changes, in the order given, as what is pending and the plan; gives the plan."""
    found: list[PlannedChange] = []
    with store.transaction():
        for table in ("plan", "pending", "pending_links"):
            store.database.connection.execute(f"DELETE FROM {table}")  # noqa: S608  - ours
        for change in changes:
            number = store.database.anchor_number(change.message.source_anchor)
            known = replace(change, number=number)
            known = replace(known, fingerprint=fingerprint_of(known))
            _write(store, known)
            found.append(known)
    return Planned(tuple(found))


def _write(store: Store, change: PlannedChange) -> None:
    execute, message = store.database.connection.execute, change.message
    removals = sum(not link.add for link in message.links)
    if change.action is Action.LINKS:
        store.database.connection.executemany(
            "INSERT INTO pending_links VALUES (?, ?, ?)",
            [
                (change.number, store.database.anchor_number(link.anchor), link.add)
                for link in message.links
            ],
        )
    elif not change.temporary:
        execute(
            "INSERT INTO pending (anchor, part, action, type, guid, properties, previous)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                change.number,
                change.part,
                change.action,
                message.object_type,
                None if change.guid is None else uuid.UUID(change.guid).bytes,
                encode_properties(message.properties),
                encode_properties(change.previous),
            ),
        )
    execute(
        "INSERT INTO plan (anchor, part, action, type, phase, step, temporary, fingerprint,"
        " deletes, identity, links, removals) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            change.number,
            change.part,
            change.action,
            message.object_type,
            change.phase,
            change.step,
            encode_properties(message.properties) if change.temporary else None,
            change.fingerprint,
            change.action is Action.DELETE,
            change.action is Action.UPDATE
            and not change.temporary
            and "userPrincipalName" in message.properties,
            len(message.links),
            removals,
        ),
    )


def hold(store: Store, anchor: str, *members: str, **properties: PropertyValue) -> None:
    """Says that the tenant holds an object of ours, a group if it has members."""
    number = store.database.anchor_number(anchor)
    kind = SyncObjectType.GROUP if members else SyncObjectType.USER
    guid = uuid.UUID(guid_of(anchor)).bytes
    store.cloud.record_set(number, str(kind), guid, properties)
    store.cloud.record_links(number, [store.database.anchor_number(each) for each in members], [])


def hold_many(store: Store, anchors: Iterable[str]) -> None:
    """Says that the tenant holds many users."""
    with store.transaction():
        store.database.connection.executemany(
            "INSERT INTO cloud_objects (anchor, type, owned, properties)"
            " VALUES (?, 'User', 1, '{}')",
            ((store.database.anchor_number(anchor),) for anchor in anchors),
        )


def held(store: Store) -> dict[str, Held]:
    """What the tenant is known to hold, by SourceAnchor."""
    names = dict(store.database.connection.execute("SELECT id, anchor FROM anchors"))
    rows = store.database.connection.execute("SELECT anchor, owned, properties FROM cloud_objects")
    return {
        names[number]: Held(
            owned=bool(owned),
            properties=decode_properties(properties),
            members=frozenset(names[each] for each in store.cloud.members(number)),
        )
        for number, owned, properties in rows.fetchall()
    }
