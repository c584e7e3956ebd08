"""Putting many rows into a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final

_TOGETHER: Final = 200
"""Rows of one statement; to ask SQLite once for so many takes a third less than one by one."""


def insert_all(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[object]]) -> None:
    """Inserts rows; a row that is there already is an error.

    Args:
        connection: to the state, within a transaction.
        into: the table, with its columns where not all are given.
        rows: of as many values each.
    """
    if not rows:
        return
    # a statement that may fail half-way without being taken back needs no journal of its own
    head = f"INSERT OR FAIL INTO {into} VALUES "  # noqa: S608  - a table of ours
    places = f"({', '.join('?' * len(rows[0]))})"
    whole = len(rows) - len(rows) % _TOGETHER
    many = head + ", ".join([places] * _TOGETHER)
    for start in range(0, whole, _TOGETHER):
        values = chain.from_iterable(rows[start : start + _TOGETHER])
        connection.execute(many, list(values))
    connection.executemany(head + places, rows[whole:])
