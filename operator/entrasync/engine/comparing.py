"""What must change for the cloud to be as it should be: the second half of evaluating."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from entrasync.engine.changes import Action
from entrasync.engine.conflicts import DUPLICATES, Conflict, claims_of, losers, refused, too_large
from entrasync.engine.flows import Contributor, Flowed, FlowSet
from entrasync.engine.scope import Places
from entrasync.engine.selecting import KINDS
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.entra.contracts import PropertyValue, SyncObjectType
from entrasync.state.anchor_pages import AnchorPage, ContributorRow
from entrasync.state.comparison import ComparisonSpace, PendingRow
from entrasync.state.rows import decode_properties, encode_properties, from_json, guid_text
from entrasync.state.schema import Part

log = structlog.get_logger()

OBJECT_TYPES: Final = {
    SourceKind.USER: SyncObjectType.USER,
    SourceKind.GROUP: SyncObjectType.GROUP,
    SourceKind.CONTACT: SyncObjectType.CONTACT,
}

_ABOUT_VALUES: Final = tuple(DUPLICATES.values())
_Properties = Mapping[str, PropertyValue]


class _Compared(NamedTuple):
    """What must change of one anchor, what is in the way of it, and values it wants."""

    changes: list[PendingRow]
    conflict: Conflict | None
    claims: dict[int, int]


# without a call for each object
_KINDS: Final = {int(number): kind for number, kind in KINDS.items()}
_TYPES: Final = {kind: object_type.value for kind, object_type in OBJECT_TYPES.items()}
_OBJECT: Final = int(Part.OBJECT)
_REFERENCES: Final = int(Part.REFERENCES)
_ADD: Final = Action.ADD.value
_UPDATE: Final = Action.UPDATE.value
_NOTHING: Final = _Compared([], None, {})
_NO_CLAIMS: Final[Mapping[int, int]] = {}
_NO_REFERENCES: Final[Mapping[str, list[str]]] = {}


class Comparer:
    """Computes what objects should be, and compares that with what the tenant holds.

    Args:
        space: anchors and what belongs to them.
        flows: how attributes travel.
        places: where objects lie.
        kept: kinds that are not synced.
        max_group_members: most members a group may have.
    """

    def __init__(
        self,
        space: ComparisonSpace,
        flows: FlowSet,
        places: Places,
        kept: frozenset[SourceKind],
        max_group_members: int,
    ) -> None:
        self._space = space
        self._flows = flows
        self._places = places
        self._kept = kept
        self._limit = max_group_members
        self._cloud_managed = 0

    def compare(self, *, everything: bool, progress: Callable[[int], None]) -> None:
        """Compares what is marked, or all there is, until nothing follows from it any more.

        Args:
            everything: whether all there is.
            progress: told how many anchors were compared.
        """
        done, first = 0, everything
        if everything:
            self._space.start_over()
        else:
            self._space.start_round()
        while first or self._space.has_round():
            for page in self._space.pages(everything=first):
                self._compare_page(page, everything=first)
                done += len(page.anchors)
                progress(done)
            if first:
                self._space.settle()
            for claimants in self._space.claims.contested(everything=first):
                for anchor, conflict in losers(claimants):
                    self._space.claims.lose(anchor, conflict.code, conflict.message)
            self._space.finish_round(_ABOUT_VALUES, everything=first)
            self._space.free(everything=first)
            self._space.follow(pairs=not everything)
            first = False
        if self._cloud_managed:
            log.info("cloud_managed_left_alone", objects=self._cloud_managed)

    def _compare_page(self, page: AnchorPage, *, everything: bool) -> None:
        pending: list[PendingRow] = []
        conflicts: list[tuple[int, str, str]] = []
        claimed: list[tuple[int, int, int]] = []
        unclaimed: list[tuple[int, int]] = []
        for anchor in page.anchors:
            rows, conflict, claims = self._compare_one(page, anchor)
            pending += rows
            if conflict is not None:
                conflicts.append((anchor, conflict.code, conflict.message))
            before = page.claims.get(anchor, _NO_CLAIMS)
            if not before:
                claimed += [(value, anchor, held) for value, held in claims.items()]
            elif claims != before:
                claimed += [
                    (value, anchor, held)
                    for value, held in claims.items()
                    if before.get(value) != held
                ]
                unclaimed += [
                    (value, anchor) for value, held in before.items() if claims.get(value) != held
                ]
        self._space.write(pending, conflicts, _ABOUT_VALUES, everything=everything)
        if everything:
            self._space.claims.note(claimed)
        else:
            self._space.claims.change(claimed, unclaimed)

    def _compare_one(self, page: AnchorPage, anchor: int) -> _Compared:
        rows = self._contributors(page.contributors.get(anchor, []))
        if not rows:
            return _NOTHING
        kind = _KINDS[rows[0].kind]
        if kind in self._kept or rows[0].rank is None:
            return _NOTHING
        held = page.cloud.get(anchor)
        if held is not None and held.cloud_managed:
            self._cloud_managed += 1
            return _NOTHING
        if kind is SourceKind.GROUP:
            conflict = too_large(page.sizes.get(anchor, 0), self._limit)
            if conflict is not None:
                return _Compared([], conflict, {})
        references = _References(page, rows)
        flowed = self._flows.flow(
            kind,
            [self._contributor(row, references.values_of(row), kind) for row in rows],
            references.anchor_of,
            None,
        )
        before = None
        if held is not None and not _equals(flowed, held.properties, references):
            before = decode_properties(held.properties)
            self._flows.keep(kind, flowed, before)
        conflict = refused(flowed.properties)
        if conflict is not None:
            return _Compared([], conflict, {})
        claims = claims_of(flowed.properties)
        if held is not None and before is None:
            return _Compared([], None, claims)
        return _Compared(
            self._changes(anchor, kind, rows, flowed, before, references), None, claims
        )

    def _contributors(self, rows: list[ContributorRow]) -> list[ContributorRow]:
        """Who gives values to an anchor, in the order of the sources."""
        if len(rows) == 1 and rows[0].withheld is None:
            return rows
        found = [row for row in rows if row.withheld is None]
        if len(found) > 1:
            found.sort(key=lambda row: (row.rank is None, row.rank or 0, row.object))
        return found

    def _contributor(
        self, row: ContributorRow, references: Mapping[str, list[str]], kind: SourceKind
    ) -> Contributor:
        stored = from_json(row.attributes)
        if references:
            stored.update(references)
        source = SourceObject(
            guid=row.guid,
            dn=row.dn,
            parent_guid=None,
            stored=stored,
            known_kind=kind,
        )
        dn = self._places.dn_of(row.dn, row.parent)
        return Contributor(source, dn, row.domain)

    def _changes(
        self,
        anchor: int,
        kind: SourceKind,
        rows: list[ContributorRow],
        flowed: Flowed,
        before: _Properties | None,
        references: _References,
    ) -> list[PendingRow]:
        guid = next((row.guid for row in rows if row.gives_anchor), rows[0].guid)
        of_object = (_TYPES[kind], guid)
        wanted, naming = flowed.properties, references.settled(flowed.references, before or {})
        if before is None:
            found = [_pending(anchor, _OBJECT, _ADD, of_object, wanted, {})]
        else:
            targets, naming_targets = self._flows.targets_of(kind), self._flows.reference_targets
            wanted = _differing(wanted, before, targets - naming_targets)
            naming = _differing(naming, before, targets & naming_targets)
            found = []
            if wanted:
                found.append(_pending(anchor, _OBJECT, _UPDATE, of_object, wanted, before))
        if naming:
            found.append(_pending(anchor, _REFERENCES, _UPDATE, of_object, naming, before or {}))
        return found


def _pending(
    anchor: int,
    part: int,
    action: str,
    of_object: tuple[str, bytes],
    properties: _Properties,
    held: _Properties,
) -> PendingRow:
    previous = {key: held[key] for key in properties if key in held} if held else None
    return PendingRow(
        anchor,
        part,
        action,
        *of_object,
        encode_properties(properties),
        encode_properties(previous) if previous else "{}",
    )


def _equals(flowed: Flowed, held: str, references: _References) -> bool:
    """Whether all is beyond doubt as the tenant holds it; if not, one must look closer.

    The same text is the same properties, and what only counts while the cloud has no value of its
    own, or once it has one, changes nothing about these. Looking closer takes much longer.
    """
    if references.unsettled:
        return False
    wanted = flowed.properties
    if flowed.references:
        wanted = wanted | flowed.references
    return encode_properties(wanted) == held


def _differing(
    wanted: _Properties, held: _Properties, targets: frozenset[str]
) -> dict[str, PropertyValue]:
    """What must be written; `None` clears what flows and has no value any more."""
    found = {key: value for key, value in wanted.items() if held.get(key) != value}
    for key in targets:
        if key not in wanted and held.get(key) is not None:
            found[key] = None
    return found


class _References:
    """Objects that the contributors of one anchor name, and whether the cloud will know them."""

    __slots__ = ("_values", "anchor_of", "unsettled")

    def __init__(self, page: AnchorPage, rows: list[ContributorRow]) -> None:
        anchors: dict[str, str] = {}
        self.anchor_of: Callable[[str], str | None] = anchors.get
        """SourceAnchor of an objectGUID, `None` when it does not take part."""
        self.unsettled: set[str] = set()
        self._values: dict[int, dict[str, list[str]]] = {}
        for row in rows:
            named = page.references.get(row.object)
            if named is None:
                continue
            values = self._values[row.object] = {}
            for _, attribute, raw, anchor, settled in named:
                guid = guid_text(raw)
                values.setdefault(attribute, []).append(guid)
                if anchor is not None:
                    anchors[guid] = anchor
                    if not settled:
                        self.unsettled.add(anchor)

    def values_of(self, row: ContributorRow) -> Mapping[str, list[str]]:
        """What a contributor names, by attribute, as objectGUIDs."""
        return self._values.get(row.object, _NO_REFERENCES)

    def settled(self, wanted: _Properties, held: _Properties) -> _Properties:
        """References without those to what the cloud does not hold and will not.

        What it holds already stays: who is left as it is loses nobody who names it.
        """
        if not self.unsettled:
            return wanted
        found: dict[str, PropertyValue] = {}
        for key, value in wanted.items():
            before = held.get(key)
            if isinstance(value, tuple):
                known = before if isinstance(before, tuple) else ()
                rest = tuple(each for each in value if each not in self.unsettled or each in known)
                if rest:
                    found[key] = rest  # type: ignore[assignment]  # anchors are text
            elif value not in self.unsettled:
                found[key] = value
            elif before is not None:
                found[key] = before
        return found
