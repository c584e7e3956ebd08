"""What is recorded of exports and taken of read-backs; each case is real SQLite."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.state.cloud import META_KEPT, META_READ_BACK, CloudSpace, Exported
from entrasync.state.cloud_reading import ReadBackRules
from entrasync.state.database import Database
from entrasync.state.rows import encode_properties

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
ANCHOR = base64.b64encode(GUID.bytes_le).decode()
KEYS = frozenset({"displayName", "mail", "title", "proxyAddresses", "onPremisesObjectIdentifier"})
RULES = ReadBackRules(comparable=KEYS, watched=KEYS)
USER, GROUP, DEVICE = SyncObjectType.USER, SyncObjectType.GROUP, SyncObjectType.DEVICE


def synced(anchor: str = ANCHOR, kind: SyncObjectType = USER, **more: object) -> SyncObject:
    values: dict[str, object] = {
        "object_type": kind,
        "operation": SyncOperation.SET,
        "source_anchor": anchor,
    }
    return SyncObject(**(values | more))  # type: ignore[arg-type]  # test data


def group(anchor: str, *members: str, **more: object) -> SyncObject:
    return synced(anchor, GROUP, properties={"Member": members}, **more)


def gone(anchor: str, kind: SyncObjectType = USER, **more: object) -> SyncObject:
    return synced(anchor, kind, operation=SyncOperation.DELETE, **more)


def by_cloud_anchor(name: str, *, add: bool = True) -> LinkChange:
    return LinkChange(name, add=add, by_cloud_anchor=True)


class Space:
    """A cloud space, and what of it a test looks at, by anchors."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.execute = database.connection.execute
        self.cloud = CloudSpace(database)

    def n(self, anchor: str) -> int:
        return self.database.anchor_number(anchor)

    def read(self, *pages: Iterable[SyncObject], rules: ReadBackRules = RULES) -> int:
        full = self.cloud.full_read_back(rules)
        for page in pages:
            full.take(list(page))
        return full.finish()

    def change(self, *objects: SyncObject, rules: ReadBackRules = RULES) -> None:
        self.cloud.delta_read_back(rules).take(objects)

    def export(
        self, anchor: str, kind: str = "User", guid: bytes | None = None, **values: str
    ) -> int:
        self.cloud.record_set(self.n(anchor), kind, guid, values)
        return self.n(anchor)

    def members(self, anchor: str) -> set[str]:
        return self.names("SELECT member FROM cloud_links WHERE owner = ?", self.n(anchor))

    @property
    def objects(self) -> set[str]:
        return self.names("SELECT anchor FROM cloud_objects")

    @property
    def owned(self) -> set[str]:
        return self.names("SELECT anchor FROM cloud_objects WHERE owned")

    def marks(self) -> tuple[set[str], set[tuple[str, str]]]:
        """What is marked as changed, once."""
        anchors = self.names("SELECT anchor FROM changed_anchors")
        pairs = set(
            self.execute(
                "SELECT o.anchor, m.anchor FROM changed_pairs JOIN anchors o ON o.id = owner"
                " JOIN anchors m ON m.id = member"
            )
        )
        self.execute("DELETE FROM changed_anchors")
        self.execute("DELETE FROM changed_pairs")
        return anchors, pairs

    def names(self, query: str, *values: int) -> set[str]:
        rows = self.execute(
            f"SELECT anchor FROM anchors WHERE id IN ({query})",  # noqa: S608  - a query of ours
            values,
        )
        return {anchor for (anchor,) in rows}

    def part(self, anchor: str, guid: bytes, *, source: int = 1, **more: object) -> None:
        number = self.database.guid_number(guid)
        self.execute(
            "INSERT OR IGNORE INTO sources (id, name, rank) VALUES (?, ?, ?)",
            (source, f"source {source}", source),
        )
        self.execute(
            "INSERT INTO source_objects VALUES (?, ?, NULL, 1, '', NULL, '{}', 0)",
            (number, source),
        )
        values = {"kind": 1, "withheld": None} | more
        self.execute(
            "INSERT INTO parts (object, anchor, kind, withheld) VALUES (?, ?, ?, ?)",
            (number, self.n(anchor), values["kind"], values["withheld"]),
        )


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    with closing(Database(tmp_path)) as database:
        yield Space(database)


