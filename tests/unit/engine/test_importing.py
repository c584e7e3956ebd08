from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.model import ChangePage, Container, SourceEntry
from entrasync.engine.importing import (
    META_FULL_READ,
    SourceReading,
    forget_cookie,
    full_read_due,
    import_changes,
    import_full,
    usable_cookie,
)
from entrasync.errors import BlockedError, TransientError
from entrasync.state.store import Store

ATTRIBUTES = ("objectClass", "title", "sn")
ROOT = Container(guid="ou", dn="OU=Staff,DC=x")
READING = SourceReading(
    containers=(ROOT,), attributes=ATTRIBUTES, digest="d1", resource="ActiveDirectory/x"
)


def entry(
    guid: str,
    parent: str | None,
    *,
    kind: str = "user",
    dn: str = "",
    members: tuple[str, ...] | None = None,
    **attributes: str,
) -> SourceEntry:
    return SourceEntry(
        guid=guid,
        dn=dn or f"CN={guid},OU=Staff,DC=x",
        parent_guid=parent,
        deleted=False,
        attributes={
            "objectClass": (b"top", kind.encode()),
            **{name: (value.encode(),) if value else () for name, value in attributes.items()},
        },
        members=members,
    )


def change(guid: str, dn: str = "", **fields: object) -> SourceEntry:
    values: dict[str, object] = {"parent_guid": None, "deleted": False, "attributes": {}}
    return SourceEntry(guid=guid, dn=dn or f"CN={guid},OU=Staff,DC=x", **(values | fields))  # type: ignore[arg-type]  # test data


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
        self.reads.append(guid)
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
        yield opened


def full(directory: Directory, store: Store) -> int:
    return import_full(directory, store, READING, NOW, lambda _: None)


def delta(directory: Directory, store: Store) -> int:
    cookie = usable_cookie(store, "d1")
    assert cookie is not None
    return import_changes(directory, store, READING, cookie, lambda _: None)


def test_a_full_read_replaces_everything_and_keeps_its_cookie(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"), entry("g", "ou", kind="group", members=("a",)))

    assert full(directory, store) == 3

    assert set(store.load_source()) == {"ou", "a", "g"}
    assert store.load_source_links() == {"g": frozenset({"a"})}
    assert usable_cookie(store, "d1") == b"c1"


def test_another_scope_or_a_forgotten_cookie_needs_a_full_read(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)

    assert usable_cookie(store, "d2") is None
    forget_cookie(store)
    assert usable_cookie(store, "d1") is None


def test_an_empty_source_is_an_error_and_forgets_nothing(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)

    with pytest.raises(BlockedError) as caught:
        full(Directory(STAFF), store)

    assert caught.value.reason == "SourceEmpty"
    assert set(store.load_source()) == {"ou", "a"}


def test_a_read_that_breaks_off_forgets_nothing(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)
    broken = Directory(STAFF, entry("b", "ou"))
    broken.failure = TransientError("ServerUnreachable", "gone")

    with pytest.raises(TransientError):
        full(broken, store)

    assert set(store.load_source()) == {"ou", "a"}


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
        change("g", members_added=("c",), members_removed=("a",)),
        change("b", deleted=True),
    )

    assert delta(directory, store) == 3

    known = store.load_source()
    assert known["a"].attributes == {"objectClass": (b"top", b"user"), "title": (b"new",)}
    assert known["a"].parent_guid == "ou"
    assert "b" not in known
    # b was deleted: its link ends without a word from the group
    assert store.load_source_links() == {"g": frozenset({"c"})}
    assert usable_cookie(store, "d1") == b"c2"


