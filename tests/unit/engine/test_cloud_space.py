from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.engine.cloud_space import FLOWED_KEYS, build_rows, load_cloud, take_read_back
from entrasync.engine.flows import flow
from entrasync.engine.source import SOURCE_ATTRIBUTES, SourceObject
from entrasync.entra.contracts import LinkChange, SyncObject, SyncObjectType, SyncOperation
from entrasync.state.rows import CloudRow
from entrasync.state.store import Store

GUID = "00112233-4455-6677-8899-aabbccddeeff"
ANCHOR = base64.b64encode(uuid.UUID(GUID).bytes_le).decode()


def synced(anchor: str = ANCHOR, **more: object) -> SyncObject:
    values: dict[str, object] = {
        "object_type": SyncObjectType.USER,
        "operation": SyncOperation.SET,
        "source_anchor": anchor,
    }
    return SyncObject(**(values | more))  # type: ignore[arg-type]  # test data


@pytest.mark.parametrize("kind", ["user", "group", "contact"])
def test_every_property_that_flows_is_known(kind: str) -> None:
    numbers = {"userAccountControl", "groupType", "countryCode", "pwdLastSet"}
    source = SourceObject(
        guid=GUID,
        dn="CN=x",
        parent_guid=None,
        attributes={name: (b"5" if name in numbers else b"x",) for name in SOURCE_ATTRIBUTES}
        | {"objectClass": (kind.encode(),)},
    )

    flowed = flow(source, dn="CN=x", domain="x", anchor_of=lambda _: "m")

    assert flowed.keys() <= set(FLOWED_KEYS)


def test_properties_take_our_spelling_and_foreign_ones_are_left_out() -> None:
    (row,) = build_rows(
        [
            synced(
                properties={
                    "DisplayName": "Zoë",
                    "ProxyAddresses": ("smtp:b@x", "SMTP:a@x"),
                    "CloudMastered": False,
                    "Mail": None,
                    "Title": "",
                    "userCertificate": (b"x",),
                }
            )
        ],
        {},
        frozenset(),
    )

    assert row.properties == {
        "displayName": "Zoë",
        "proxyAddresses": ("SMTP:a@x", "smtp:b@x"),
    }
    assert (row.owned, row.guid) == (False, None)


def test_members_come_as_list_or_as_links_by_either_anchor() -> None:
    rows = build_rows(
        [
            synced("u1", cloud_anchor="User_1"),
            synced("u2"),
            synced("g1", object_type=SyncObjectType.GROUP, properties={"Member": ("u1", "u2")}),
            synced(
                "g2",
                object_type=SyncObjectType.GROUP,
                links=(
                    LinkChange(anchor="User_1", add=True, by_cloud_anchor=True),
                    LinkChange(anchor="u2", add=True),
                    LinkChange(anchor="User_9", add=True, by_cloud_anchor=True),
                ),
            ),
        ],
        {},
        frozenset(),
    )

    members = {row.anchor: row.members for row in rows}
    assert members["g1"] == {"u1", "u2"}
    # one of the cloud's own is a member all the same: who is not named may be removed
    assert members["g2"] == {"u1", "u2", "User_9"}


def test_a_device_that_is_a_member_goes_by_its_own_anchor() -> None:
    device = LinkChange(anchor="Device_1", add=True, by_cloud_anchor=True)
    rows = build_rows(
        [
            synced("g", object_type=SyncObjectType.GROUP, links=(device,)),
            synced("d", object_type=SyncObjectType.DEVICE, cloud_anchor="Device_1"),
        ],
        {},
        frozenset(),
    )

    assert {row.anchor: set(row.members) for row in rows} == {"g": {"d"}}


def test_devices_cloud_objects_and_removed_ones_are_not_ours_to_know() -> None:
    rows = build_rows(
        [
            synced("d", object_type=SyncObjectType.DEVICE),
            synced("", cloud_anchor="User_1"),
            synced("gone"),
            synced("gone", operation=SyncOperation.DELETE),
        ],
        {},
        frozenset(),
    )

    assert rows == []


def test_what_was_owned_stays_owned_and_what_vanished_is_forgotten() -> None:
    def owned(anchor: str) -> CloudRow:
        return CloudRow(anchor=anchor, object_type="User", guid="g", properties={}, owned=True)

    rows = build_rows([synced("a"), synced("b")], {"a": owned("a"), "z": owned("z")}, frozenset())

    assert {row.anchor: (row.owned, row.guid) for row in rows} == {
        "a": (True, "g"),
        "b": (False, None),
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def test_what_an_interrupted_call_created_is_owned(store: Store) -> None:
    store.record_intent([ANCHOR, "never-arrived"])

    take_read_back(store, [synced(), synced("foreign")])

    cloud = load_cloud(store)
    assert (cloud[ANCHOR].owned, cloud[ANCHOR].guid) == (True, GUID)
    assert not cloud["foreign"].owned
    assert "never-arrived" not in cloud
    assert store.pending() == []
