"""When a domain controller took the last change of an object."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import Place

pytestmark = pytest.mark.integration
SECOND = dt.timedelta(seconds=1)


def guid_of(session: DirectorySession, dn: str) -> str:
    return session.resolve_container(dn, field="spec.baseDN").guid


def test_it_is_the_second_of_the_change(session: DirectorySession, place: Place) -> None:
    before = dt.datetime.now(dt.UTC)
    user = guid_of(session, place.add("user", "user"))
    contact = guid_of(session, place.add("contact", "contact"))

    times = session.change_times([user, contact, str(uuid4())])

    assert set(times) == {user, contact}
    for time in times.values():
        assert before - SECOND <= time <= dt.datetime.now(dt.UTC) + SECOND


def test_a_new_member_is_a_change_of_the_group(session: DirectorySession, place: Place) -> None:
    member = place.add("user", "user")
    dn = place.add("group", "group")
    group = guid_of(session, dn)
    (created,) = session.change_times([group]).values()
    place.link(dn, member)
    (linked,) = session.change_times([group]).values()
    assert created <= linked


def test_a_tombstone_has_the_time_of_its_deletion(session: DirectorySession, place: Place) -> None:
    dn = place.add("user", "user")
    user = guid_of(session, dn)
    (created,) = session.change_times([user]).values()
    place.delete(dn)
    (deleted,) = session.change_times([user]).values()
    assert created <= deleted <= dt.datetime.now(dt.UTC) + SECOND


def test_more_than_one_search_takes(session: DirectorySession, place: Place) -> None:
    user = guid_of(session, place.add("user", "user"))
    others = [str(uuid4()) for _ in range(250)]
    assert set(session.change_times([*others, user])) == {user}
    assert session.change_times([]) == {}
