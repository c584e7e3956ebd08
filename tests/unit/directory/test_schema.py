"""What the schema tells of attributes, and which of them can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest

from entrasync.directory.ber import RawEntry
from entrasync.directory.schema import SchemaAttribute, read_schema, unreadable

if TYPE_CHECKING:
    from entrasync.directory.link import Search
    from entrasync.directory.reader import Reader


class Server:
    """Answers conditions as Active Directory does: what may not be read is neither so nor so.

    Args:
        held: attributes of the only object, with a value.
        readable: attributes that may be read, with or without one.
        empty: there is no object at all.
    """

    def __init__(
        self, *entries: RawEntry, held: str = "", readable: str = "", empty: bool = False
    ) -> None:
        self.entries = entries
        self.held = set(held.split())
        self.readable = set(readable.split())
        self.empty = empty
        self.searches = 0

    def pages(self, search: Search) -> Iterator[RawEntry]:
        self.searches += 1
        if self.entries:
            yield from self.entries
            return
        either = re.findall(r"\(\|\((\w+)=\*\)\(!\(\1=\*\)\)\)", search.filter)
        present = set(re.findall(r"\((\w+)=\*\)", search.filter)) - set(either)
        holds = self.readable >= present | set(either) and self.held >= present
        if holds and not self.empty:
            yield RawEntry(dn=b"CN=x", attributes={})


def attribute(name: str, *, confidential: bool = False) -> SchemaAttribute:
    return SchemaAttribute(name=name, names_objects=False, followed=True, confidential=confidential)


def tried(server: Server, *attributes: SchemaAttribute) -> tuple[str, ...]:
    return unreadable(cast("Reader", server), "DC=x", "(|(objectClass=user))", attributes)


def test_what_may_be_read_costs_one_search() -> None:
    server = Server(held="a", readable="a b")

    assert tried(server, attribute("a"), attribute("b")) == ()
    assert server.searches == 1


def test_what_may_be_read_of_nobody_is_named() -> None:
    assert tried(Server(held="a b", readable="a"), attribute("a"), attribute("b")) == ("b",)


def test_only_a_value_proves_that_a_confidential_one_may_be_read() -> None:
    secret = attribute("s", confidential=True)

    assert tried(Server(held="s", readable="s"), secret) == ()
    assert tried(Server(readable="s"), secret) == ("s",)


def test_where_nobody_is_nothing_is_hidden() -> None:
    assert tried(Server(empty=True), attribute("a")) == ()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, (False, True, False)),
        ({"attributeSyntax": b"2.5.5.1"}, (True, True, False)),
        ({"searchFlags": b"129"}, (False, True, True)),
        ({"systemFlags": b"16"}, (False, True, False)),
        ({"systemFlags": b"17"}, (False, False, False)),  # not replicated
        ({"systemFlags": b"134217748"}, (False, False, False)),  # constructed
        ({"linkID": b"42"}, (False, True, False)),  # lists of links are told whole
        ({"linkID": b"43"}, (False, False, False)),  # the other end
    ],
)
def test_what_the_schema_says(told: dict[str, bytes], expected: tuple[bool, bool, bool]) -> None:
    raw = RawEntry(
        dn=b"CN=x",
        attributes={"lDAPDisplayName": (b"someName",)} | {k: (v,) for k, v in told.items()},
    )

    found = read_schema(cast("Reader", Server(raw)), "CN=Schema", ("SOMENAME",))["somename"]

    assert (found.names_objects, found.followed, found.confidential) == expected
    assert found.name == "someName"
    assert read_schema(cast("Reader", Server(raw)), "CN=Schema", ()) == {}


def test_members_are_told_one_by_one() -> None:
    raw = RawEntry(dn=b"CN=Member", attributes={"lDAPDisplayName": (b"member",), "linkID": (b"2",)})
    found = read_schema(cast("Reader", Server(raw)), "CN=Schema", ("member",))["member"]
    assert not found.followed