def test_a_new_object_is_read_whole(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.entries["n"] = entry("n", "ou", title="t", kind="group", members=("a",))
    directory.tell(change("n", parent_guid="ou"))

    delta(directory, store)

    assert store.load_source()["n"].attributes["title"] == (b"t",)
    assert store.load_source_links() == {"n": frozenset({"a"})}


def test_a_new_object_in_a_new_container_is_read_whichever_comes_first(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.entries["sub"] = entry(
        "sub", "ou", kind="organizationalUnit", dn="OU=Sub,OU=Staff,DC=x"
    )
    directory.entries["n"] = entry("n", "sub", dn="CN=n,OU=Sub,OU=Staff,DC=x")
    directory.tell(change("n", parent_guid="sub"), change("sub", parent_guid="ou"))

    delta(directory, store)

    assert {"sub", "n"} <= set(store.load_source())


def test_what_lies_elsewhere_is_neither_read_nor_kept(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.reads.clear()
    directory.tell(
        change("other", dn="CN=o,OU=Other,DC=x", parent_guid="elsewhere"),
        change("far", dn="CN=f,OU=Other,DC=x", attributes={"title": (b"t",)}),
    )

    delta(directory, store)

    assert directory.reads == []
    assert set(store.load_source()) == {"ou", "a"}


def test_an_unknown_object_in_scope_is_read_although_it_did_not_move(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.entries["n"] = entry("n", "ou")
    directory.tell(change("n", attributes={"title": (b"t",)}))

    delta(directory, store)

    assert "n" in store.load_source()


def test_a_container_that_moves_in_brings_what_it_holds(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    moved = entry("box", "ou", kind="organizationalUnit", dn="OU=Box,OU=Staff,DC=x")
    directory.entries["box"] = moved
    directory.entries["n"] = entry("n", "box", dn="CN=n,OU=Box,OU=Staff,DC=x")
    directory.tell(change("box", dn=moved.dn, parent_guid="ou"))

    delta(directory, store)

    assert {"box", "n"} <= set(store.load_source())


def test_a_container_that_comes_back_is_read_again(store: Store) -> None:
    box = entry("box", "ou", kind="organizationalUnit", dn="OU=Box,OU=Staff,DC=x")
    directory = Directory(
        STAFF, box, entry("a", "ou"), entry("n", "box", dn="CN=n,OU=Box,OU=Staff,DC=x", title="t")
    )
    full(directory, store)
    directory.tell(change("box", dn="OU=Box,DC=x", parent_guid="elsewhere"))
    delta(directory, store)
    assert store.load_source()["box"].parent_guid == "elsewhere"
    # while it was away, n lost its title and m was made
    directory.entries["n"] = entry("n", "box", dn="CN=n,OU=Box,OU=Staff,DC=x")
    directory.entries["m"] = entry("m", "box", dn="CN=m,OU=Box,OU=Staff,DC=x")
    directory.tell(change("box", dn=box.dn, parent_guid="ou"))

    delta(directory, store)

    known = store.load_source()
    assert known["box"].parent_guid == "ou"
    assert "title" not in known["n"].attributes
    assert "m" in known


def test_a_renamed_root_takes_its_new_name(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    renamed = SourceReading(
        containers=(Container(guid="ou", dn="OU=People,DC=x"),),
        attributes=ATTRIBUTES,
        digest="d1",
        resource="ActiveDirectory/x",
    )

    import_changes(directory, store, renamed, b"c1", lambda _: None)

    assert store.load_source()["ou"].dn == "OU=People,DC=x"
    assert store.load_source()["ou"].parent_guid == "root"


def test_a_rejected_cookie_changes_nothing(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"))
    full(directory, store)
    directory.failure = CookieRejectedError("no")

    with pytest.raises(CookieRejectedError):
        delta(directory, store)

    assert usable_cookie(store, "d1") == b"c1"


def test_a_rename_changes_the_common_name_too(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou", cn="old", name="old"))
    full(directory, store)
    directory.tell(change("a", parent_guid="ou", attributes={"name": (b"new",)}))

    delta(directory, store)

    assert store.load_source()["a"].attributes["cn"] == (b"new",)


TEAM = entry("g", "ou", kind="group", members=("a", "b"))


def restored(guid: str) -> SourceEntry:
    return change(guid, parent_guid="ou", attributes={"isDeleted": ()})


def test_what_was_deleted_and_restored_is_forgotten_and_read_again(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou", title="Chief", sn="Old"), entry("b", "ou"), TEAM)
    full(directory, store)
    # little is left of it, and its group has lost it without a word
    directory.entries["a"] = entry("a", "ou", sn="New")
    directory.tell(restored("a"))

    delta(directory, store)

    assert store.load_source()["a"].attributes == {
        "objectClass": (b"top", b"user"),
        "sn": (b"New",),
    }
    assert store.load_source_links() == {"g": frozenset({"b"})}


def test_the_restored_are_in_the_groups_they_say_and_those_that_say_so(store: Store) -> None:
    other = entry("h", "ou", kind="group", members=())
    directory = Directory(STAFF, entry("a", "ou"), entry("b", "ou"), TEAM, other)
    full(directory, store)
    directory.entries["a"] = entry("a", "ou", memberOf="g")
    directory.tell(change("h", members_added=("a",)), restored("a"))

    delta(directory, store)

    assert store.load_source_links() == {"g": frozenset({"a", "b"}), "h": frozenset({"a"})}
    assert "memberOf" not in store.load_source()["a"].attributes


def test_a_new_object_is_in_the_known_groups_it_names_and_no_others(store: Store) -> None:
    alone = entry("g", "ou", kind="group", members=("b",))
    directory = Directory(STAFF, entry("b", "ou"), alone)
    full(directory, store)
    directory.entries["a"] = entry("a", "ou", memberOf="g")
    directory.entries["c"] = entry("c", "ou", memberOf="elsewhere")
    directory.tell(change("a", parent_guid="ou"), change("c", parent_guid="ou"))

    delta(directory, store)

    assert store.load_source_links() == {"g": frozenset({"a", "b"})}
    assert set(store.load_source()) == {"ou", "a", "b", "c", "g"}


@pytest.mark.parametrize(
    ("members", "left"), [(("b",), {"b"}), (("a", "b"), {"a", "b"})], ids=["gone", "hidden"]
)
def test_a_group_an_object_no_longer_names_is_asked_itself(
    store: Store, members: tuple[str, ...], left: set[str]
) -> None:
    directory = Directory(STAFF, entry("a", "ou"), entry("b", "ou"), TEAM)
    full(directory, store)
    directory.entries["g"] = entry("g", "ou", kind="group", members=members)
    directory.reads.clear()
    directory.tell(change("a", parent_guid="ou", attributes={"memberOf": ()}))

    delta(directory, store)

    assert directory.reads == ["g"]
    assert store.load_source_links() == {"g": frozenset(left)}


def test_a_group_that_came_itself_is_not_asked_again(store: Store) -> None:
    directory = Directory(STAFF, entry("a", "ou"), entry("b", "ou"), TEAM)
    full(directory, store)
    directory.reads.clear()
    directory.tell(
        change("a", parent_guid="ou", attributes={"memberOf": ()}),
        change("g", parent_guid="ou", members=("b",), attributes={"memberOf": ()}),
    )

    delta(directory, store)

    assert directory.reads == []
    assert store.load_source_links() == {"g": frozenset({"b"})}


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

    assert full_read_due(store, method, NOW + dt.timedelta(hours=hours)) is due


def test_a_full_read_of_an_unknown_time_is_done_again(store: Store) -> None:
    full(Directory(STAFF, entry("a", "ou")), store)
    store.put(META_FULL_READ, None)

    assert full_read_due(store, ("DirSync", "ObjectSecurity"), NOW)
