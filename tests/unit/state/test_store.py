"""The store: one state for one tenant, whose parts share its transactions."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrasync.errors import ConfigurationError
from entrasync.state.store import Store


def test_the_state_of_another_tenant_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.bind("one")
        store.bind("one")
        with pytest.raises(ConfigurationError, match="belongs") as caught:
            store.bind("two")
    assert caught.value.reason == "StateVolumeUnsuitable"


def test_what_its_parts_write_in_one_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    def break_off(store: Store) -> None:
        with store.transaction():
            number = store.database.anchor_number("a")
            store.cloud.record_set(number, "User", None, {"mail": "x"})
            store.put("fact", "1")
            store.checkpoints.record_intent(["a"])
            raise OSError("killed")

    with Store(tmp_path) as store:
        with pytest.raises(OSError, match="killed"):
            break_off(store)
        assert store.get("fact") is None
        assert store.checkpoints.pending() == []
        assert store.cloud.owned_counts() == {"links": 0}


def test_facts_outlive_the_run(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put("fact", "1")
    with Store(tmp_path) as store:
        assert store.get("fact") == "1"
        store.put("fact", None)
        assert store.get("fact") is None