# --- what was exported ---------------------------------------------------------------------


def test_what_is_set_is_merged_owned_and_pinned(space: Space) -> None:
    user = space.export("a", guid=GUID.bytes, mail="x", title="t")
    space.cloud.record_set(user, "User", None, {"title": None, "displayName": "d"})

    assert space.cloud.properties(user) == {"mail": "x", "displayName": "d"}
    assert (space.cloud.holds(user), space.cloud.holds(user + 1)) == (True, False)
    assert space.cloud.properties(user + 1) is None
    assert space.execute("SELECT guid, owned FROM cloud_objects").fetchall() == [(GUID.bytes, 1)]
    assert space.execute("SELECT * FROM pins").fetchall() == [(GUID.bytes, user)]
    assert space.marks() == (set(), set())


def test_what_is_set_is_kept_as_it_is_read_back(space: Space) -> None:
    user = space.export("a", title="t", mail="x")
    written: dict[str, PropertyValue] = {
        "title": "",
        "mail": (),
        "proxyAddresses": ("b", "a"),
        "accountEnabled": False,
    }
    space.cloud.record_set(user, "User", None, written)

    assert space.cloud.properties(user) == {
        "proxyAddresses": ("a", "b"),
        "accountEnabled": False,
    }


def test_many_are_set_as_one_is(space: Space) -> None:
    first, second = space.export("a", mail="x"), space.n("b")
    space.cloud.record_sets(
        Exported(number, "User", None, {"title": str(number)}) for number in (first, second)
    )

    assert space.cloud.properties_of([first, second, second + 1]) == {
        first: {"mail": "x", "title": str(first)},
        second: {"title": str(second)},
    }
    assert space.cloud.held([first, second, second + 1]) == {first, second}
    assert space.owned == {"a", "b"}


def test_a_pin_stays_what_it_was_first(space: Space) -> None:
    first = space.export("a", guid=GUID.bytes)
    space.export("b", guid=GUID.bytes)

    assert space.execute("SELECT * FROM pins").fetchall() == [(GUID.bytes, first)]


def test_the_identifier_that_was_written_is_known(space: Space) -> None:
    user = space.n("a")
    for value, kept in ((GUID.bytes_le, GUID.bytes), (b"short", None), (None, None)):
        space.cloud.record_set(user, "User", None, {"onPremisesObjectIdentifier": value})
        assert space.execute("SELECT identifier FROM cloud_objects").fetchone() == (kept,)


def test_links_are_added_removed_and_counted(space: Space) -> None:
    owner = space.export("g", "Group")
    a, b, c = map(space.n, "abc")
    space.cloud.record_links(owner, [a, b, a], [])
    space.cloud.record_links(owner, [b, c], [a, c + 1])

    assert space.cloud.members(owner) == {b, c}
    assert space.cloud.owned_counts() == {"Group": 1, "links": 2}
    assert space.marks() == (set(), set())


def test_what_is_deleted_leaves_nothing_to_do(space: Space) -> None:
    user, owner = space.export("a", guid=GUID.bytes), space.export("g", "Group")
    other = space.n("other")
    space.cloud.record_links(owner, [user, other], [])
    space.execute("INSERT INTO candidates VALUES (?, NULL)", (user,))
    space.execute(
        "INSERT INTO pending (anchor, part, action, type, properties, previous)"
        " VALUES (?, 0, 'delete', 'User', '{}', '{}')",
        (user,),
    )
    space.execute(
        "INSERT INTO pending_links VALUES (?, ?, 0), (?, ?, 1)", (owner, user, user, other)
    )
    space.execute("INSERT INTO failures VALUES (?, 0, 'c', 'm', 1, '', '', X'00')", (user,))
    space.execute("INSERT INTO drift VALUES (?, 'mail', '1', '2', 1)", (user,))

    space.cloud.record_deleted(user)

    assert space.objects == {"g"}
    assert space.members("g") == {"other"}
    assert space.cloud.owned_counts() == {"Group": 1, "links": 1}
    for table in ("candidates", "pending", "pending_links", "failures", "drift", "pins"):
        count = space.execute(f"SELECT COUNT(*) FROM {table}")  # noqa: S608  - tables of ours
        assert count.fetchone() == (0,), table
    assert space.marks() == (set(), set())


