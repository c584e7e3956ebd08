from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.model import ChangePage, Container, SourceEntry
from entrasync.engine import change_resolver, importing
from entrasync.engine.directory_reader import SourceReading
from entrasync.engine.importing import (
    META_FULL_READ,
    forget_cookie,
    forget_cookies,
    full_read_due,
    import_changes,
    import_full,
    key_of,
    usable_cookie,
)
from entrasync.errors import BlockedError, TransientError
from entrasync.state.schema import Kind
from entrasync.state.store import Store
from tests.support.sources import guid as guid_for
from tests.support.sources import name_of, objects, references, take_changes

ATTRIBUTES = ("objectClass", "title", "sn", "publicDelegates")
ROOT = Container(guid=guid_for("ou"), dn="OU=Staff,DC=x")
READING = SourceReading(
    name="x",
    number=1,
    containers=(ROOT,),
    attributes=ATTRIBUTES,
    digest="d1",
    resource="ActiveDirectory/x",
)


def guids(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(guid_for, names))


def entry(
    name: str,
    parent: str | None,
    /,
    *,
    kind: str = "user",
    dn: str = "",
    members: tuple[str, ...] | None = None,
    **attributes: str,
) -> SourceEntry:
    return SourceEntry(
        guid=guid_for(name),
        dn=dn or f"CN={name},OU=Staff,DC=x",
        parent_guid=None if parent is None else guid_for(parent),
        deleted=False,
        attributes={
            "objectClass": (b"top", kind.encode()),
            **{key: (value.encode(),) if value else () for key, value in attributes.items()},
        },
        members=None if members is None else guids(members),
    )


def change(
    name: str,
    dn: str = "",
    *,
    parent: str | None = None,
    deleted: bool = False,
    attributes: dict[str, tuple[bytes, ...]] | None = None,
    members: tuple[str, ...] | None = None,
    added: tuple[str, ...] = (),
    removed: tuple[str, ...] = (),
) -> SourceEntry:
    return SourceEntry(
        guid=guid_for(name),
        dn=dn or f"CN={name},OU=Staff,DC=x",
        parent_guid=None if parent is None else guid_for(parent),
        deleted=deleted,
        attributes=attributes or {},
        members=None if members is None else guids(members),
        members_added=guids(added),
        members_removed=guids(removed),
    )


class Directory:
    """A directory in memory: a tree of entries, and changes to tell."""

    def __init__(self, *entries: SourceEntry) -> None:
        self.entries = {each.guid: each for each in entries}
        self.pages: list[ChangePage] = []
        self.reads: list[str] = []
        self.failure: Exception | None = None

    def read_all(self, base_dn: str, attributes: Sequence[str]) -> Iterator[SourceEntry]:
        del attributes
        self.reads.append(base_dn)
        yield from [e for e in self.entries.values() if e.dn.endswith(base_dn)]
        if self.failure is not None:
            raise self.failure

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        del attributes
        self.reads.append(name_of(guid))
        return self.entries.get(guid)

    def current_cookie(self) -> bytes:
        return b"c1"

    def changes(self, cookie: bytes, attributes: Sequence[str]) -> Iterator[ChangePage]:
        del cookie, attributes
        if self.failure is not None:
            raise self.failure
        yield from self.pages

    def tell(self, *entries: SourceEntry) -> None:
        self.pages = [
            ChangePage(entries=(each,), cookie=b"c2", more=number + 1 < len(entries))
            for number, each in enumerate(entries)
        ]


NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
STAFF = entry("ou", "root", kind="organizationalUnit", dn="OU=Staff,DC=x")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        assert opened.sources.open_sources(["x"]) == {"x": READING.number}
        yield opened


def full(directory: Directory, store: Store) -> int:
    return import_full(directory, store, READING, NOW, lambda _: None)


def delta(directory: Directory, store: Store) -> int:
    cookie = usable_cookie(store, "x", "d1")
    assert cookie is not None
    return import_changes(directory, store, READING, cookie, lambda _: None)


