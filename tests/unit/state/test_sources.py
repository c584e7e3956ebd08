"""The source space: what is told is known, what differs is marked, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.directory.model import SourceEntry
from entrasync.engine.kinds import describe
from entrasync.state import source_writes
from entrasync.state.database import Database
from entrasync.state.rows import guid_bytes
from entrasync.state.schema import Kind
from entrasync.state.sources import SourceSpace
from tests.support.sources import foreign, guid, name_of, objects, references, take_changes

Attributes = Mapping[str, tuple[bytes, ...]]
USER: Attributes = {"objectClass": (b"top", b"user")}
GROUP: Attributes = {"objectClass": (b"top", b"group")}
UNIT: Attributes = {"objectClass": (b"top", b"organizationalUnit")}
PRINCIPAL: Attributes = {"objectClass": (b"top", b"foreignSecurityPrincipal")}


def entry(
    name: str,
    attributes: Attributes = USER,
    *,
    parent: str | None = "root",
    dn: str | None = None,
    members: Iterable[str] | None = None,
    added: Iterable[str] = (),
    removed: Iterable[str] = (),
    foreign: Mapping[str, bytes] | None = None,
) -> SourceEntry:
    return SourceEntry(
        guid=guid(name),
        dn=dn or f"CN={name},DC=x",
        parent_guid=None if parent is None else guid(parent),
        deleted=False,
        attributes=attributes,
        members=None if members is None else tuple(map(guid, members)),
        members_added=tuple(map(guid, added)),
        members_removed=tuple(map(guid, removed)),
        foreign={guid(key): sid for key, sid in (foreign or {}).items()},
    )


def deleted(name: str) -> SourceEntry:
    return SourceEntry(guid=guid(name), dn="CN=x", parent_guid=None, deleted=True, attributes={})


def read(space: SourceSpace, source: int, *entries: SourceEntry) -> None:
    with space.full_read(source) as reading:
        for each in entries:
            kind, sid = describe(each.attributes)
            reading.take(each, kind, sid)


def merge(space: SourceSpace, source: int, *entries: SourceEntry) -> None:
    space.merge(source, entries, {}, describe=describe)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def space(database: Database) -> SourceSpace:
    return SourceSpace(database)


@pytest.fixture
def source(space: SourceSpace) -> int:
    return space.open_sources(["x"])["x"]


# --- sources -------------------------------------------------------------------------------


def test_sources_have_ranks_while_they_are_named(database: Database, space: SourceSpace) -> None:
    first = space.open_sources(["a", "b"])
    again = space.open_sources(["c", "b"])

    assert again["b"] == first["b"]
    ranks = database.connection.execute("SELECT name, rank FROM sources ORDER BY name").fetchall()
    assert ranks == [("a", None), ("b", 1), ("c", 0)]
    assert set(space.names()) == {"a", "b", "c"}


def test_another_rank_or_domain_marks_the_objects_of_a_source(
    database: Database, space: SourceSpace
) -> None:
    numbers = space.open_sources(["a", "b"])
    read(space, numbers["a"], entry("1"))
    read(space, numbers["b"], entry("2"))
    take_changes(database)

    space.open_sources(["a", "b"])
    assert take_changes(database) == (set(), set())
    space.open_sources(["b"])  # a is named no longer: what is its own stays as it is
    assert take_changes(database) == ({"2"}, set())
    space.set_domain(numbers["b"], "contoso.test")
    assert take_changes(database) == ({"2"}, set())
    space.set_domain(numbers["b"], "contoso.test")
    assert take_changes(database) == (set(), set())


# --- full reads ----------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_full_read_marks_exactly_what_differs(
    database: Database,
    space: SourceSpace,
    source: int,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    monkeypatch.setattr(source_writes, "_BATCH_ENTRIES", batch)
    read(
        space,
        source,
        entry("root", UNIT, parent=None),
        entry("same"),
        entry("title", {**USER, "title": (b"old",)}),
        entry("moves"),
        entry("kind"),
        entry("gone", GROUP, members=["same"]),
        entry("g", GROUP, members=["same", "gone", "far"]),
    )
    assert take_changes(database)[0] == {"root", "same", "title", "moves", "kind", "gone", "g"}

    read(
        space,
        source,
        entry("root", UNIT, parent=None),
        entry("same"),
        entry("title", {**USER, "title": (b"new",)}),
        entry("moves", parent="elsewhere"),
        entry("kind", GROUP, members=[]),
        entry("g", GROUP, members=["same", "gone", "new"]),
        entry("new"),
    )

    changed, links = take_changes(database)
    assert changed == {"title", "moves", "kind", "gone", "new"}
    assert links == {("gone", "same"), ("g", "far"), ("g", "new")}
    # who is not seen any more is still a member, as the group says
    assert references(database) == {"g": {"same", "gone", "new"}}
    assert objects(database)["title"].attributes == {**USER, "title": (b"new",)}
    assert objects(database)["moves"].parent == "elsewhere"
    assert objects(database)["kind"].kind == Kind.GROUP
    assert "gone" not in objects(database)


def test_the_order_of_attributes_and_empty_ones_are_no_difference(
    database: Database, space: SourceSpace, source: int
) -> None:
    read(space, source, entry("a", {"sn": (b"s",), "cn": (b"c",), **USER}))
    take_changes(database)

    read(space, source, entry("a", {"cn": (b"c",), "sn": (b"s",), "title": (), **USER}))
    assert take_changes(database) == (set(), set())
    merge(space, source, entry("a", {"sn": (b"s",)}))
    assert take_changes(database) == (set(), set())


def test_a_full_read_that_breaks_off_changes_nothing(
    database: Database, space: SourceSpace, source: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_writes, "_BATCH_ENTRIES", 1)

    def broken(fact: str) -> None:
        with space.full_read(source) as reading:
            reading.take(entry("new"), Kind.USER, None)
            database.put("cookie", fact)
            raise OSError("the server went away")

    indexes = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name"
    before = database.connection.execute(indexes).fetchall()
    with pytest.raises(OSError, match="went away"):
        broken("1")
    assert objects(database) == {}
    read(space, source, entry("old"))
    take_changes(database)
    with pytest.raises(OSError, match="went away"):
        broken("2")

    assert set(objects(database)) == {"old"}
    assert take_changes(database) == (set(), set())
    assert database.get("cookie") is None
    assert database.connection.execute(indexes).fetchall() == before


def test_each_source_forgets_its_own_only(database: Database, space: SourceSpace) -> None:
    numbers = space.open_sources(["a", "b"])
    read(space, numbers["a"], entry("1"), entry("2"))
    read(space, numbers["b"], entry("3"))
    take_changes(database)

    read(space, numbers["b"], entry("4"), entry("2"))

    assert {name: row.source for name, row in objects(database).items()} == {
        "1": numbers["a"],
        "2": numbers["b"],
        "4": numbers["b"],
    }
    assert take_changes(database) == ({"2", "3", "4"}, set())
    read(space, numbers["a"], entry("1"))  # it moved: its old home does not tell of it any more
    assert set(objects(database)) == {"1", "2", "4"}


def test_what_is_told_twice_counts_as_told_last(
    database: Database, space: SourceSpace, source: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = (entry("g", GROUP, members=["a"]), entry("g", GROUP, members=["b"], parent="p"))
    read(space, source, *twice)
    assert references(database) == {"g": {"b"}}
    monkeypatch.setattr(source_writes, "_BATCH_ENTRIES", 1)
    read(space, source, *twice)

    assert references(database) == {"g": {"b"}}
    assert objects(database)["g"].parent == "p"


def test_a_large_group_is_written_at_once(
    database: Database, space: SourceSpace, source: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_writes, "_BATCH_LINKS", 10)
    members = [str(number) for number in range(100)]
    read(space, source, entry("g", GROUP, members=members), entry("h", GROUP, members=["1"]))
    take_changes(database)

    read(space, source, entry("g", GROUP, members=members[1:]), entry("h", GROUP, members=["1"]))

    assert take_changes(database) == (set(), {("g", "0")})


@pytest.mark.parametrize("count", [1, 127, 128, 129, 1000])
def test_lists_of_any_length_are_kept(
    database: Database, space: SourceSpace, source: int, count: int
) -> None:
    members = [str(number) for number in range(count)]
    read(space, source, entry("g", GROUP, members=[*members, *members]))

    assert references(database) == {"g": set(members)}


def test_what_is_no_guid_is_refused(space: SourceSpace, source: int) -> None:
    cut = replace(entry("g", GROUP), members=(guid("a")[:-2],))

    with pytest.raises(ValueError, match="no GUID"):
        read(space, source, cut)


# --- changes -------------------------------------------------------------------------------


def test_changes_merge_clear_link_and_forget(
    database: Database, space: SourceSpace, source: int
) -> None:
    read(
        space,
        source,
        entry("g", GROUP, members=["a", "b"]),
        entry("a", {**USER, "cn": (b"a",), "objectSid": (b"\xff\x00",)}),
        entry("b", {**USER, "manager": (guid("a").encode(),)}),
        entry("c", {**USER, "manager": (guid("b").encode(),)}),
    )
    assert objects(database)["a"].sid == b"\xff\x00"
    take_changes(database)

    count = space.merge(
        source,
        [
            entry("g", {}, parent=None, added=["c"], removed=["a"]),
            entry("a", {"cn": (b"A",), "objectSid": ()}, parent=None, dn="CN=A,DC=x"),
            deleted("b"),
        ],
        {"cookie": "2"},
        describe=describe,
    )

    assert count == 3
    known = objects(database)
    assert set(known) == {"g", "a", "c"}
    assert known["a"].attributes == {**USER, "cn": (b"A",)}
    assert (known["a"].parent, known["a"].sid, known["a"].dn) == ("root", None, "CN=A,DC=x")
    assert references(database) == {"g": {"c"}}
    # c still says so, and must be found by it if b is restored
    assert references(database, "manager") == {"c": {"b"}}
    assert take_changes(database) == ({"a", "b"}, {("g", "a"), ("g", "b"), ("g", "c")})
    assert database.get("cookie") == "2"


def test_members_told_whole_replace_what_was_known(
    database: Database, space: SourceSpace, source: int
) -> None:
    read(space, source, entry("g", GROUP, members=["a", "b"]))
    take_changes(database)

    merge(space, source, entry("g", {}, members=["b", "c"]))

    assert references(database) == {"g": {"b", "c"}}
    assert take_changes(database) == (set(), {("g", "a"), ("g", "c")})


def test_a_tombstone_ends_links_of_what_was_never_in_scope(
    database: Database, space: SourceSpace, source: int
) -> None:
    read(space, source, entry("g", GROUP, members=["far"]))
    take_changes(database)

    merge(space, source, deleted("far"), deleted("never heard of"))

    assert references(database) == {}
    assert take_changes(database) == (set(), {("g", "far")})


def test_what_another_source_took_over_is_not_deleted_by_the_first(
    database: Database, space: SourceSpace
) -> None:
    numbers = space.open_sources(["a", "b"])
    read(space, numbers["a"], entry("g", GROUP, members=["u"]), entry("u", {**USER, "sn": (b"s",)}))
    merge(space, numbers["b"], entry("u", parent="there"))
    take_changes(database)

    merge(space, numbers["a"], deleted("u"))

    row = objects(database)["u"]
    assert (row.source, row.parent, row.attributes) == (numbers["b"], "there", USER)
    assert references(database) == {"g": {"u"}}
    assert take_changes(database) == (set(), set())


def test_a_group_of_another_source_may_get_members_and_stays_there(
    database: Database, space: SourceSpace
) -> None:
    numbers = space.open_sources(["a", "b"])
    read(space, numbers["a"], entry("g", GROUP, members=["u"]))
    read(space, numbers["b"], entry("v"))
    before = objects(database)
    take_changes(database)

    merge(space, numbers["b"], entry("g", {}, parent=None, added=["v"]))

    assert objects(database) == before
    assert references(database) == {"g": {"u", "v"}}
    assert take_changes(database) == (set(), {("g", "v")})


def test_references_follow_their_attribute(
    database: Database, space: SourceSpace, source: int
) -> None:
    def names(*targets: str) -> tuple[bytes, ...]:
        return tuple(guid(target).encode() for target in targets)

    # a flow may spell it in its own way
    read(space, source, entry("a", {**USER, "MANAGER": names("b"), "seeAlso": names("c", "d")}))
    assert references(database, "manager") == {"a": {"b"}}
    assert references(database, "seeAlso") == {"a": {"c", "d"}}
    take_changes(database)

    merge(space, source, entry("a", {"MANAGER": (), "seeAlso": names("d")}))

    assert references(database, "manager") == {}
    assert references(database, "seeAlso") == {"a": {"d"}}
    assert take_changes(database) == ({"a"}, set())  # links are of members only


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "deleted"])
def test_a_container_marks_all_below_even_in_a_circle(
    database: Database, space: SourceSpace, source: int, *, moved: bool
) -> None:
    read(
        space,
        source,
        entry("root", UNIT, parent="inner"),
        entry("box", UNIT),
        entry("inner", UNIT, parent="box"),
        entry("u", parent="inner"),
        entry("beside", parent="other"),
    )
    take_changes(database)

    merge(space, source, entry("box", {}, dn="CN=box,CN=new,DC=x") if moved else deleted("box"))

    assert take_changes(database)[0] == {"box", "inner", "u", "root"}


# --- foreign security principals -----------------------------------------------------------


def test_foreign_principals_are_known_by_their_sids(
    database: Database, space: SourceSpace, source: int
) -> None:
    group = entry("g", GROUP, members=["f", "a"])
    read(space, source, group)
    take_changes(database)
    read(space, source, entry("g", GROUP, members=["f", "a"], foreign={"f": b"S1"}))
    assert foreign(database) == {"f": b"S1"}
    assert take_changes(database) == (set(), {("g", "f")})

    merge(space, source, entry("f", {**PRINCIPAL, "objectSid": (b"S1",)}))
    assert take_changes(database) == ({"f"}, set())
    merge(space, source, entry("g", {}, added=["h"], foreign={"h": b"S2"}))
    assert foreign(database) == {"f": b"S1", "h": b"S2"}
    assert take_changes(database) == (set(), {("g", "h")})


@pytest.mark.parametrize("told", [read, merge])
def test_an_object_with_another_sid_is_a_member_where_that_stands(
    told: Callable[..., None], database: Database, space: SourceSpace, source: int
) -> None:
    stands = {"f": b"S1", "h": b"S2"}
    groups = entry("g", GROUP, members=["f"], foreign=stands), entry("i", GROUP, members=["h"])
    read(space, source, entry("u", {**USER, "objectSid": (b"S1",)}), entry("v"), *groups)
    for name in ("u", "v", "g", "i"):
        database.connection.execute(
            "INSERT INTO parts (object, kind, anchor) SELECT id, 1, id FROM guids WHERE guid = ?",
            (guid_bytes(guid(name)),),
        )
    # nobody knows it by its anchor so far
    assert database.connection.execute("SELECT * FROM changed_pairs").fetchall() == []
    told(space, source, entry("u", {**USER, "objectSid": (b"S2",)}), entry("v"), *groups)

    pairs = database.connection.execute(
        "SELECT o.guid, m.guid FROM changed_pairs JOIN guids o ON o.id = owner"
        " JOIN guids m ON m.id = member"
    )
    assert {(name_of(o), name_of(m)) for o, m in pairs} == {("g", "u"), ("i", "u")}


# --- lookups -------------------------------------------------------------------------------


def test_objects_and_groups_are_found_within_their_source(space: SourceSpace) -> None:
    numbers = space.open_sources(["a", "b"])
    read(
        space,
        numbers["a"],
        entry("root", UNIT, parent=None),
        entry("u"),
        entry("g", GROUP, members=["u"]),
    )
    read(space, numbers["b"], entry("h", GROUP, members=["u"]))

    found = space.find(guid("u"))
    assert found is not None
    assert (found.source, found.dn) == (numbers["a"], "CN=u,DC=x")
    assert (found.parent_guid, found.kind) == (guid("root"), Kind.USER)
    root = space.find(guid("root"))
    assert root is not None
    assert root.parent_guid is None
    assert space.find(guid("nobody")) is None
    assert space.groups_of(numbers["a"], guid("u")) == {guid("g")}
    assert space.groups_of(numbers["b"], guid("u")) == {guid("h")}


def test_unknown_members_are_found_at_any_depth(space: SourceSpace, source: int) -> None:
    read(
        space,
        source,
        entry("g", GROUP, members=["h", "u", "far"]),
        entry("h", GROUP, members=["g", "farther"]),
        entry("u"),
        entry("other", GROUP, members=["nobody asks"]),
    )

    unknown = space.unknown_within([guid("g")])

    assert {name_of(each) for each in unknown} == {"far", "farther"}
    assert space.unknown_within([]) == []


# --- against a model -----------------------------------------------------------------------

NAMES = st.sampled_from("abcde")
MEMBERS = st.one_of(st.none(), st.frozensets(NAMES, max_size=3))
OBJECT = st.tuples(NAMES, st.sampled_from(["x", "y"]), MEMBERS)
FULL = st.tuples(st.just("full"), st.lists(OBJECT, max_size=5, unique_by=lambda each: each[0]))
CHANGES = st.tuples(st.just("merge"), st.lists(st.one_of(OBJECT, NAMES), max_size=4))


@given(st.lists(st.one_of(FULL, CHANGES), max_size=5), st.sampled_from([1, 2, 100]))
def test_whatever_is_told_is_known_and_marked(
    steps: list[tuple[str, list[tuple[str, str, frozenset[str] | None] | str]]], batch: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_writes, "_BATCH_ENTRIES", batch)
        database = Database(Path(folder))
        database.connection.execute("PRAGMA synchronous = OFF")
        space = SourceSpace(database)
        source = space.open_sources(["x"])["x"]
        titles: dict[str, str] = {}
        links: dict[str, frozenset[str]] = {}
        for step, told in steps:
            before = dict(titles), _pairs(links)
            entries = []
            if step == "full":
                titles, links = {}, {}
            for each in told:
                if isinstance(each, str):
                    entries.append(deleted(each))
                    titles.pop(each, None)
                    links.pop(each, None)
                    links = {owner: members - {each} for owner, members in links.items()}
                    continue
                name, title, members = each
                entries.append(entry(name, {**GROUP, "title": (title.encode(),)}, members=members))
                titles[name] = title
                if members is not None:
                    links[name] = members
            (read if step == "full" else merge)(space, source, *entries)
            known = objects(database)
            assert {n: row.attributes["title"][0].decode() for n, row in known.items()} == titles
            assert references(database) == {owner: set(m) for owner, m in links.items() if m}
            changed, changed_links = take_changes(database)
            assert changed >= {
                name
                for name in titles.keys() | before[0].keys()
                if titles.get(name) != before[0].get(name)
            }
            assert changed_links >= _pairs(links) ^ before[1]
            if step == "full":
                assert changed_links == _pairs(links) ^ before[1]
        database.close()


def _pairs(links: Mapping[str, frozenset[str]]) -> set[tuple[str, str]]:
    return {(owner, member) for owner, members in links.items() for member in members}
