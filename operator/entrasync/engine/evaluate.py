"""From what the sources hold to what must change in the cloud, in one transaction.

Looks at what changed; at everything where rules did, told by digests of the last evaluation.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from entrasync import __version__
from entrasync.api.choices import JoinBy
from entrasync.engine.comparing import OBJECT_TYPES, Comparer
from entrasync.engine.flows import FlowSet
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.primary_groups import count_primary_members
from entrasync.engine.scope import Places, Scope
from entrasync.engine.selecting import KINDS, Selector
from entrasync.engine.selection import Selection, SelectionRules, select
from entrasync.engine.source import SourceKind
from entrasync.state.evaluation import META_KEPT, Withheld
from entrasync.state.pairs import PairSpace
from entrasync.state.parts import Source
from entrasync.state.rows import guid_bytes
from entrasync.state.schema import Kind
from entrasync.state.store import Store

__all__ = [
    "OBJECT_TYPES",
    "EvaluationRules",
    "EvaluationTotals",
    "Withheld",
    "evaluate",
    "forget_evaluation",
    "selection_of",
]

log = structlog.get_logger()

META_SELECTION: Final = "evaluation-selection"
"""Facts of the rules that say what takes part, as of the last evaluation."""
META_FLOWS: Final = "evaluation-flows"
"""Facts of the rules that say what objects should be."""
META_LIMIT: Final = "evaluation-limit"
"""Most members a group may have."""
META_PRIMARY: Final = "evaluation-primary-group-members"
META_SOURCES: Final = "evaluation-sources"
"""Names of the sources of which something took part, as JSON."""

_NUMBERS: Final = {kind: number for number, kind in KINDS.items()}


@dataclass(slots=True, frozen=True, kw_only=True)
class EvaluationRules:
    """What decides how the sources are evaluated.

    Attributes:
        scopes: containers in and out, by name of source.
        selection: what of the containers takes part, as written.
        group_guids: objectGUIDs of the groups it names, by DN as written.
        attributes: as the sources were asked for them, by name of source.
        anchors: where anchors come from.
        join_users: what joins users of several sources.
        flows: how attributes travel.
        max_group_members: most members a group may have.
        full: whether everything is evaluated, whatever changed.
    """

    scopes: Mapping[str, Scope]
    selection: SelectionRules
    group_guids: Mapping[str, str]
    attributes: Mapping[str, tuple[str, ...]]
    anchors: AnchorRules
    join_users: JoinBy
    flows: FlowSet
    max_group_members: int
    full: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class EvaluationTotals:
    """What an evaluation found.

    Attributes:
        in_scope: objects in scope, the excluded ones left out.
        excluded: how many objects in the containers each rule left out, by its name: default
            exclusions, and what the sync itself says of its kinds.
        evaluated: objects that were looked at.
        primary_group_members: users whose primary group takes part; as of the last time that
            everything was looked at.
        emptied: names of sources of which nothing takes part any more; nothing was changed then.
    """

    in_scope: int
    excluded: Mapping[str, int]
    evaluated: int
    primary_group_members: int
    emptied: tuple[str, ...] = ()


class _NothingTakesPart(Exception):  # noqa: N818  - no error: it takes back what was written
    def __init__(self, totals: EvaluationTotals) -> None:
        super().__init__()
        self.totals = totals


def selection_of(store: Store, rules: EvaluationRules) -> Selection:
    """The rules of what takes part, tied to the sources that were read.

    Raises:
        ConfigurationError: `ScopeGroupNotFound`: what a DN names is no group.
        BlockedError: `SourceEmpty`: a scoping group has no members.
    """
    names = [name for attributes in rules.attributes.values() for name in attributes]
    return select(rules.selection, rules.group_guids, store, names)


def evaluate(
    store: Store, rules: EvaluationRules, progress: Callable[[int, int | None], None]
) -> EvaluationTotals:
    """Decides what takes part, ties it to anchors, and finds out what must change.

    When nothing takes part, or nothing of a source of which something did, nothing is changed.

    Args:
        store: the state, imported.
        rules: what decides.
        progress: told steps done, and all steps where that is known.

    Raises:
        ConfigurationError: `ScopeGroupNotFound`.
        BlockedError: `SourceEmpty`: a scoping group leaves out all there is of a kind.
    """
    try:
        with store.transaction():
            return _Evaluation(store, rules, progress).run()
    except _NothingTakesPart as nothing:
        return nothing.totals


def forget_evaluation(store: Store) -> None:
    """Makes the next evaluation look at everything there is."""
    for fact in (META_SELECTION, META_FLOWS):
        store.put(fact, None)


class _Evaluation:
    def __init__(
        self, store: Store, rules: EvaluationRules, progress: Callable[[int, int | None], None]
    ) -> None:
        self._store = store
        self._space = store.evaluation
        self._rules = rules
        self._progress = progress
        self._sources = self._space.parts.sources()
        self._facts = _facts(rules, self._sources)
        self._selects_all = rules.full or self._differs(META_SELECTION)
        self._compares_all = rules.full or self._differs(META_FLOWS)
        disabled = rules.selection.disabled
        self._kept = "(" + ", ".join(f"{_NUMBERS[kind]:d}" for kind in sorted(disabled)) + ")"
        self._kept_types = (
            "(" + ", ".join(f"'{OBJECT_TYPES[kind]}'" for kind in sorted(disabled)) + ")"
        )
        self._done = 0

    def _differs(self, key: str) -> bool:
        return self._store.get(key) != self._facts[key]

    def run(self) -> EvaluationTotals:
        limit_changed = self._differs(META_LIMIT)
        selection = selection_of(self._store, self._rules)
        if not (
            self._selects_all
            or self._compares_all
            or limit_changed
            or self._space.parts.has_changes()
        ):
            return self._totals(0)
        places = Places(self._space.parts.place, self._verdicts())
        evaluated = self._select(selection, places)
        # a group that leaves out everybody says more than a source that shows nothing
        selection.require_members(self._left_out())
        totals = self._totals(evaluated)
        peopled = self._peopled()
        emptied = set(json.loads(self._store.get(META_SOURCES) or "[]")) - peopled
        if not totals.in_scope or emptied:
            raise _NothingTakesPart(replace(totals, emptied=tuple(sorted(emptied))))
        self._mark(limit_changed=limit_changed)
        comparer = Comparer(
            self._space.comparison,
            self._rules.flows,
            places,
            self._rules.selection.disabled,
            self._rules.max_group_members,
        )
        comparer.compare(everything=self._compares_all, progress=self._tell(evaluated))
        self._space.comparison.find_candidates(self._kept_types, everything=self._compares_all)
        self._compare_links()
        self._space.comparison.finish()
        for key, value in self._facts.items():
            self._store.put(key, value)
        self._store.put(META_SOURCES, json.dumps(sorted(peopled)))
        return totals

    def _peopled(self) -> set[str]:
        """Sources of which something takes part; those that rest are as they are."""
        return {
            source.name
            for source in self._sources
            if source.rank is None or self._space.parts.is_peopled(source.number)
        }

    def _verdicts(self) -> dict[int, bool]:
        """Containers of the scope by number, and whether they are in or out."""
        found: dict[int, bool] = {}
        for scope in self._rules.scopes.values():
            for guids, inside in ((scope.include, True), (scope.exclude, False)):
                for guid in guids:
                    number = self._space.parts.number_of(guid_bytes(guid))
                    if number is not None:
                        found[number] = inside
        return found

    def _select(self, selection: Selection, places: Places) -> int:
        parts = self._space.parts
        parts.begin()
        self._space.clusters.begin()
        self._space.marks.begin()
        if not self._compares_all:
            self._space.marks.told_groups()
        if not self._selects_all and selection.names_groups:
            self._selects_all = not selection.mark_changed_members()
        if not self._selects_all:
            parts.mark_below()
        selector = Selector(
            parts,
            self._space.clusters,
            selection,
            places,
            self._rules.anchors,
            self._rules.join_users,
            {source.number: source.rank for source in self._sources},
        )
        evaluated = selector.select(
            everything=self._selects_all,
            remember=not self._compares_all,
            progress=self._tell(0),
        )
        selector.join(everything=self._selects_all)
        if self._selects_all:
            members = count_primary_members(selector.primary_groups.members, parts.takes_part)
            self._store.put(META_PRIMARY, str(members))
            unresolved = parts.unresolved_principals()
            if unresolved:
                log.info("foreign_principals_left_out", count=unresolved)
        return evaluated

    def _tell(self, before: int) -> Callable[[int], None]:
        return lambda done: self._progress(before + done, None)

    def _mark(self, *, limit_changed: bool) -> None:
        resting = [source.number for source in self._sources if source.rank is None]
        self._space.comparison.begin(self._kept, resting)
        if self._compares_all:
            return
        marks = self._space.marks
        marks.objects(resting=bool(resting))
        marks.parts()
        marks.links()
        marks.of_changed_groups(self._rules.max_group_members)
        if limit_changed:
            marks.of_all_groups()
        marks.held_back(self._kept)

    def _compare_links(self) -> None:
        pairs = PairSpace(self._store.database, self._kept)
        if self._compares_all:
            pairs.compare_all(lambda done: self._progress(done, None))
        else:
            pairs.compare_changed()

    def _totals(self, evaluated: int) -> EvaluationTotals:
        excluded: Counter[str] = Counter()
        in_scope = 0
        for (rule, _), count in self._space.counts().items():
            if rule is None:
                in_scope += count
            else:
                excluded[rule] += count
        return EvaluationTotals(
            in_scope=in_scope,
            excluded=dict(excluded),
            evaluated=evaluated,
            primary_group_members=int(self._store.get(META_PRIMARY) or 0),
        )

    def _left_out(self) -> dict[SourceKind, Counter[str]]:
        found: dict[SourceKind, Counter[str]] = {}
        for (rule, kind), count in self._space.counts().items():
            found.setdefault(KINDS[Kind(kind)], Counter())[rule or ""] += count
        return found


def _facts(rules: EvaluationRules, sources: list[Source]) -> dict[str, str]:
    """What tells these rules from those of the last evaluation; another program has others."""
    scopes = [
        [
            source.name,
            source.rank,
            sorted(rules.scopes[source.name].include),
            sorted(rules.scopes[source.name].exclude),
        ]
        if source.name in rules.scopes
        else [source.name, source.rank]
        for source in sources
    ]
    selection = [
        __version__,
        scopes,
        rules.selection.facts,
        sorted(rules.group_guids.items()),
        [rules.anchors.source, rules.anchors.attribute],
        rules.join_users,
    ]
    flows = [
        __version__,
        rules.flows.digest,
        [[source.name, source.rank, source.domain] for source in sources],
        sorted(rules.selection.disabled),
    ]
    return {
        META_SELECTION: json.dumps(selection),
        META_FLOWS: json.dumps(flows),
        META_LIMIT: str(rules.max_group_members),
        META_KEPT: ",".join(f"{_NUMBERS[kind]:d}" for kind in sorted(rules.selection.disabled)),
    }
