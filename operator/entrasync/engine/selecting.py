"""Which objects of the sources take part, and which of them are one: the first half of evaluating.

What changed is looked at, or everything where the rules did; `parts` then holds what is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from entrasync.api.choices import AnchorSource, JoinBy
from entrasync.engine.anchors import CONSISTENCY_GUID, anchor_of_guid, computed_anchor
from entrasync.engine.exclusions import WITHOUT_ACCOUNT, is_usual
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.joins import join, join_key
from entrasync.engine.primary_groups import PrimaryGroups
from entrasync.engine.scope import Places
from entrasync.engine.selection import Selection
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.state.clusters import ClusterSpace
from entrasync.state.parts import ObjectRow, PartChange, PartSpace
from entrasync.state.rows import from_json
from entrasync.state.schema import Kind

log = structlog.get_logger()

KINDS: Final = {
    Kind.USER: SourceKind.USER,
    Kind.GROUP: SourceKind.GROUP,
    Kind.CONTACT: SourceKind.CONTACT,
}
"""What the state calls the kinds that are synced."""
# without a call for each object
_KINDS: Final[dict[int | None, SourceKind]] = {int(each): kind for each, kind in KINDS.items()}


class _Decision(NamedTuple):
    rule: str | None
    computed: str | None
    key: str | None


class Selector:
    """Decides what takes part.

    Args:
        space: the parts.
        clusters: which of them may belong together.
        selection: what of the containers takes part.
        places: where objects lie.
        anchors: where anchors come from.
        join_users: what joins users of several sources.
        ranks: place of each source by its number, `None` for what is named no longer.
    """

    def __init__(
        self,
        space: PartSpace,
        clusters: ClusterSpace,
        selection: Selection,
        places: Places,
        anchors: AnchorRules,
        join_users: JoinBy,
        ranks: Mapping[int, int | None],
    ) -> None:
        self._space = space
        self._clusters = clusters
        self._selection = selection
        self._places = places
        self._anchors = anchors
        self._join_users = join_users
        self._ranks = ranks
        self.primary_groups = PrimaryGroups()
        self._usual = frozenset(
            kind
            for kind in (SourceKind.USER, SourceKind.GROUP)
            if selection.adds_nothing(kind)
            and (
                kind is SourceKind.GROUP
                or (anchors.source is not AnchorSource.ATTRIBUTE and join_users is JoinBy.NONE)
            )
        )
        """Kinds of which most objects are decided about by a few looks."""

    def select(self, *, everything: bool, remember: bool, progress: Callable[[int], None]) -> int:
        """Looks at objects and writes their parts; gives how many were looked at.

        Args:
            everything: whether to look at all there is, or at what changed.
            remember: whether to keep what was before, so that what follows can be marked.
            progress: told how many were looked at.
        """
        done = 0
        with self._space.selecting(everything=everything):
            for page in self._space.pages(everything=everything):
                self._select_page(page, everything=everything, remember=remember)
                done += len(page)
                progress(done)
        if everything:
            self._space.write([], self._space.vanished(), (), remember=remember)
        return done

    def _select_page(self, page: list[ObjectRow], *, everything: bool, remember: bool) -> None:
        changes: list[PartChange] = []
        gone: list[int] = []
        regroup: list[int] = []
        rank_of, holds, decide = self._ranks.get, self._places.holds, self._decide
        for row in page:
            if row.source is not None and rank_of(row.source) is None:
                continue
            kind = _KINDS.get(row.kind)
            if kind is None or row.kind is None or not holds(row.object, row.parent):
                if row.part_kind is not None:
                    gone.append(row.object)
                continue
            decision = decide(row, kind)
            known = row.part_kind is not None
            if (
                not known
                or decision != (row.rule, row.computed, row.key)
                or row.part_kind != row.kind
            ):
                changes.append(PartChange(row.object, row.kind, *decision, known))
                if not everything or (decision.rule is None and decision.computed is None):
                    regroup.append(row.object)
            if decision.rule is None and row.pin is not None and row.pin != decision.computed:
                regroup.append(row.object)
        self._space.write(changes, gone, regroup, remember=remember)

    def _decide(self, row: ObjectRow, kind: SourceKind) -> _Decision:
        stored = from_json(row.attributes)
        source = SourceObject(
            guid=row.guid, dn=row.dn, parent_guid=None, stored=stored, known_kind=kind
        )
        if (
            kind in self._usual
            and CONSISTENCY_GUID not in stored
            and is_usual(kind, row.dn, stored)
        ):
            self.primary_groups.add(source)
            return _Decision(None, anchor_of_guid(row.guid), None)
        rule = self._selection.left_out_by(source)
        if rule == WITHOUT_ACCOUNT:
            return _Decision(rule, None, join_key(source, self._join_users))
        if rule is not None:
            return _Decision(rule, None, None)
        computed = computed_anchor(source, self._anchors.source, self._anchors.attribute)
        self.primary_groups.add(source)
        if kind is not SourceKind.USER:
            return _Decision(None, computed, None)
        return _Decision(None, computed, join_key(source, self._join_users))

    def join(self, *, everything: bool) -> None:
        """Ties what takes part to cloud objects, where more than its own attributes decides."""
        self._clusters.inherit()
        if everything:
            self._clusters.regroup_shared()
        else:
            self._clusters.regroup_changed()
        self._clusters.regroup_pinned()
        attribute = "mS-DS-ConsistencyGuid"
        if self._anchors.source is AnchorSource.ATTRIBUTE and self._anchors.attribute:
            attribute = self._anchors.attribute
        ambiguous = 0
        for members in self._clusters.clusters():
            joined = join(members, attribute)
            ambiguous += joined.ambiguous_keys
            self._clusters.assign(joined.assignments)
        self._clusters.hand_over()
        if ambiguous:
            log.warning("joins_ambiguous", join_users=str(self._join_users), keys=ambiguous)
