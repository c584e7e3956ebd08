"""When objects changed, from what a server answers."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator

import pytest

from entrasync.directory import ber
from entrasync.directory.change_times import read_change_times
from entrasync.directory.reader import Reader
from tests.support.wire import done, entry_body, link_to, message

ANNA = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CONTEXT = "DC=contoso,DC=test"


def times_told(*values: bytes) -> dict[str, dt.datetime]:
    """What is found when a server tells these values of `whenChanged`."""
    held = {"objectGUID": [uuid.UUID(ANNA).bytes_le], "whenChanged": list(values)}

    def server(number: int) -> Iterator[bytes]:
        yield message(number, ber.SEARCH_ENTRY, entry_body(b"CN=Anna,DC=contoso,DC=test", held))
        yield done(number)

    return read_change_times(Reader(link_to(server), page_size=1000), CONTEXT, [ANNA])


def test_a_time_is_read_to_the_second() -> None:
    when = dt.datetime(2026, 3, 14, 15, 9, 26, tzinfo=dt.UTC)
    assert times_told(b"20260314150926.0Z") == {ANNA: when}


@pytest.mark.parametrize(
    "values", [(), (b"",), (b"yesterday",), (b"20261399000000.0Z",), (b"\xff",)]
)
def test_what_is_no_time_is_not_told(values: tuple[bytes, ...]) -> None:
    assert times_told(*values) == {}


def test_many_are_asked_for_in_several_searches() -> None:
    asked: list[int] = []

    def server(number: int) -> Iterator[bytes]:
        asked.append(number)
        yield done(number)

    guids = [str(uuid.uuid4()) for _ in range(201)]
    assert read_change_times(Reader(link_to(server), page_size=1000), CONTEXT, guids) == {}
    assert len(asked) == 3
