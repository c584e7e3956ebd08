"""Rows that are put into a table many at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from entrasync.state.inserting import insert_all


@pytest.fixture
def table() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, name TEXT, rest TEXT)")
        yield connection


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 400, 1001])
def test_every_row_is_there(table: sqlite3.Connection, count: int) -> None:
    rows = [(number, f"n{number}") for number in range(count)]

    insert_all(table, "rows (number, name)", rows)

    found = table.execute("SELECT number, name FROM rows ORDER BY number").fetchall()
    assert found == rows


@pytest.mark.parametrize("twice", [3, 300, 401])
def test_a_row_that_is_there_already_is_an_error(table: sqlite3.Connection, twice: int) -> None:
    rows = [(number, "a", None) for number in range(402)]

    with pytest.raises(sqlite3.IntegrityError):
        insert_all(table, "rows", [*rows, rows[twice]])
