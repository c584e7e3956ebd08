"""Nothing is gone because it was not seen: what each source shows, and what all of them prove."""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from entrasync.directory.model import SourceEntry
from entrasync.engine.evidence import Observer, Sight, conclude_from, gather_evidence
from entrasync.engine.reading import FoundSources
from entrasync.engine.removals import Evidence
from entrasync.engine.scope import Scope
from entrasync.engine.selection import NO_MEMBER, Selection
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError
from entrasync.state.evaluation import Candidate

USER = {
    "objectClass": (b"top", b"user"),
    "sAMAccountName": (b"a",),
    "userAccountControl": (b"512",),
}
SCOPE = Scope(include=frozenset({"staff"}), exclude=frozenset({"service"}))


def entry(guid: str, parent: str | None, *, deleted: bool = False, **more: bytes) -> SourceEntry:
    return SourceEntry(
        guid=guid,
        dn=f"CN={guid},DC=x",
        parent_guid=parent,
        deleted=deleted,
        attributes=USER | {name: (value,) for name, value in more.items()},
    )


def hidden(guid: str, parent: str | None, **more: bytes) -> SourceEntry:
    """An object of which the account can read no more than this."""
    attributes = {name: (value,) for name, value in more.items()}
    return replace(entry(guid, parent), attributes=attributes)


class Directory:
    def __init__(self, *entries: SourceEntry, fails: EntrasyncError | None = None) -> None:
        self.entries = {each.guid: each for each in entries}
        self.fails = fails
        self.reads: list[tuple[str, tuple[str, ...]]] = []

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        self.reads.append((guid, tuple(attributes)))
        if self.fails is not None:
            raise self.fails
        return self.entries.get(guid)


TREE = (
    entry("root", None, objectClass=b"domainDNS"),
    entry("staff", "root"),
    entry("service", "staff"),
    entry("other", "root"),
    entry("nameless", None, objectClass=b"organizationalUnit"),
)


def seen(found: SourceEntry | None, *tree: SourceEntry) -> Sight:
    directory = Directory(*(tree or TREE), *([found] if found else []))
    return Observer(directory, SCOPE, ("x",)).look_at("a")


@pytest.mark.parametrize(
    ("found", "sight"),
    [
        (None, Sight.NOTHING),
        (entry("a", None, deleted=True), Sight.TOMBSTONE),
        (entry("a", "other"), Sight.OUTSIDE),
        (entry("a", "service"), Sight.OUTSIDE),
        (entry("a", "staff", isCriticalSystemObject=b"TRUE"), Sight.OUTSIDE),
        (entry("a", "staff", objectClass=b"computer"), Sight.OUTSIDE),
        (entry("a", "staff"), Sight.INSIDE),
        # somebody took away the right to read a container above it
        (entry("a", "hidden"), Sight.UNCLEAR),
        (entry("a", "nameless"), Sight.UNCLEAR),
        # or of itself: where it lies, what it is, and what every account has
        (entry("a", None), Sight.UNCLEAR),
        (hidden("a", "staff"), Sight.UNCLEAR),
        (hidden("a", "other"), Sight.UNCLEAR),
        (hidden("a", "staff", objectClass=b"user"), Sight.INSIDE),
        (hidden("a", "staff", objectClass=b"group"), Sight.INSIDE),
        (hidden("a", "staff", objectClass=b"user", sAMAccountName=b"a"), Sight.INSIDE),
    ],
)
def test_what_a_source_shows(found: SourceEntry | None, sight: Sight) -> None:
    assert seen(found) is sight


def test_a_deleted_container_above_is_no_proof() -> None:
    assert seen(entry("a", "staff2"), entry("staff2", "root", deleted=True)) is Sight.UNCLEAR


def test_a_circle_ends() -> None:
    assert seen(entry("a", "b"), entry("b", "a")) is Sight.UNCLEAR


class Rules(Selection):
    """A selection that leaves everything out that is in no group."""

    certain = True
    names_groups = True

    @override
    def left_out_by(
        self, source: SourceObject, member_of: frozenset[str] = frozenset()
    ) -> str | None:
        del source
        return None if "group" in member_of else NO_MEMBER

    @override
    def is_certain(self, kind: SourceKind, rule: str) -> bool:
        assert (kind, rule) == (SourceKind.USER, NO_MEMBER)
        return self.certain


class Doubts(Rules):
    certain = False


@pytest.mark.parametrize(
    ("selection", "groups", "sight"),
    [
        (Rules(), {}, Sight.OUTSIDE),
        # it says itself that it is in it
        (Rules(), {"memberOf": b"group"}, Sight.INSIDE),
        # not all of the group could be seen
        (Doubts(), {}, Sight.INSIDE),
    ],
)
def test_scoping_groups_leave_out_what_is_certainly_in_none(
    selection: Selection, groups: dict[str, bytes], sight: Sight
) -> None:
    directory = Directory(*TREE, entry("a", "staff", deleted=False, **groups))

    assert Observer(directory, SCOPE, ("x",), selection).look_at("a") is sight
    assert directory.reads[0] == ("a", ("x", "memberOf"))


