"""From what the source holds to what the cloud should hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from entrasync.api.directory_sync import AnchorSource
from entrasync.engine.anchors import computed_anchor
from entrasync.engine.flows import flow
from entrasync.engine.scope import Scope
from entrasync.engine.selection import Selection
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
        max_group_members: most members a group may have.
        selection: what of the containers takes part.
    """

    scope: Scope
    anchor_source: AnchorSource
    domain: str
    max_group_members: int
    selection: Selection = field(default_factory=Selection)


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
        excluded: how many objects in the containers each rule left out, by its name: default
            exclusions, and what the sync itself says of its kinds.
        in_scope: objects in scope, the excluded ones left out.
        kept: SourceAnchors of objects whose kind is not synced: left as they are in the cloud, but
            members of groups like any other.
        kept_types: the kinds that are not synced.
    """

    desired: Mapping[str, DesiredObject]
    withheld: tuple[Withheld, ...]
    excluded: Mapping[str, int]
    in_scope: int
    kept: frozenset[str] = frozenset()
    kept_types: frozenset[SyncObjectType] = frozenset()

    @property
    def frozen(self) -> frozenset[str]:
        """SourceAnchors of all that is left as it is."""
        return self.kept | {each.anchor for each in self.withheld}


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

    Raises:
        BlockedError: `SourceEmpty`: a scoping group leaves out all there is of a kind.
    """
    tree = SourceTree(objects)
    taking_part, excluded = _select(objects, tree, rules)
    disabled = rules.selection.rules.disabled
    anchors, withheld = _assign_anchors(taking_part, pins, rules.anchor_source)
    desired: dict[str, DesiredObject] = {}
    kept: set[str] = set()
    for source in taking_part:
        anchor = anchors.get(source.guid)
        if anchor is None:
            continue
        if source.kind in disabled:
            kept.add(anchor)
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
    kept_types = frozenset(OBJECT_TYPES[kind] for kind in disabled)
    return Evaluation(
        desired=desired,
        withheld=tuple(each for each in withheld if each.object_type not in kept_types),
        excluded=dict(excluded),
        in_scope=len(taking_part),
        kept=frozenset(kept),
        kept_types=kept_types,
    )


def _select(
    objects: Mapping[str, SourceObject], tree: SourceTree, rules: EvaluationRules
) -> tuple[list[SourceObject], Counter[str]]:
    """What takes part, and how much each rule left out."""
    left_out: dict[SourceKind, Counter[str]] = {kind: Counter() for kind in OBJECT_TYPES}
    taking_part: list[SourceObject] = []
    for guid in sorted(objects):
        source = objects[guid]
        kind = source.kind
        if kind is SourceKind.OTHER or not rules.scope.holds(guid, tree):
            continue
        rule = rules.selection.left_out_by(source)
        left_out[kind][rule or ""] += 1
        if rule is None:
            taking_part.append(source)
    rules.selection.require_members(left_out)
    excluded = sum(left_out.values(), Counter[str]())
    del excluded[""]
    return taking_part, excluded


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
        message=f"it has {members} members, at most {limit} are taken; it is frozen as it is and"
        " goes on by itself when it fits",
    )
