"""From the source space to what the cloud should hold."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping

from entrasync.api.directory_sync import AnchorSource
from entrasync.engine.cloud_space import recorded_anchors
from entrasync.engine.evaluate import Evaluation, EvaluationRules, evaluate
from entrasync.engine.plan import CloudObject
from entrasync.engine.scope import Scope
from entrasync.engine.source import SourceObject
from entrasync.entra.contracts import SyncObjectType

ROOT = str(uuid.UUID(int=1))
ANN, BOB, TEAM = (str(uuid.UUID(int=number)) for number in (10, 11, 20))
PRESET = uuid.UUID(int=99).bytes_le
BY_GUID = AnchorSource.OBJECT_GUID
BY_PRESET = AnchorSource.CONSISTENCY_GUID


def anchor_of(guid: str) -> str:
    return base64.b64encode(uuid.UUID(guid).bytes_le).decode()


def source(guid: str, kind: str, **attributes: bytes) -> SourceObject:
    values = {name.replace("_", "-"): (value,) for name, value in attributes.items()}
    return SourceObject(
        guid=guid,
        dn=f"CN={guid},DC=x",
        parent_guid=None if guid == ROOT else ROOT,
        attributes={"objectClass": (kind.encode(),)} | values,
    )


def user(guid: str, **attributes: bytes) -> SourceObject:
    return source(guid, "user", sAMAccountName=b"a", userAccountControl=b"512", **attributes)


def group(guid: str) -> SourceObject:
    return source(guid, "group", sAMAccountName=b"g", groupType=b"-2147483646")


def evaluated(
    *objects: SourceObject,
    links: Mapping[str, frozenset[str]] | None = None,
    pins: Mapping[str, str] | None = None,
    anchors: AnchorSource = BY_PRESET,
    largest: int = 250_000,
) -> Evaluation:
    everything = {each.guid: each for each in (source(ROOT, "domainDNS"), *objects)}
    rules = EvaluationRules(
        scope=Scope(include=frozenset({ROOT})),
        anchor_source=anchors,
        domain="contoso.test",
        max_group_members=largest,
    )
    return evaluate(everything, links or {}, pins or {}, rules)


def test_anchors_come_from_the_consistency_guid_else_from_the_object_guid() -> None:
    preset = user(ANN, mS_DS_ConsistencyGuid=PRESET)

    found = evaluated(preset, user(BOB))
    by_guid = evaluated(preset, user(BOB), anchors=BY_GUID)

    assert set(found.desired) == {base64.b64encode(PRESET).decode(), anchor_of(BOB)}
    assert set(by_guid.desired) == {anchor_of(ANN), anchor_of(BOB)}


def test_an_anchor_that_changed_after_the_export_withholds_its_object() -> None:
    pins = {ANN: anchor_of(ANN)}

    found = evaluated(user(ANN, mS_DS_ConsistencyGuid=PRESET), user(BOB), pins=pins)

    assert set(found.desired) == {anchor_of(BOB)}
    (withheld,) = found.withheld
    assert (withheld.reason, withheld.anchor) == ("AnchorChanged", anchor_of(ANN))


def test_what_the_tenant_remembers_pins_an_anchor_when_the_volume_was_lost() -> None:
    held = CloudObject(
        anchor="made-by-another-rule",
        object_type=SyncObjectType.USER,
        guid=None,
        properties={"onPremisesObjectIdentifier": uuid.UUID(ANN).bytes_le},
    )

    pins = recorded_anchors({held.anchor: held})
    found = evaluated(user(ANN), pins=pins)

    assert found.desired == {}
    assert [each.reason for each in found.withheld] == ["AnchorChanged"]


def test_one_anchor_of_two_objects_withholds_both() -> None:
    found = evaluated(
        user(ANN, mS_DS_ConsistencyGuid=PRESET), user(BOB, mS_DS_ConsistencyGuid=PRESET)
    )

    assert found.desired == {}
    assert [each.reason for each in found.withheld] == ["DuplicateAnchor"] * 2


def test_a_group_over_the_limit_is_withheld_and_stays_a_member_of_others() -> None:
    nested = str(uuid.UUID(int=21))
    links = {TEAM: frozenset({ANN, BOB}), nested: frozenset({TEAM})}

    found = evaluated(user(ANN), user(BOB), group(TEAM), group(nested), links=links, largest=1)

    assert [(e.reason, e.guid) for e in found.withheld] == [("GroupTooLarge", TEAM)]
    assert found.desired[anchor_of(nested)].members == {anchor_of(TEAM)}


def test_members_out_of_scope_are_left_out() -> None:
    links = {TEAM: frozenset({ANN, str(uuid.UUID(int=77))})}

    found = evaluated(user(ANN), group(TEAM), links=links)

    assert found.desired[anchor_of(TEAM)].members == {anchor_of(ANN)}
    assert found.in_scope == 2


def test_default_exclusions_are_counted_by_name() -> None:
    service = source(BOB, "user", sAMAccountName=b"MSOL_1", userAccountControl=b"512")

    found = evaluated(user(ANN), service)

    assert (found.in_scope, found.excluded) == (1, {"SyncServiceAccount": 1})
