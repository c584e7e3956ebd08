"""What an interrupted call did counts as if its results had been recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.engine.changes import Phase
from entrasync.engine.settling import settle_interrupted
from entrasync.state.store import Store
from tests.support.planned import added, deleted, held, hold, linked, plan, updated

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
NAME = "userPrincipalName"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        for anchor in ("a", "b", "c"):
            hold(found, anchor, userPrincipalName="old@x")
        hold(found, "g", "a", "b", "c")
        renamed = replace(updated("b", userPrincipalName="new@x"), previous={NAME: "old@x"})
        moment = replace(renamed, phase=Phase.RELEASES, temporary=True)
        plan(
            found,
            [deleted("a"), moment, renamed, added("d"), linked("g", "d", removed=["b", "c"])],
        )
        found.checkpoints.record_intent(["a", "b", "d", "g"])
        yield found


def number(store: Store, anchor: str) -> int:
    return store.database.anchor_number(anchor)


def spent(store: Store) -> dict[str, int]:
    return store.checkpoints.spent_since(NOW)


def test_a_call_that_did_nothing_counts_nothing(store: Store) -> None:
    assert settle_interrupted(store, NOW) == 0
    assert spent(store) == {}


def test_what_it_did_counts(store: Store) -> None:
    execute = store.database.connection.execute
    execute("DELETE FROM cloud_objects WHERE anchor = ?", (number(store, "a"),))
    store.cloud.record_set(number(store, "b"), "User", None, {NAME: "new@x"})
    store.cloud.record_links(number(store, "g"), [], [number(store, "b")])

    assert settle_interrupted(store, NOW) == 3
    assert spent(store) == {"deletions:User": 1, "identity-changes": 1, "link-removals": 1}
    assert held(store)["g"].members == {"a", "c"}


def test_what_the_call_was_not_about_does_not_count(store: Store) -> None:
    store.checkpoints.record_intent(["b"])
    store.database.connection.execute(
        "DELETE FROM cloud_objects WHERE anchor = ?", (number(store, "a"),)
    )

    assert settle_interrupted(store, NOW) == 0


def test_what_was_not_sent_does_not_count(store: Store) -> None:
    store.database.connection.execute("UPDATE plan SET held = 'Braked'")
    store.database.connection.execute(
        "DELETE FROM cloud_objects WHERE anchor = ?", (number(store, "a"),)
    )

    assert settle_interrupted(store, NOW) == 0


def test_what_was_let_through_does_not_count_and_is_let_through_no_longer(store: Store) -> None:
    execute = store.database.connection.execute
    (fingerprint,) = execute(
        "SELECT fingerprint FROM plan WHERE anchor = ?", (number(store, "a"),)
    ).fetchone()
    execute("INSERT INTO approvals VALUES ('sha256:1', '2026', '2027')")
    execute("INSERT INTO approved VALUES (?, 'sha256:1')", (fingerprint,))
    execute("DELETE FROM cloud_objects WHERE anchor = ?", (number(store, "a"),))

    assert settle_interrupted(store, NOW) == 1
    assert spent(store) == {}
    assert execute("SELECT * FROM approved").fetchall() == []


def test_without_a_call_there_is_nothing_to_settle(store: Store) -> None:
    store.checkpoints.forget_intent()
    assert settle_interrupted(store, NOW) == 0


def test_who_is_not_owned_is_not_by_a_call_that_was_to_delete_it(store: Store) -> None:
    execute = store.database.connection.execute
    execute("UPDATE cloud_objects SET owned = 0")
    execute("UPDATE plan SET orphan = 1 WHERE action = 'delete'")

    store.cloud.claim({"a": None, "b": None})

    assert (held(store)["a"].owned, held(store)["b"].owned) == (False, True)
