"""Which objects of several sources are one, and the anchor that each belongs to.

An equal anchor joins always; a key only when no source has two with it. Nothing here depends on the
order in which objects were read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from entrasync.api.choices import JoinBy
from entrasync.engine.source import SourceObject
from entrasync.state.clusters import Assignment, Member

ANCHOR_CHANGED: Final = "AnchorChanged"
ANCHOR_MISSING: Final = "AnchorMissing"
DUPLICATE_ANCHOR: Final = "DuplicateAnchor"
AMBIGUOUS_JOIN: Final = "AmbiguousJoin"

_MESSAGES: Final = {
    ANCHOR_CHANGED: (
        "the tenant holds it under this anchor, and its mS-DS-ConsistencyGuid gives another one"
        " now; set that back, the cloud object stays as it is meanwhile"
    ),
    ANCHOR_MISSING: (
        "the attribute that anchors come from has no value that can be one: it must be shorter than"
        " 60 characters, of which those that are no letters or digits count three, without"
        " characters such as @ _ # or /; set it, nothing is exported meanwhile"
    ),
    DUPLICATE_ANCHOR: (
        "another object in scope has the same mS-DS-ConsistencyGuid; clear it on one of them,"
        " neither is exported meanwhile"
    ),
    AMBIGUOUS_JOIN: (
        "it is joined with an object of an earlier source, and both are in the tenant already; make"
        " them differ in what joins them, or delete one of them, it stays as it is meanwhile"
    ),
}
_OTHER_ATTRIBUTE: Final = "mS-DS-ConsistencyGuid"
_MASTER_SID: Final = "msExchMasterAccountSID"


def join_key(source: SourceObject, join_by: JoinBy) -> str | None:
    """What an object of another source must have as well to be the same person.

    Args:
        source: a user.
        join_by: what tells.
    """
    if join_by is JoinBy.MAIL:
        mail = source.text("mail")
        return None if mail is None else mail.casefold()
    if join_by is JoinBy.OBJECT_SID:
        for name in (_MASTER_SID, "objectSid"):
            raw = source.raw(name)
            if raw:
                return raw.hex()
    return None


@dataclass(slots=True, kw_only=True)
class Joined:
    """What became of objects that might belong together.

    Attributes:
        assignments: where it is another one than before.
        ambiguous_keys: keys that several objects of one source have.
    """

    assignments: list[Assignment] = field(default_factory=list)
    ambiguous_keys: int = 0


def join(members: Sequence[Member], attribute: str = _OTHER_ATTRIBUTE) -> Joined:
    """Ties objects to cloud objects.

    Args:
        members: whole clusters: everybody who shares an anchor or a key with one of them is here.
        attribute: where anchors come from, for messages.
    """
    found = Joined()
    clusters = _clusters(members, found)
    results = {
        each.object: assignment for cluster in clusters for each, assignment in _assign(cluster)
    }
    _settle_collisions(members, clusters, results)
    for each in members:
        anchor, reason = results[each.object]
        if each.rank is not None and (anchor, reason) != (each.anchor, each.withheld):
            message = None if reason is None else _MESSAGES[reason]
            found.assignments.append(
                Assignment(
                    each.object,
                    anchor,
                    reason,
                    message and message.replace(_OTHER_ATTRIBUTE, attribute),
                )
            )
    return found


_Outcome = tuple[int | None, str | None]


def _computed(each: Member) -> int | None:
    """What gives an object its anchor; one of a source that rests has it for good."""
    return each.anchor if each.rank is None else each.computed


def _pin(each: Member) -> int | None:
    return each.anchor if each.rank is None else each.pin


class _Forest:
    """Objects that belong together, by one of them."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._parents = {number: number for number in numbers}

    def find(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def unite(self, numbers: Iterable[int]) -> None:
        roots = sorted(map(self.find, numbers))
        for root in roots[1:]:
            self._parents[root] = roots[0]

    def groups(self, members: Iterable[Member]) -> list[list[Member]]:
        found: defaultdict[int, list[Member]] = defaultdict(list)
        for each in members:
            found[self.find(each.object)].append(each)
        return list(found.values())


def _clusters(members: Sequence[Member], found: Joined) -> list[list[Member]]:
    """Objects that are one: by anchor, then by key where that is beyond doubt."""
    by_anchor = _Forest(each.object for each in members)
    for same in _grouped(members, _computed):
        by_anchor.unite(each.object for each in same)
    keyed = [each for each in members if each.key is not None]
    doubtful: list[list[Member]] = []
    sure: list[list[Member]] = []
    for same in _grouped(keyed, lambda each: each.key):
        (sure if _one_each(same) else doubtful).append(same)
    found.ambiguous_keys += len(doubtful)
    whole = _Forest(each.object for each in members)
    for cluster in (*by_anchor.groups(members), *sure):
        whole.unite(each.object for each in cluster)
    clusters: list[list[Member]] = []
    for cluster in whole.groups(members):
        if _one_each(cluster):
            clusters.append(cluster)
            continue
        # keys that would make one person of two of the same source join nobody
        parts = by_anchor.groups(cluster)
        found.ambiguous_keys += len(parts) > 1
        clusters += parts
    return clusters


def _grouped(
    members: Iterable[Member], key_of: Callable[[Member], int | str | None]
) -> list[list[Member]]:
    groups: defaultdict[int | str, list[Member]] = defaultdict(list)
    for each in members:
        key = key_of(each)
        if key is not None:
            groups[key].append(each)
    return [group for group in groups.values() if len(group) > 1]


def _one_each(members: Iterable[Member]) -> bool:
    """Whether no source has two of them, and all are of one kind."""
    found = list(members)
    sources = Counter(each.source for each in found)
    return len(sources) == len(found) and len({each.kind for each in found}) == 1


def _assign(cluster: list[Member]) -> list[tuple[Member, _Outcome]]:
    """The anchor of objects that are one."""
    if not _one_each(cluster):
        return [(each, _duplicate(each)) for each in cluster]
    ordered = sorted((each for each in cluster if not each.follows), key=_precedence)
    computed = [_computed(each) for each in ordered]
    pins = [pin for pin in map(_pin, ordered) if pin is not None]
    anchor = pins[0] if pins else next((each for each in computed if each is not None), None)
    outcomes: list[tuple[Member, _Outcome]] = []
    for each in ordered:
        pin = _pin(each)
        if pin is not None and pin != anchor:
            outcomes.append((each, (pin, AMBIGUOUS_JOIN)))
        elif all(number is None for number in computed):
            outcomes.append((each, (anchor, ANCHOR_MISSING)))
        elif anchor not in computed:
            outcomes.append((each, (anchor, ANCHOR_CHANGED)))
        else:
            outcomes.append((each, (anchor, None)))
    followed = anchor if any(reason is None for _, (_, reason) in outcomes) else None
    return outcomes + [(each, (followed, None)) for each in cluster if each.follows]


def _duplicate(each: Member) -> _Outcome:
    if each.follows:
        return None, None
    pin, computed = _pin(each), _computed(each)
    anchor = computed if pin is None else pin
    if anchor is None:
        return None, ANCHOR_MISSING
    return anchor, ANCHOR_CHANGED if anchor != computed else DUPLICATE_ANCHOR


def _precedence(each: Member) -> tuple[bool, int, int]:
    return (each.rank is None, each.rank or 0, each.object)


def _settle_collisions(
    members: Sequence[Member], clusters: Sequence[list[Member]], results: dict[int, _Outcome]
) -> None:
    """Withholds objects that are not one and would be the same cloud object.

    Who was exported under an anchor and still gives it keeps it from those whose anchor changed.
    """
    cluster_of = {each.object: index for index, cluster in enumerate(clusters) for each in cluster}
    holders: defaultdict[int, list[Member]] = defaultdict(list)
    for each in members:
        anchor = results[each.object][0]
        if anchor is not None:
            holders[anchor].append(each)
    for anchor, holding in holders.items():
        if len({cluster_of[each.object] for each in holding}) < 2:  # noqa: PLR2004  - several
            continue
        free = [each for each in holding if results[each.object][1] is None]
        rightful = {
            cluster_of[each.object] for each in free if _pin(each) == anchor == _computed(each)
        }
        alone = len({cluster_of[each.object] for each in free}) == 1
        for each in free:
            if not (alone and cluster_of[each.object] in rightful):
                results[each.object] = (anchor, DUPLICATE_ANCHOR)