def test_what_is_not_written_stays_as_it_was(space: Space) -> None:
    number = space.n("a")
    known: dict[str, PropertyValue] = {
        "accountEnabled": True,
        "displayName": "Zoë",
        "mail": "m",
        "onPremisesObjectIdentifier": GUID.bytes_le,
        "proxyAddresses": ("a", "b"),
        "userCertificate": (b"1", b"2"),
    }
    space.cloud.record_set(number, "User", GUID.bytes, known)

    space.cloud.record_set(number, "User", None, {"mail": None, "manager": "boss"})

    assert space.cloud.properties(number) == {
        **{key: value for key, value in known.items() if key != "mail"},
        "manager": "boss",
    }
    row = space.execute("SELECT properties, identifier FROM cloud_objects").fetchone()
    assert row == (encode_properties(space.cloud.properties(number) or {}), GUID.bytes)


def test_nothing_is_half_recorded(space: Space) -> None:
    def write_half() -> None:
        with space.database.transaction():
            space.export("a")
            raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        write_half()
    assert space.objects == set()


# --- adoption and counts -------------------------------------------------------------------


def test_what_is_wanted_is_adopted_and_pinned_once(space: Space) -> None:
    space.read([synced("a"), synced("b"), synced("c"), synced("d", GROUP)])
    space.export("c")
    space.part("a", GUID.bytes)
    space.part("b", b"2" * 16, withheld="AnchorChanged")
    space.part("c", b"3" * 16)
    space.part("missing", b"4" * 16)
    assert space.cloud.orphan_counts() == {"Group": 1}

    assert space.cloud.adopt_wanted() == 1
    assert space.cloud.adopt_wanted() == 0

    assert space.owned == {"a", "c"}
    assert space.execute("SELECT * FROM pins").fetchall() == [(GUID.bytes, space.n("a"))]
    assert space.cloud.owned_counts() == {"User": 2, "links": 0}


def test_the_first_source_tells_which_object_is_adopted(space: Space) -> None:
    space.read([synced("a")])
    space.part("a", b"9" * 16, source=2)
    space.part("a", GUID.bytes, source=1)

    space.cloud.adopt_wanted()

    assert space.execute("SELECT guid FROM cloud_objects").fetchall() == [(GUID.bytes,)]


def test_what_is_left_as_it_is_is_not_adopted(space: Space) -> None:
    managed = synced("managed", properties={"BlockOnPremisesSync": True})
    space.read([synced("conflict"), managed, synced("kept")])
    space.part("conflict", b"1" * 16)
    space.part("managed", b"2" * 16)
    space.part("kept", b"3" * 16, kind=3)
    space.execute("INSERT INTO conflicts VALUES (?, 'c', 'm')", (space.n("conflict"),))
    space.database.put(META_KEPT, "2,3")

    assert space.cloud.adopt_wanted() == 0


def test_orphans_are_neither_ours_nor_wanted_nor_the_clouds(space: Space) -> None:
    managed = synced("managed", properties={"cloudmastered": "True"})
    space.read([synced("a"), synced("b"), managed, synced("g", GROUP), synced("mine")])
    space.export("mine")
    space.part("b", GUID.bytes)

    assert space.cloud.orphan_counts() == {"User": 1, "Group": 1}


# --- a read-back of everything -------------------------------------------------------------


def test_properties_take_our_spelling_and_foreign_ones_are_left_out(space: Space) -> None:
    properties = {
        "DisplayName": "Zoë",
        "ProxyAddresses": ("smtp:b@x", "SMTP:a@x"),
        "CloudMastered": False,
        "Mail": None,
        "Title": "",
        "userCertificate": (b"x",),
    }
    space.read([synced(properties=properties)])

    assert space.cloud.properties(space.n(ANCHOR)) == {
        "displayName": "Zoë",
        "proxyAddresses": ("SMTP:a@x", "smtp:b@x"),
    }
    assert space.execute("SELECT owned, guid, cloud_managed FROM cloud_objects").fetchall() == [
        (0, None, 0)
    ]


