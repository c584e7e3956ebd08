from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.journal import Journal
from entrasync.emulator.links import LinkPlan
from entrasync.emulator.objects import CloudObject
from entrasync.entra.contracts import SyncObjectType


def objects(count: int) -> list[CloudObject]:
    return [
        CloudObject(object_type=SyncObjectType.USER, cloud_anchor=f"User_{number}")
        for number in range(count)
    ]


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 45))
def test_what_changed_since_a_version_is_told_once_in_order(changes: list[int], since: int) -> None:
    journal, known = Journal(), objects(5)
    for number in changes:
        journal.note(known[number])

    latest = {number: version for version, number in enumerate(changes, start=1)}
    expected = sorted((v, n) for n, v in latest.items() if v > since)
    assert [each.cloud_anchor for each in journal.since(since)] == [
        f"User_{number}" for _, number in expected
    ]
    assert journal.version == len(changes)


def test_old_entries_go_and_a_reader_does_not_mind() -> None:
    journal, (first, second) = Journal(), objects(2)
    journal.note(first)
    reading = journal.since(0)
    for _ in range(10_000):
        journal.note(second)

    assert len(journal._objects) < 3_000
    assert list(journal.since(0)) == [first, second]
    assert next(reading) is first
    assert list(journal.since(journal.version)) == []


def test_writes_are_told_once() -> None:
    journal, (group,) = Journal(), objects(1)
    journal.note(group)
    journal.note(group)
    journal.note_links(group, LinkPlan(added=frozenset({"User_1"})))

    writes = journal.writes()
    assert writes.objects == (group,)
    assert [(each.group, each.added) for each in writes.links] == [
        ("User_0", frozenset({"User_1"}))
    ]
    assert journal.writes().objects == ()


def test_versions_go_on_after_a_restart() -> None:
    journal, (first, second) = Journal(), objects(2)
    first.version, second.version = 3, 7
    journal.restore(first)
    journal.restore(second)
    journal.note(first)

    assert (first.version, journal.version) == (8, 8)
    assert list(journal.since(0)) == [second, first]
    assert [each.cloud_anchor for each in journal.writes().objects] == ["User_0"]
