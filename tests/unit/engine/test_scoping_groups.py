"""What is in scoping groups is read wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from entrasync.directory.model import SourceEntry
from entrasync.engine.directory_reader import SourceReading
from entrasync.engine.kinds import describe
from entrasync.engine.scoping_groups import read_groups_within
from entrasync.state.store import Store
from tests.support.sources import guid, name_of, objects, references


def entry(name: str, *, members: Sequence[str] | None = None, deleted: bool = False) -> SourceEntry:
    kind = b"user" if members is None else b"group"
    return SourceEntry(
        guid=guid(name),
        dn=f"CN={name},DC=x",
        parent_guid=guid("root"),
        deleted=deleted,
        attributes={"objectClass": (b"top", kind)},
        members=None if members is None else tuple(map(guid, members)),
    )


class Directory:
    def __init__(self, *entries: SourceEntry) -> None:
        self.entries = {each.guid: each for each in entries}
        self.reads: list[str] = []

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        assert "objectClass" in attributes
        self.reads.append(name_of(guid))
        return self.entries.get(guid)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def readings(store: Store, *names: str) -> dict[str, SourceReading]:
    return {
        name: SourceReading(
            name=name,
            number=number,
            containers=(),
            attributes=("title",),
            digest="d",
            resource="ActiveDirectory/x",
        )
        for name, number in store.sources.open_sources(names).items()
    }


def test_members_at_any_depth_are_read_once(store: Store) -> None:
    reading = readings(store, "a")
    known = (entry("g", members=["h", "u", "gone"]), entry("u"))
    store.sources.merge(reading["a"].number, known, {}, describe=describe)
    directory = Directory(
        entry("h", members=["g", "i", "u"]),
        entry("i", members=["v"]),
        entry("v"),
        entry("gone", deleted=True),
    )

    read = read_groups_within({"a": directory}, store, reading, frozenset({guid("g")}))

    assert read == 3
    assert sorted(directory.reads) == ["gone", "h", "i", "v"]
    assert set(objects(store.database)) == {"g", "u", "h", "i", "v"}
    assert references(store.database)["h"] == {"g", "i", "u"}
    directory.reads.clear()
    assert read_groups_within({"a": directory}, store, reading, frozenset({guid("g")})) == 0
    assert directory.reads == ["gone"]


def test_a_member_may_be_of_another_source(store: Store) -> None:
    reading = readings(store, "a", "b")
    known = entry("g", members=["u", "v"])
    store.sources.merge(reading["a"].number, [known], {}, describe=describe)
    directories = {"a": Directory(entry("u")), "b": Directory(entry("v"))}

    assert read_groups_within(directories, store, reading, frozenset({guid("g")})) == 2

    sources = {name: row.source for name, row in objects(store.database).items()}
    assert sources["u"] == reading["a"].number
    assert sources["v"] == reading["b"].number


def test_without_nested_groups_nothing_is_read(store: Store) -> None:
    assert read_groups_within({}, store, {}, frozenset()) == 0
