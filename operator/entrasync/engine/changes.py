"""What a plan is made of: objects as the cloud holds them, and changes to them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from entrasync.entra.contracts import LinkChange, PropertyValue, SyncObject, SyncObjectType
from entrasync.state.rows import to_json
from entrasync.state.schema import Part

KIND_NAMES: Final = {
    SyncObjectType.USER: "users",
    SyncObjectType.GROUP: "groups",
    SyncObjectType.CONTACT: "contacts",
}

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@dataclass(slots=True, frozen=True, kw_only=True)
class CloudObject:
    """What we know the cloud holds.

    Attributes:
        anchor: its SourceAnchor.
        object_type: user, group or contact.
        guid: objectGUID of the source it came from; `None` while it is not owned.
        properties: as last exported or read back, by the service's names in our spelling.
        members: SourceAnchors of its members.
        owned: whether this sync exported or adopted it.
    """

    anchor: str
    object_type: SyncObjectType
    guid: str | None
    properties: Mapping[str, PropertyValue]
    members: frozenset[str] = frozenset()
    owned: bool = False


class Phase(IntEnum):
    """Order of export: what frees unique values, then objects, then what refers to them."""

    DELETIONS = 0
    RELEASES = 1
    USERS = 2
    CONTACTS = 3
    GROUPS = 4
    REFERENCES = 5
    LINKS = 6


class Action(StrEnum):
    """What happens to an object."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    DISABLE = "disable"
    LINKS = "links"


@dataclass(slots=True, frozen=True, kw_only=True)
class PlannedChange:
    """One change of one object, or a part of its links.

    Attributes:
        phase: when it is sent.
        action: what it does.
        message: what is sent.
        guid: objectGUID of the source, `None` where there is none left.
        previous: values that the update replaces, for the brakes.
        step: order within the phase; a higher one travels in later requests.
        temporary: whether it only frees unique values for a moment, until the object's own change
            follows; the brakes count that one.
        number: of its anchor in the state.
        part: what of the object it is about.
        fingerprint: names the planned change in the state; a part of its links keeps it.
        why: the flow that says so, by property; under an empty key what is said of the whole.
        outcome: of an addition: what the service will do, as far as that is known.
        replaces: SourceAnchor of the deleted object of the same person that an addition follows.
        braked: reason of the brake that stops it.
        held: reason why it is not sent in this run.
        members: numbers of the anchors of all members that the planned change adds and removes;
            empty where nobody looked them up.
    """

    phase: Phase
    action: Action
    message: SyncObject
    guid: str | None
    previous: Mapping[str, PropertyValue] = field(default_factory=dict)
    step: int = 0
    temporary: bool = False
    number: int = 0
    part: Part = Part.OBJECT
    fingerprint: bytes = b""
    why: Mapping[str, str] = field(default_factory=dict)
    outcome: str | None = None
    replaces: str | None = None
    braked: str | None = None
    held: str | None = None
    members: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)


def canonical_line(
    action: str,
    object_type: str,
    anchor: str,
    properties: Mapping[str, object],
    links: Iterable[LinkChange],
) -> str:
    """One line that says exactly what a change does.

    Args:
        action: of `Action`.
        object_type: of `SyncObjectType`.
        anchor: SourceAnchor of the object.
        properties: as the state keeps them.
        links: of a group.
    """
    text = _ENCODER.encode(dict(sorted(properties.items())))
    pairs = _ENCODER.encode(sorted([link.anchor, link.add] for link in links))
    return canonical_text(action, object_type, anchor, text, pairs)


def canonical_text(action: str, object_type: str, anchor: str, properties: str, links: str) -> str:
    """As `canonical_line`, of properties and sorted pairs of links that `rows` wrote as JSON.

    It writes them the same way, so that a million of them need not be read to be named.
    """
    head = to_json((action, object_type, anchor)).removesuffix("]")
    return f"{head},{properties},{links}]"


def fingerprint_of_line(canonical: str) -> bytes:
    """Short name of a change, given as its canonical line."""
    return hashlib.sha256(canonical.encode()).digest()


def digest_of(fingerprints: Iterable[bytes]) -> str:
    """`sha256:...` over the fingerprints of changes, given in their order."""
    total = hashlib.sha256()
    for fingerprint in fingerprints:
        total.update(fingerprint)
    return f"sha256:{total.hexdigest()}"


@dataclass(slots=True, kw_only=True)
class ChangeCounts:
    """Objects changed, by kind and action, and links; the same object counts once an action."""

    objects: Counter[tuple[SyncObjectType, Action]] = field(default_factory=Counter)
    links_added: int = 0
    links_removed: int = 0


def count_changes(changes: Iterable[PlannedChange]) -> ChangeCounts:
    """Counts changes as a person would.

    An object whose manager follows later changed once; what it lets go for a moment is no change;
    who is disabled was updated.
    """
    counts = ChangeCounts()
    seen: set[str] = set()
    for change in changes:
        if change.action is Action.LINKS:
            added = sum(link.add for link in change.message.links)
            counts.links_added += added
            counts.links_removed += len(change.message.links) - added
        elif change.message.source_anchor not in seen and not change.temporary:
            seen.add(change.message.source_anchor)
            counts.objects[change.message.object_type, counted_as(change.action)] += 1
    return counts


def counted_as(action: Action) -> Action:
    """What an action is in the figures of a run."""
    return Action.UPDATE if action is Action.DISABLE else action