def test_a_full_read_replaces_everything_and_keeps_its_cookie(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"), entry("g", "ou", kind="group", members=("a",)))

    assert full(directory, store) == 3

    assert set(objects(store.database)) == {"ou", "a", "g"}
    assert references(store.database) == {"g": {"a"}}
    assert usable_cookie(store, "x", "d1") == b"c1"


def test_another_scope_or_a_forgotten_cookie_needs_a_full_read(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)

    assert usable_cookie(store, "x", "d2") is None
    forget_cookie(store, "x")
    assert usable_cookie(store, "x", "d1") is None


def test_an_empty_source_is_an_error_and_forgets_nothing(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)

    with pytest.raises(BlockedError) as caught:
        full(Directory(STAFF), store)

    assert caught.value.reason == "SourceEmpty"
    assert set(objects(store.database)) == {"ou", "a"}


def test_a_read_that_breaks_off_forgets_nothing(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)
    broken = Directory(STAFF, entry("b", "ou"))
    broken.failure = TransientError("ServerUnreachable", "gone")

    with pytest.raises(TransientError):
        full(broken, store)

    assert set(objects(store.database)) == {"ou", "a"}


def test_a_delta_changes_what_is_known(store: Store) -> None:
    directory = Directory(
        STAFF,
        entry("a", "ou", title="old", sn="x"),
        entry("b", "ou"),
        entry("g", "ou", kind="group", members=("a", "b")),
    )
    full(directory, store)
    directory.tell(
        change("a", attributes={"title": (b"new",), "sn": ()}),
        change("g", added=("c",), removed=("a",)),
        change("b", deleted=True),
    )

    assert delta(directory, store) == 3

    known = objects(store.database)
    assert known["a"].attributes == {"objectClass": (b"top", b"user"), "title": (b"new",)}
    assert known["a"].parent == "ou"
    assert "b" not in known
    # b was deleted: its link ends without a word from the group
    assert references(store.database) == {"g": {"c"}}
    assert usable_cookie(store, "x", "d1") == b"c2"


def test_a_new_object_is_read_whole(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.entries[guid_for("n")] = entry("n", "ou", title="t", kind="group", members=("a",))
    directory.tell(change("n", parent="ou"))

    delta(directory, store)

    assert objects(store.database)["n"].attributes["title"] == (b"t",)
    assert references(store.database) == {"n": {"a"}}


def test_a_new_object_in_a_new_container_is_read_whichever_comes_first(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.entries[guid_for("sub")] = entry(
        "sub", "ou", kind="organizationalUnit", dn="OU=Sub,OU=Staff,DC=x"
    )
    directory.entries[guid_for("n")] = entry("n", "sub", dn="CN=n,OU=Sub,OU=Staff,DC=x")
    directory.tell(change("n", parent="sub"), change("sub", parent="ou"))

    delta(directory, store)

    assert {"sub", "n"} <= set(objects(store.database))


def test_what_lies_elsewhere_is_neither_read_nor_kept(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.reads.clear()
    directory.tell(
        change("other", dn="CN=o,OU=Other,DC=x", parent="elsewhere"),
        change("far", dn="CN=f,OU=Other,DC=x", attributes={"title": (b"t",)}),
    )

    delta(directory, store)

    assert directory.reads == []
    assert set(objects(store.database)) == {"ou", "a"}


def test_an_unknown_object_in_scope_is_read_although_it_did_not_move(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.entries[guid_for("n")] = entry("n", "ou")
    directory.tell(change("n", attributes={"title": (b"t",)}))

    delta(directory, store)

    assert "n" in objects(store.database)


def test_a_container_that_moves_in_brings_what_it_holds(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    moved = entry("box", "ou", kind="organizationalUnit", dn="OU=Box,OU=Staff,DC=x")
    directory.entries[guid_for("box")] = moved
    directory.entries[guid_for("n")] = entry("n", "box", dn="CN=n,OU=Box,OU=Staff,DC=x")
    directory.tell(change("box", dn=moved.dn, parent="ou"))

    delta(directory, store)

    assert {"box", "n"} <= set(objects(store.database))


def test_a_container_that_comes_back_is_read_again(store: Store) -> None:
    box = entry("box", "ou", kind="organizationalUnit", dn="OU=Box,OU=Staff,DC=x")
    directory = Directory(
        STAFF, box, entry("a", "ou"), entry("n", "box", dn="CN=n,OU=Box,OU=Staff,DC=x", title="t")
    )
    full(directory, store)
    directory.tell(change("box", dn="OU=Box,DC=x", parent="elsewhere"))
    delta(directory, store)
    assert objects(store.database)["box"].parent == "elsewhere"
    # while it was away, n lost its title and m was made
    directory.entries[guid_for("n")] = entry("n", "box", dn="CN=n,OU=Box,OU=Staff,DC=x")
    directory.entries[guid_for("m")] = entry("m", "box", dn="CN=m,OU=Box,OU=Staff,DC=x")
    directory.tell(change("box", dn=box.dn, parent="ou"))

    delta(directory, store)

    known = objects(store.database)
    assert known["box"].parent == "ou"
    assert "title" not in known["n"].attributes
    assert "m" in known


def test_a_renamed_root_takes_its_new_name(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    renamed = replace(READING, containers=(Container(guid=guid_for("ou"), dn="OU=People,DC=x"),))

    import_changes(directory, store, renamed, b"c1", lambda _: None)

    assert objects(store.database)["ou"].dn == "OU=People,DC=x"
    assert objects(store.database)["ou"].parent == "root"


def test_a_rejected_cookie_changes_nothing(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.failure = CookieRejectedError("no")

    with pytest.raises(CookieRejectedError):
        delta(directory, store)

    assert usable_cookie(store, "x", "d1") == b"c1"


def test_a_rename_changes_the_common_name_too(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou", cn="old", name="old"))
    full(directory, store)
    directory.tell(change("a", parent="ou", attributes={"name": (b"new",)}))

    delta(directory, store)

    assert objects(store.database)["a"].attributes["cn"] == (b"new",)


TEAM = entry("g", "ou", kind="group", members=("a", "b"))


def restored(guid: str) -> SourceEntry:
    return change(guid, parent="ou", attributes={"isDeleted": ()})


def test_what_was_deleted_and_restored_is_forgotten_and_read_again(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou", title="Chief", sn="Old"), entry("b", "ou"), TEAM)
    full(directory, store)
    # little is left of it, and its group has lost it without a word
    directory.entries[guid_for("a")] = entry("a", "ou", sn="New")
    directory.tell(restored("a"))

    delta(directory, store)

    assert objects(store.database)["a"].attributes == {
        "objectClass": (b"top", b"user"),
        "sn": (b"New",),
    }
    assert references(store.database) == {"g": {"b"}}


def test_the_restored_are_in_the_groups_they_say_and_those_that_say_so(store: Store) -> None:
    other = entry("h", "ou", kind="group", members=())
    directory = Directory(STAFF, entry("a", "ou"), entry("b", "ou"), TEAM, other)
    full(directory, store)
    directory.entries[guid_for("a")] = entry("a", "ou", memberOf=guid_for("g"))
    directory.tell(change("h", added=("a",)), restored("a"))

    delta(directory, store)

    assert references(store.database) == {"g": {"a", "b"}, "h": {"a"}}
    assert "memberOf" not in objects(store.database)["a"].attributes


def test_a_new_object_is_in_the_known_groups_it_names_and_no_others(store: Store) -> None:
    alone = entry("g", "ou", kind="group", members=("b",))
    directory = Directory(STAFF, entry("b", "ou"), alone)
    full(directory, store)
    directory.entries[guid_for("a")] = entry("a", "ou", memberOf=guid_for("g"))
    directory.entries[guid_for("c")] = entry("c", "ou", memberOf=guid_for("elsewhere"))
    directory.tell(change("a", parent="ou"), change("c", parent="ou"))

    delta(directory, store)

    assert references(store.database) == {"g": {"a", "b"}}
    assert set(objects(store.database)) == {"ou", "a", "b", "c", "g"}


@pytest.mark.parametrize(
    ("members", "left"), [(("b",), {"b"}), (("a", "b"), {"a", "b"})], ids=["gone", "hidden"]
)
def test_a_group_an_object_no_longer_names_is_asked_itself(
    store: Store, members: tuple[str, ...], left: set[str]
) -> None:
    directory = Directory(STAFF, entry("a", "ou"), entry("b", "ou"), TEAM)
    full(directory, store)
    directory.entries[guid_for("g")] = entry("g", "ou", kind="group", members=members)
    directory.reads.clear()
    directory.tell(change("a", parent="ou", attributes={"memberOf": ()}))

    delta(directory, store)

    assert directory.reads == ["g"]
    assert references(store.database) == {"g": left}


def test_a_group_that_came_itself_is_not_asked_again(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"), entry("b", "ou"), TEAM)
    full(directory, store)
    directory.reads.clear()
    directory.tell(
        change("a", parent="ou", attributes={"memberOf": ()}),
        change("g", parent="ou", members=("b",), attributes={"memberOf": ()}),
    )

    delta(directory, store)

    assert directory.reads == []
    assert references(store.database) == {"g": {"b"}}


@pytest.mark.parametrize(
    ("hours", "method", "due"),
    [
        (22, ("DirSync", "ObjectSecurity"), False),
        (23, ("DirSync", "ObjectSecurity"), True),
        (23, ("UsnChanged", "DirSyncNotOffered"), True),
        (9000, ("DirSync", "ReplicationRightGranted"), False),
        (-1, ("DirSync", "ObjectSecurity"), True),  # the clock was set back
    ],
)
def test_everything_is_read_daily_where_not_every_change_is_told(
    store: Store, hours: int, method: tuple[str, str], *, due: bool
) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)

    assert full_read_due(store, "x", method, NOW + dt.timedelta(hours=hours)) is due


def test_a_full_read_of_an_unknown_time_is_done_again(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)
    store.put(key_of(META_FULL_READ, "x"), None)

    assert full_read_due(store, "x", ("DirSync", "ObjectSecurity"), NOW)


BOX = entry("box", "ou", kind="organizationalUnit", dn="OU=Box,OU=Staff,DC=x")
DELEGATES = (guid_for("b").encode(), guid_for("c").encode())


def test_what_an_object_is_goes_by_its_classes(store: Store) -> None:
    contact = entry("c", "ou", kind="contact", objectSid="S")
    full(Directory(STAFF, entry("a", "ou"), contact, entry("p", "ou", kind="printQueue")), store)

    known = objects(store.database)
    assert {name: row.kind for name, row in known.items()} == {
        "ou": Kind.CONTAINER,
        "a": Kind.USER,
        "c": Kind.CONTACT,
        "p": Kind.OTHER,
    }
    assert known["c"].sid == b"S"


def test_a_second_full_read_of_the_same_marks_nothing(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou", title="t"), TEAM)
    full(directory, store)
    assert take_changes(store.database) == ({"ou", "a", "g"}, {("g", "a"), ("g", "b")})

    full(directory, store)

    assert take_changes(store.database) == (set(), set())


def test_containers_inside_others_are_read_once(store: Store) -> None:
    directory = Directory(STAFF, BOX, entry("a", "ou"), TEAM)
    inside = (Container(guid=BOX.guid, dn=BOX.dn), ROOT)
    group = Container(guid=TEAM.guid, dn=TEAM.dn)
    far = entry("far", "elsewhere", kind="group", dn="CN=far,OU=Other,DC=x", members=())
    directory.entries[far.guid] = far
    reading = replace(
        READING, containers=inside, groups=(group, Container(guid=far.guid, dn=far.dn))
    )

    assert import_full(directory, store, reading, NOW, lambda _: None) == 5

    assert directory.reads == [ROOT.dn, far.dn]


def test_a_renamed_container_marks_what_is_below_and_nothing_else(store: Store) -> None:
    inner = entry("inner", "box", kind="organizationalUnit", dn="OU=Inner,OU=Box,OU=Staff,DC=x")
    deep = entry("deep", "inner", dn="CN=deep,OU=Inner,OU=Box,OU=Staff,DC=x")
    directory = Directory(STAFF, BOX, inner, deep, entry("a", "ou"), TEAM)
    full(directory, store)
    take_changes(store.database)
    directory.tell(change("box", "OU=Chest,OU=Staff,DC=x", parent="ou"))

    delta(directory, store)

    assert take_changes(store.database) == ({"box", "inner", "deep"}, set())


def test_one_member_added_marks_one_link(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"), TEAM)
    full(directory, store)
    take_changes(store.database)
    directory.tell(change("g", added=("a", "c"), removed=("b", "d")))

    delta(directory, store)

    # a was in it and d was not: being told again changes nothing
    assert take_changes(store.database) == (set(), {("g", "c"), ("g", "b")})


@pytest.mark.parametrize("further", [{}, {"memberOf": ()}], ids=["part", "whole"])
@pytest.mark.parametrize(
    ("told", "named"),
    [(DELEGATES, {"b", "c"}), (DELEGATES[1:], {"c"}), ((), set())],
    ids=["more", "others", "none"],
)
def test_references_are_told_as_a_whole_and_not_read_again(
    store: Store,
    told: tuple[bytes, ...],
    named: set[str],
    further: dict[str, tuple[bytes, ...]],
) -> None:
    directory = Directory(STAFF, entry("a", "ou", publicDelegates=guid_for("b"), sn="x"))
    full(directory, store)
    directory.reads.clear()
    directory.tell(change("a", attributes={"publicDelegates": told, **further}))

    delta(directory, store)

    assert directory.reads == []
    known = objects(store.database)["a"].attributes
    assert known.get("publicDelegates", ()) == told
    assert known["sn"] == (b"x",)
    assert references(store.database, "publicDelegates") == ({"a": named} if named else {})


def test_what_moved_to_another_domain_keeps_its_links(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou", title="t"), entry("b", "ou"), TEAM)
    full(directory, store)
    take_changes(store.database)
    directory.tell(change("a", deleted=True), change("b", deleted=True))
    moved = {guid_for("a"): entry("a", "away", dn="CN=a,OU=Away,DC=y", title="other")}

    import_changes(directory, store, READING, b"c1", lambda _: None, moved.get)

    known = objects(store.database)
    assert (known["a"].parent, known["a"].dn) == ("away", "CN=a,OU=Away,DC=y")
    assert known["a"].attributes["title"] == (b"t",)
    assert "b" not in known
    assert references(store.database) == {"g": {"a"}}
    assert take_changes(store.database) == ({"a", "b"}, {("g", "b")})


def test_another_source_takes_over_what_moved_to_it(store: Store) -> None:
    home = Directory(STAFF, entry("a", "ou", title="t", sn="old"), entry("b", "ou"), TEAM)
    full(home, store)
    numbers = store.sources.open_sources(["x", "y"])
    other = replace(
        READING,
        name="y",
        number=numbers["y"],
        containers=(Container(guid=guid_for("away"), dn="OU=Away,DC=y"),),
    )
    away = entry("away", None, kind="organizationalUnit", dn="OU=Away,DC=y")
    there = Directory(away, entry("c", "away", dn="CN=c,OU=Away,DC=y"))
    import_full(there, store, other, NOW, lambda _: None)
    there.entries[guid_for("a")] = entry("a", "away", dn="CN=a,OU=Away,DC=y", title="new")
    there.tell(change("a", "CN=a,OU=Away,DC=y", parent="away"))
    home.tell(change("a", deleted=True))

    import_changes(there, store, other, b"c1", lambda _: None)
    delta(home, store)

    row = objects(store.database)["a"]
    assert (row.source, row.parent) == (numbers["y"], "away")
    assert row.attributes == {"objectClass": (b"top", b"user"), "title": (b"new",)}
    assert references(store.database) == {"g": {"a", "b"}}
    # a full read of the old home does not touch it either
    del home.entries[guid_for("a")]
    full(home, store)
    assert objects(store.database)["a"] == row


def test_the_restored_are_in_the_groups_of_other_sources_that_they_say(store: Store) -> None:
    home = Directory(STAFF, TEAM)
    full(home, store)
    numbers = store.sources.open_sources(["x", "y"])
    box = Container(guid=BOX.guid, dn=BOX.dn)
    other = replace(READING, name="y", number=numbers["y"], containers=(box,))
    there = Directory(BOX, entry("a", "box", dn=f"CN=a,{BOX.dn}"))
    import_full(there, store, other, NOW, lambda _: None)
    there.entries[guid_for("a")] = entry("a", "box", dn=f"CN=a,{BOX.dn}", memberOf=guid_for("g"))
    there.tell(change("a", f"CN=a,{BOX.dn}", parent="box", attributes={"isDeleted": ()}))

    import_changes(there, store, other, b"c1", lambda _: None)

    assert references(store.database) == {"g": {"a", "b"}}
    assert objects(store.database)["g"].source == READING.number


def test_where_very_much_changed_everything_is_to_be_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    for module in (change_resolver, importing):
        monkeypatch.setattr(module, "MOST_ENTRIES", 2)
    directory.tell(*(change(name, attributes={"sn": (b"x",)}) for name in "abc"))
    with pytest.raises(CookieRejectedError, match="More than 2"):
        delta(directory, store)

    for name in "pqr":
        directory.entries[guid_for(name)] = entry(name, "box", dn=f"CN={name},{BOX.dn}")
    directory.entries[BOX.guid] = BOX
    directory.tell(change("box", BOX.dn, parent="ou"))
    with pytest.raises(CookieRejectedError):
        delta(directory, store)

    assert set(objects(store.database)) == {"ou", "a"}


def test_each_source_has_a_cookie_of_its_own(store: Store) -> None:
    store.sources.open_sources(["x", "y"])
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    reading = replace(READING, name="y", number=2)
    import_full(Directory(STAFF, entry("b", "ou")), store, reading, NOW, lambda _: None)

    forget_cookie(store, "y")
    assert usable_cookie(store, "x", "d1") == b"c1"
    assert usable_cookie(store, "y", "d1") is None

    forget_cookies(store)
    assert usable_cookie(store, "x", "d1") is None


def test_without_changes_no_table_is_looked_through(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"), TEAM)
    full(directory, store)
    take_changes(store.database)
    directory.pages = [ChangePage(entries=(), cookie=b"c2", more=False)]
    connection = store.database.connection
    statements: list[str] = []
    connection.set_trace_callback(statements.append)

    delta(directory, store)

    connection.set_trace_callback(None)
    plans = [
        str(row[3])
        for statement in statements
        if statement.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"))
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert statements
    assert [plan for plan in plans if plan.startswith("SCAN")] == []
    assert take_changes(store.database) == (set(), set())


def test_what_names_the_restored_is_read_again(store: Store) -> None:
    boss = entry("a", "ou", sn="Boss")
    directory = Directory(STAFF, boss, entry("b", "ou", publicDelegates=guid_for("a"), sn="x"))
    full(directory, store)
    assert references(store.database, "publicDelegates") == {"b": {"a"}}
    # its deletion ended what named it, without a word on who did
    directory.entries[guid_for("b")] = entry("b", "ou", sn="x")
    directory.tell(restored("a"))

    delta(directory, store)

    assert references(store.database, "publicDelegates") == {}