@pytest.mark.parametrize("key", ["blockOnPremisesSync", "BlockOnPremisesSync", "CLOUDMASTERED"])
@pytest.mark.parametrize(("value", "managed"), [(True, 1), ("true", 1), (False, 0), ("no", 0)])
def test_who_manages_an_object_is_told(space: Space, key: str, value: object, managed: int) -> None:
    space.export(ANCHOR)
    space.read([synced(properties={key: value})])

    assert space.execute("SELECT cloud_managed FROM cloud_objects").fetchall() == [(managed,)]


@pytest.mark.parametrize("known", [False, True])
def test_what_no_engine_ever_took_over_is_not_there(space: Space, known: bool) -> None:  # noqa: FBT001  - a case
    """It has an anchor, and an addition with that one would take it over: nothing is adopted."""
    if known:
        space.read([synced()])
    space.read([synced(properties={"cloudMastered": True}, cloud_anchor="User_1")])

    assert space.execute("SELECT * FROM cloud_objects").fetchall() == []
    assert space.execute("SELECT cloud_anchor FROM cloud_aliases").fetchall() == [("User_1",)]


def test_what_was_converted_to_the_cloud_is_there(space: Space) -> None:
    marks = {"cloudMastered": True, "blockOnPremisesSync": True}
    space.read([synced(properties=marks)])

    assert space.execute("SELECT cloud_managed FROM cloud_objects").fetchall() == [(1,)]


def test_where_the_tenant_says_an_object_comes_from(space: Space) -> None:
    told = {"OnPremisesObjectIdentifier": GUID.bytes_le}
    space.read([synced(properties=told, cloud_anchor="User_1")])

    assert space.execute("SELECT identifier, cloud_anchor FROM cloud_objects").fetchall() == [
        (GUID.bytes, "User_1")
    ]


def test_members_come_as_list_or_as_links_by_either_anchor(space: Space) -> None:
    links = (by_cloud_anchor("User_1"), LinkChange("u2", add=True), by_cloud_anchor("User_9"))
    space.read(
        [
            synced("u1", cloud_anchor="User_1"),
            synced("u2"),
            group("g1", "u1", "u2", ""),
            synced("g2", GROUP, links=links),
        ]
    )

    assert space.members("g1") == {"u1", "u2"}
    # one of the cloud's own is a member all the same: who is not named may be removed
    assert space.members("g2") == {"u1", "u2", "User_9"}
    assert space.cloud.owned_counts() == {"links": 0}
    assert space.execute("SELECT links FROM cloud_objects ORDER BY links").fetchall() == [
        (0,),
        (0,),
        (2,),
        (3,),
    ]


def test_a_member_gets_its_anchor_when_it_is_told_later(space: Space) -> None:
    named = synced("g", GROUP, links=(by_cloud_anchor("User_1"), by_cloud_anchor("Device_1")))
    device = synced("d", DEVICE, cloud_anchor="Device_1")
    space.read([named], [synced("u", cloud_anchor="User_1")], [device])

    assert space.members("g") == {"u", "d"}
    assert space.objects == {"g", "u"}
    space.marks()
    # and it stays known without being told again
    space.change(named)
    assert space.members("g") == {"u", "d"}
    assert space.marks() == (set(), set())


def test_devices_cloud_objects_and_removed_ones_are_not_ours_to_know(space: Space) -> None:
    space.read(
        [synced("d", DEVICE), synced("", cloud_anchor="User_1"), synced("gone"), gone("gone")]
    )

    assert space.objects == set()


def test_what_was_owned_stays_owned_and_what_vanished_is_forgotten(space: Space) -> None:
    space.export("a", guid=GUID.bytes)
    space.export("z", "Group", b"2" * 16)
    space.cloud.record_links(space.n("z"), [space.n("a")], [])

    assert space.read([synced("a")], [synced("b")]) == 1

    assert (space.objects, space.owned) == ({"a", "b"}, {"a"})
    assert space.marks() == ({"b", "z"}, {("z", "a")})
    assert space.execute("SELECT COUNT(*) FROM cloud_links").fetchone() == (0,)
    # the pin outlives the object, so that it is found again
    assert (b"2" * 16, space.n("z")) in space.execute("SELECT * FROM pins").fetchall()


