"""From what the source holds to what the cloud should hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from entrasync.api.directory_sync import AnchorSource
from entrasync.engine.anchors import computed_anchor
from entrasync.engine.exclusions import excluded_by
from entrasync.engine.flows import flow
from entrasync.engine.scope import Scope
from entrasync.engine.source import SourceKind, SourceObject, SourceTree
from entrasync.entra.contracts import PropertyValue, SyncObjectType

OBJECT_TYPES = {
    SourceKind.USER: SyncObjectType.USER,
    SourceKind.GROUP: SyncObjectType.GROUP,
    SourceKind.CONTACT: SyncObjectType.CONTACT,
}


@dataclass(slots=True, frozen=True, kw_only=True)
class EvaluationRules:
    """What decides how a source is evaluated.

    Attributes:
        scope: containers in and out.
        anchor_source: where anchors come from.
        domain: DNS name of the domain.
        max_group_members: most members the endpoint takes.
    """

    scope: Scope
    anchor_source: AnchorSource
    domain: str
    max_group_members: int


@dataclass(slots=True, frozen=True, kw_only=True)
class DesiredObject:
    """One cloud object as it should be.

    Attributes:
        guid: objectGUID of its source.
        object_type: user, group or contact.
        anchor: its SourceAnchor.
        properties: wanted properties; a key that is absent should have no value.
        members: SourceAnchors of the members; empty for what is no group.
    """

    guid: str
    object_type: SyncObjectType
    anchor: str
    properties: Mapping[str, PropertyValue]
    members: frozenset[str] = frozenset()


@dataclass(slots=True, frozen=True, kw_only=True)
class Withheld:
    """An object that takes part but is left as it is in the cloud, and why.

    Attributes:
        anchor: SourceAnchor under which the cloud may hold it.
        guid: objectGUID of its source.
        object_type: user, group or contact.
        reason: `AnchorChanged`, `DuplicateAnchor` or `GroupTooLarge`.
        message: what to do.
    """

    anchor: str
    guid: str
    object_type: SyncObjectType
    reason: str
    message: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Evaluation:
    """What the cloud should hold.

    Attributes:
        desired: by SourceAnchor.
        withheld: objects frozen as they are.
        excluded: how many objects in scope each default exclusion left out, by its name.
        in_scope: objects in scope, the excluded ones left out.
    """

    desired: Mapping[str, DesiredObject]
    withheld: tuple[Withheld, ...]
    excluded: Mapping[str, int]
    in_scope: int


def evaluate(
    objects: Mapping[str, SourceObject],
    links: Mapping[str, frozenset[str]],
    pins: Mapping[str, str],
    rules: EvaluationRules,
) -> Evaluation:
    """Decides what takes part, ties it to anchors, and computes its properties.

    Args:
        objects: the source space by objectGUID, containers included.
        links: objectGUIDs of members by objectGUID of the group, ends out of scope included.
        pins: anchors fixed at first export, by objectGUID.
        rules: scope, anchors, domain, limits.
    """
    tree = SourceTree(objects)
    excluded: Counter[str] = Counter()
    taking_part: list[SourceObject] = []
    for guid in sorted(objects):
        source = objects[guid]
        if source.kind is SourceKind.OTHER or not rules.scope.holds(guid, tree):
            continue
        rule = excluded_by(source)
        if rule is None:
            taking_part.append(source)
        else:
            excluded[rule] += 1
    anchors, withheld = _assign_anchors(taking_part, pins, rules.anchor_source)
    desired: dict[str, DesiredObject] = {}
    for source in taking_part:
        anchor = anchors.get(source.guid)
        if anchor is None:
            continue
        members = links.get(source.guid, frozenset())
        if source.kind is SourceKind.GROUP and len(members) > rules.max_group_members:
            withheld.append(_too_large(source, anchor, len(members), rules.max_group_members))
            continue
        desired[anchor] = DesiredObject(
            guid=source.guid,
            object_type=OBJECT_TYPES[source.kind],
            anchor=anchor,
            properties=flow(
                source, dn=tree.dn_of(source.guid), domain=rules.domain, anchor_of=anchors.get
            ),
            members=frozenset(anchors[guid] for guid in members if guid in anchors),
        )
    return Evaluation(
        desired=desired,
        withheld=tuple(withheld),
        excluded=dict(excluded),
        in_scope=len(taking_part),
    )


def _assign_anchors(
    sources: list[SourceObject], pins: Mapping[str, str], anchor_source: AnchorSource
) -> tuple[dict[str, str], list[Withheld]]:
    """Anchors by objectGUID; what has none that is certain is withheld."""
    computed = {source.guid: computed_anchor(source, anchor_source) for source in sources}
    uses = Counter(pins.get(guid, anchor) for guid, anchor in computed.items())
    anchors: dict[str, str] = {}
    withheld: list[Withheld] = []
    for source in sources:
        anchor = pins.get(source.guid, computed[source.guid])
        if anchor != computed[source.guid]:
            reason, message = (
                "AnchorChanged",
                (
                    "the tenant holds it under this anchor, and its mS-DS-ConsistencyGuid gives"
                    " another one now; set that back, the cloud object stays as it is meanwhile"
                ),
            )
        elif uses[anchor] > 1:
            reason, message = (
                "DuplicateAnchor",
                (
                    "another object in scope has the same mS-DS-ConsistencyGuid; clear it on one"
                    " of them, neither is exported meanwhile"
                ),
            )
        else:
            anchors[source.guid] = anchor
            continue
        withheld.append(
            Withheld(
                anchor=anchor,
                guid=source.guid,
                object_type=OBJECT_TYPES[source.kind],
                reason=reason,
                message=message,
            )
        )
    return anchors, withheld


def _too_large(source: SourceObject, anchor: str, members: int, limit: int) -> Withheld:
    return Withheld(
        anchor=anchor,
        guid=source.guid,
        object_type=SyncObjectType.GROUP,
        reason="GroupTooLarge",
        message=f"it has {members} members, the endpoint takes {limit}; it is frozen as it is and"
        " goes on by itself when it fits",
    )
