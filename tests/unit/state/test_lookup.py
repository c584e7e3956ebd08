"""Looking up: what is searched for is compared as it is, wildcards of SQL included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.state.database import Database
from entrasync.state.lookup import MOST_FOUND, Lookup
from entrasync.state.rows import encode_attributes, encode_properties
from entrasync.state.schema import Kind


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path)
    made.connection.execute("INSERT INTO sources VALUES (1, 'contoso', 0, 'contoso.test')")
    yield made
    made.close()


def put(database: Database, mails: list[str]) -> None:
    for number, mail in enumerate(mails):
        guid = database.guid_number(number.to_bytes(16))
        database.connection.execute(
            "INSERT INTO source_objects (id, source, kind, dn, attributes, seen)"
            " VALUES (?, 1, ?, ?, ?, 1)",
            (guid, Kind.USER, f"CN={mail},DC=x", encode_attributes({"mail": (mail.encode(),)})),
        )
        database.connection.execute(
            "INSERT INTO cloud_objects (anchor, type, owned, properties) VALUES (?, 'User', 1, ?)",
            (database.anchor_number(f"a{number}"), encode_properties({"mail": mail})),
        )


@pytest.mark.parametrize("mail", ["a%c@x", "a_c@x", 'a"c@x', "a\\c@x", "äßc@x", "ÄC@x"])
def test_a_value_finds_itself_and_nothing_like_it(database: Database, mail: str) -> None:
    put(database, [mail, "abc@x", "axc@x"])
    lookup = Lookup(database)

    found = lookup.sources_with(["mail"], mail.lower())
    cloud = lookup.anchors_with(["mail"], mail.lower())

    assert [row.dn for row in found] == [f"CN={mail},DC=x"]
    assert [lookup.anchor_name(number) for number in cloud] == ["a0"]
    assert [row.dn for row in lookup.sources_named(f"CN={mail}")] == [f"CN={mail},DC=x"]


def test_only_the_attributes_named_are_looked_at(database: Database) -> None:
    put(database, ["a@x"])

    assert Lookup(database).sources_with(["userPrincipalName"], "a@x") == []
    assert Lookup(database).anchors_with(["userPrincipalName"], "a@x") == []


def test_no_more_than_a_few_are_found(database: Database) -> None:
    put(database, ["a@x"] * (MOST_FOUND + 1))

    assert len(Lookup(database).sources_with(["mail"], "a@x")) == MOST_FOUND
    assert len(Lookup(database).anchors_with(["mail"], "a@x")) == MOST_FOUND


def test_what_is_not_there_is_none(database: Database) -> None:
    lookup = Lookup(database)

    assert lookup.anchor_number("a") is None
    assert lookup.source_by_guid("00000000-0000-0000-0000-000000000001") is None
    assert lookup.cloud(7) is None
    assert lookup.conflict(7) is None
    assert lookup.is_candidate(7) == (False, None)
    assert lookup.anchor_name(7) == ""