def test_what_is_equal_is_neither_marked_nor_written(space: Space) -> None:
    told = [
        synced("a", properties={"Mail": "x"}, cloud_anchor="User_1"),
        group("g", "a", "Device_1"),
    ]
    space.read(told)
    assert space.marks() == ({"a", "g"}, {("g", "a"), ("g", "Device_1")})
    before = space.database.connection.total_changes

    space.read(told)

    assert space.marks() == (set(), set())
    seen_in_cloud = 2
    # the two statements that clear the marks change nothing
    assert space.database.connection.total_changes - before == seen_in_cloud


@pytest.mark.parametrize(
    "told",
    [
        synced(properties={"mail": "y"}),
        synced(properties={"mail": "x", "title": "t"}),
        synced(),
        synced(kind=SyncObjectType.CONTACT, properties={"mail": "x"}),
        synced(properties={"mail": "x", "CloudMastered": True}),
        synced(properties={"mail": "x", "onPremisesObjectIdentifier": GUID.bytes_le}),
    ],
)
@pytest.mark.parametrize("full", [True, False])
def test_what_differs_is_marked(space: Space, told: SyncObject, *, full: bool) -> None:
    space.read([synced(properties={"mail": "x"}), synced("other")])
    space.marks()

    if full:
        space.read([told, synced("other")])
    else:
        space.change(told)

    assert space.marks() == ({ANCHOR}, set())


def test_a_name_that_the_tenant_gives_is_no_difference(space: Space) -> None:
    space.export(ANCHOR, mail="x")
    space.change(synced(properties={"mail": "x"}, cloud_anchor="User_1"))

    assert space.marks() == (set(), set())
    assert space.execute("SELECT cloud_anchor FROM cloud_objects").fetchall() == [("User_1",)]


def test_a_read_back_that_breaks_off_takes_nothing_away(space: Space) -> None:
    space.read([synced("a"), synced("b"), group("g", "a", "b")])
    space.marks()
    half = space.cloud.full_read_back(RULES)
    half.take([synced("a"), group("g", "a")])

    assert space.objects == {"a", "b", "g"}
    space.read([synced("a"), group("g", "a", "b")])
    assert (space.objects, space.members("g")) == ({"a", "g"}, {"a", "b"})


def test_what_was_read_before_a_restart_is_dropped(space: Space) -> None:
    # an object that was gone by then must not be taken for one that is there
    full = space.cloud.full_read_back(RULES)
    full.take([synced("a"), synced("b")])
    full.restart()
    full.take([synced("b")])
    full.finish()

    assert space.objects == {"b"}


def test_more_objects_than_are_handled_at_a_time(space: Space) -> None:
    many = [synced(f"a{number}") for number in range(2500)]
    everybody = group("g", *(each.source_anchor for each in many))
    space.read([*many, everybody])
    space.marks()

    assert space.read([synced("a7"), everybody]) == 2499
    assert len(space.members("g")) == 2500
    anchors, pairs = space.marks()
    assert (len(anchors), pairs) == (2499, set())


# --- changes -------------------------------------------------------------------------------


def test_changes_leave_what_they_do_not_name(space: Space) -> None:
    space.read([synced("a"), synced("b"), group("g", "a", "b")])
    space.marks()

    space.change(group("g", "b", "c"), synced("d"))

    assert space.objects == {"a", "b", "d", "g"}
    assert space.members("g") == {"b", "c"}
    assert space.marks() == ({"d"}, {("g", "a"), ("g", "c")})


def test_a_list_of_changes_means_just_these(space: Space) -> None:
    space.read([synced("a", cloud_anchor="User_1"), group("g", "a", "b")])
    space.marks()
    links = (by_cloud_anchor("User_1", add=False), LinkChange("c", add=True))

    space.change(synced("g", GROUP, links=links))

    assert space.members("g") == {"b", "c"}
    assert space.marks() == (set(), {("g", "a"), ("g", "c")})
    space.change(synced("g", GROUP, links=links))
    assert space.marks() == (set(), set())