def test_who_cannot_look_has_seen_nothing_and_a_lost_directory_is_asked_no_more() -> None:
    refused = Directory(fails=ConfigurationError("Odd", "this one answer is odd"))
    observer = Observer(refused, SCOPE, ())
    assert [observer.look_at("a"), observer.look_at("b")] == [Sight.UNCLEAR, Sight.UNCLEAR]
    assert len(refused.reads) == 2

    lost = Directory(fails=TransientError("ServerUnreachable", "gone"))
    observer = Observer(lost, SCOPE, ())
    assert [observer.look_at("a"), observer.look_at("b")] == [Sight.UNCLEAR, Sight.UNCLEAR]
    assert len(lost.reads) == 1


@pytest.mark.parametrize(
    ("sights", "evidence"),
    [
        ((), Evidence.UNKNOWN),
        ((Sight.NOTHING,), Evidence.UNKNOWN),
        ((Sight.TOMBSTONE,), Evidence.DELETED),
        ((Sight.OUTSIDE,), Evidence.OUT_OF_SCOPE),
        # it is there and in scope: not having seen it before proves nothing
        ((Sight.INSIDE,), Evidence.UNKNOWN),
        ((Sight.UNCLEAR,), Evidence.UNKNOWN),
        ((Sight.TOMBSTONE, Sight.NOTHING), Evidence.DELETED),
        # it moved to another domain, and out of scope there
        ((Sight.TOMBSTONE, Sight.OUTSIDE), Evidence.OUT_OF_SCOPE),
        # and in scope there
        ((Sight.TOMBSTONE, Sight.INSIDE), Evidence.MOVED),
        ((Sight.TOMBSTONE, Sight.INSIDE, Sight.NOTHING), Evidence.MOVED),
        ((Sight.TOMBSTONE, Sight.INSIDE, Sight.UNCLEAR), Evidence.UNKNOWN),
        ((Sight.TOMBSTONE, Sight.UNCLEAR), Evidence.UNKNOWN),
        ((Sight.OUTSIDE, Sight.INSIDE), Evidence.UNKNOWN),
        ((Sight.OUTSIDE, Sight.UNCLEAR), Evidence.UNKNOWN),
        ((Sight.NOTHING, Sight.NOTHING), Evidence.UNKNOWN),
    ],
)
def test_what_all_sources_prove(sights: tuple[Sight, ...], evidence: Evidence) -> None:
    for order in itertools.permutations(sights):
        assert conclude_from(order) is evidence


class Evaluation:
    """Candidates, and the evidence written of them."""

    def __init__(self, *candidates: Candidate) -> None:
        self._candidates = candidates
        self.evidence: dict[int, str] = {}

    def candidates(self) -> Iterator[Candidate]:
        return iter(self._candidates)

    def candidate_count(self) -> int:
        return len(self._candidates)

    def set_evidence(self, number: int, evidence: str) -> None:
        self.evidence[number] = evidence


class Store:
    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    def transaction(self) -> Any:
        return pytest.MonkeyPatch.context()  # any context manager


def candidate(number: int, guid: str | None, anchor: str = "anchor") -> Candidate:
    return Candidate(number=number, anchor=anchor, object_type="User", guid=guid, evidence=None)


def test_candidates_are_looked_for_in_every_source() -> None:
    raw = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    told = str(raw)
    evaluation = Evaluation(
        candidate(1, "moved"),
        candidate(2, "deleted"),
        candidate(3, "here"),
        # nothing but the anchor says whose it was
        candidate(4, None, base64.b64encode(raw.bytes_le).decode()),
        candidate(5, None, "no base64!"),
        candidate(6, "nowhere"),
        candidate(7, "came in"),
    )
    one = Directory(
        *TREE, *(entry(guid, None, deleted=True) for guid in ("moved", "deleted", "came in"))
    )
    other = Directory(
        *TREE,
        entry("moved", "other"),
        entry("here", "staff"),
        entry(told, "other"),
        entry("came in", "staff"),
    )
    found = FoundSources(
        scopes={"one": SCOPE, "other": SCOPE},
        group_guids={},
        attributes={"one": ("x",), "other": ("y",)},
        pinned=(),
    )
    steps: list[tuple[int, int | None]] = []
    store: Any = Store(evaluation)

    gather_evidence(
        {"one": one, "other": other},
        found,
        Selection(),
        store,
        lambda done, total: steps.append((done, total)),
    )

    assert evaluation.evidence == {
        1: Evidence.OUT_OF_SCOPE,
        2: Evidence.DELETED,
        3: Evidence.UNKNOWN,
        4: Evidence.OUT_OF_SCOPE,
        5: Evidence.UNKNOWN,
        6: Evidence.UNKNOWN,
        7: Evidence.MOVED,
    }
    assert steps == [(7, 7)]
    assert ("moved", ("x",)) in one.reads
    assert ("moved", ("y",)) in other.reads
