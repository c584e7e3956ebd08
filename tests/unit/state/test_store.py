"""The store: durable, locked, all or nothing, and what goes in comes out."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.directory.model import SourceEntry
from entrasync.entra.contracts import PropertyValue
from entrasync.errors import ConfigurationError, TransientError
from entrasync.state.rows import CloudRow, decode_properties, encode_properties
from entrasync.state.store import FILE_NAME, Store

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


def entry(guid: str, *, deleted: bool = False, **more: object) -> SourceEntry:
    parts: dict[str, object] = {
        "guid": guid,
        "dn": f"CN={guid},DC=t",
        "parent_guid": "root",
        "deleted": deleted,
        "attributes": {"cn": (guid.encode(),), "objectSid": (b"\xff\x00",)},
    } | more
    return SourceEntry(**parts)  # type: ignore[arg-type]  # each of the right type


VALUE: st.SearchStrategy[PropertyValue] = st.one_of(
    st.text(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.binary(),
    st.lists(st.text(), max_size=3).map(tuple),
    st.lists(st.binary(), min_size=1, max_size=3).map(tuple),
)


@given(st.dictionaries(st.text(), VALUE))
def test_properties_survive(properties: dict[str, PropertyValue]) -> None:
    assert decode_properties(encode_properties(properties)) == properties


def test_a_full_read_replaces_everything_with_its_cookie(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.replace_source([entry("old")], {})
        store.replace_source([entry("g", members=("a", "b")), entry("a")], {"cookie": "1"})
        assert set(store.load_source()) == {"g", "a"}
        assert store.load_source_links() == {"g": frozenset({"a", "b"})}
        assert store.load_source()["a"].attributes["objectSid"] == (b"\xff\x00",)
        assert store.get("cookie") == "1"


def test_a_read_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[SourceEntry]:
        yield entry("new")
        raise OSError("the server went away")

    with Store(tmp_path) as store:
        store.replace_source([entry("old")], {"cookie": "1"})
        with pytest.raises(OSError, match="went away"):
            store.replace_source(broken(), {"cookie": "2"})
        assert set(store.load_source()) == {"old"}
        assert store.get("cookie") == "1"


def test_changes_merge_clear_link_and_forget(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.replace_source([entry("g", members=("a", "b")), entry("a"), entry("b")], {})
        changes = [
            entry(
                "g", parent_guid=None, attributes={}, members_added=("c",), members_removed=("a",)
            ),
            entry(
                "a", dn="CN=A,DC=t", parent_guid=None, attributes={"cn": (b"A",), "objectSid": ()}
            ),
            entry("b", deleted=True),
        ]
        store.apply_source_changes(changes, {"cookie": "2"})
        found = store.load_source()
        assert set(found) == {"g", "a"}
        assert found["a"].attributes == {"cn": (b"A",)}
        assert found["a"].parent_guid == "root"
        assert store.load_source_links() == {"g": frozenset({"c"})}
        assert store.get("cookie") == "2"


def test_results_own_pin_link_and_delete_in_one_step(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record_intent(["a", "g"])
        assert store.pending() == ["a", "g"]
        with store.results() as write:
            write.changed("a", "User", "guid-a", {"mail": "x", "title": "t"})
            write.changed("g", "Group", "guid-g", {})
            write.linked("g", ["a"], [])
        assert store.pending() == []
        assert store.pins() == {"guid-a": "a", "guid-g": "g"}
        assert store.owned_counts() == {"User": 1, "Group": 1, "links": 1}
        with store.results() as write:
            write.changed("a", "User", "guid-a", {"title": None})
        assert store.load_cloud()["a"].properties == {"mail": "x"}
        with store.results() as write:
            write.deleted("a")
        assert set(store.load_cloud()) == {"g"}
        assert store.load_cloud()["g"].members == frozenset()


def test_results_that_break_off_leave_the_intent(tmp_path: Path) -> None:
    def write_half(store: Store) -> None:
        with store.results() as write:
            write.changed("a", "User", "guid-a", {})
            raise OSError("killed")

    with Store(tmp_path) as store:
        store.record_intent(["a"])
        with pytest.raises(OSError, match="killed"):
            write_half(store)
        assert store.pending() == ["a"]
        assert store.load_cloud() == {}


def test_read_back_replaces_the_cloud_space(tmp_path: Path) -> None:
    row = CloudRow(anchor="a", object_type="User", guid=None, properties={"mail": "x"})
    with Store(tmp_path) as store:
        store.replace_cloud([row])
        assert store.load_cloud() == {"a": row}


def test_a_second_run_is_kept_out(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(TransientError) as caught:
        Store(tmp_path)
    assert caught.value.reason == "RunActive"
    with Store(tmp_path):
        pass


def test_the_state_of_another_tenant_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.bind("one")
        store.bind("one")
        with pytest.raises(ConfigurationError, match="belongs"):
            store.bind("two")


def test_a_newer_state_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path):
        pass
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("PRAGMA user_version = 999")
    database.close()
    with pytest.raises(ConfigurationError, match="999"):
        Store(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigurationError) as caught:
        Store(tmp_path)
    assert caught.value.reason == "StateVolumeUnsuitable"


def test_the_window_sums_what_is_recent(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.spend(NOW - dt.timedelta(hours=30), {"delete:User": 400})
        store.spend(NOW - dt.timedelta(hours=2), {"delete:User": 3, "links": 0})
        store.spend(NOW, {"delete:User": 4})
        assert store.spent_since(NOW - dt.timedelta(hours=24)) == {"delete:User": 7}


def test_facts_are_noted_together_with_an_intent(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record_intent(["b", "a"], {"quota": "1"})
    with Store(tmp_path) as store:
        assert (store.pending(), store.get("quota")) == (["a", "b"], "1")
        store.record_intent(["c"])
        assert (store.pending(), store.get("quota")) == (["c"], "1")