def test_a_group_that_names_nobody_is_empty(space: Space) -> None:
    # values that are empty do not travel
    space.read([group("g", "a", "b")])
    space.change(synced("g", GROUP))

    assert space.members("g") == set()


@pytest.mark.parametrize(
    "told",
    [gone("a"), gone("a", cloud_anchor="User_1"), gone("", cloud_anchor="User_1")],
)
def test_what_was_deleted_is_forgotten_with_its_links(space: Space, told: SyncObject) -> None:
    space.read([synced("a", cloud_anchor="User_1"), group("g", "a", "b")])
    space.marks()

    space.change(told)

    assert space.objects == {"g"}
    assert space.members("g") == {"b"}
    assert space.marks() == ({"a"}, {("g", "a")})


def test_a_deleted_device_is_a_member_no_longer(space: Space) -> None:
    device = synced("d", DEVICE, cloud_anchor="Device_1")
    space.read([device, group("g", "d", "Device_2", "Device_3")])
    space.marks()

    space.change(gone("d", DEVICE), gone("", DEVICE, cloud_anchor="Device_2"))

    assert space.members("g") == {"Device_3"}
    assert space.marks() == (set(), {("g", "d"), ("g", "Device_2")})


def test_a_deleted_object_is_not_the_one_that_has_its_anchor_since(space: Space) -> None:
    space.read([synced("a", cloud_anchor="User_1"), group("g", "a")])
    again = synced("a", cloud_anchor="User_2")

    space.change(again)
    space.change(gone("a", cloud_anchor="User_1"))
    assert space.objects == {"a", "g"}
    space.change(again, gone("a", cloud_anchor="User_1"))
    assert space.objects == {"a", "g"}
    space.change(gone("a", cloud_anchor="User_2"), again)
    assert space.objects == {"a", "g"}
    space.change(again, gone("a", cloud_anchor="User_2"))
    assert space.objects == {"g"}


def test_an_object_that_bears_another_anchor_is_the_same_member(space: Space) -> None:
    space.read([synced("old", cloud_anchor="User_1"), group("g", "old", "x")])
    space.marks()

    space.change(synced("new", cloud_anchor="User_1"))

    assert space.objects == {"new", "g"}
    assert space.members("g") == {"new", "x"}
    assert space.marks() == ({"old", "new"}, {("g", "old"), ("g", "new")})


def test_an_object_that_becomes_the_clouds_own_is_a_member_still(space: Space) -> None:
    space.read([synced("u", cloud_anchor="User_1"), group("g", "u")])

    space.change(synced("", cloud_anchor="User_1"))

    assert space.objects == {"g"}
    assert space.members("g") == {"User_1"}


def test_what_turns_into_no_group_has_no_members(space: Space) -> None:
    space.read([group("g", "a")])
    space.marks()
    space.change(synced("g"))

    assert space.members("g") == set()
    assert space.marks() == ({"g"}, {("g", "a")})


# --- calls whose results are not known -----------------------------------------------------


def test_what_an_interrupted_call_may_have_written_is_owned_and_marked(space: Space) -> None:
    space.read([synced(), synced("b"), group("g", "b"), synced("foreign")])
    space.export("b", guid=b"2" * 16)
    space.part("g", b"3" * 16)
    space.execute("INSERT INTO pending_links VALUES (?, ?, 1)", (space.n("g"), space.n("x")))
    space.marks()

    space.cloud.claim({ANCHOR: GUID.bytes, "b": b"9" * 16, "g": None, "never-arrived": None})

    assert space.owned == {ANCHOR, "b", "g"}
    rows = dict(space.execute("SELECT anchor, guid FROM cloud_objects WHERE owned"))
    assert rows == {
        space.n(ANCHOR): GUID.bytes,
        space.n("b"): b"2" * 16,
        space.n("g"): b"3" * 16,
    }
    assert space.marks() == ({ANCHOR, "b", "g", "never-arrived"}, {("g", "b"), ("g", "x")})


def test_what_is_distrusted_is_read_in_full(space: Space) -> None:
    space.database.put(META_READ_BACK, "1")
    space.cloud.distrust()

    assert space.database.get(META_READ_BACK) is None
