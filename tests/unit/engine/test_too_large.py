"""A group over its limit is frozen: not deleted, not emptied, nothing sent; the rest goes on."""

from __future__ import annotations

import base64
import uuid

import pytest

from entrasync.api.directory_sync import AnchorSource
from entrasync.engine.evaluate import Evaluation, EvaluationRules, evaluate
from entrasync.engine.plan import CloudObject, Plan, plan_changes
from entrasync.engine.scope import Scope
from entrasync.engine.source import SourceObject
from entrasync.entra.contracts import SyncObjectType

ROOT, TEAM, ANN, OTHER = (str(uuid.UUID(int=number)) for number in (1, 2, 3, 4))
LIMITS = [pytest.param(50_000, id="V1"), pytest.param(250_000, id="V2")]


def anchor_of(guid: str) -> str:
    return base64.b64encode(uuid.UUID(guid).bytes_le).decode()


def source(guid: str, kind: bytes, **attributes: bytes) -> SourceObject:
    return SourceObject(
        guid=guid,
        dn=f"CN={guid},DC=x",
        parent_guid=None if guid == ROOT else ROOT,
        attributes={"objectClass": (kind,)} | {k: (v,) for k, v in attributes.items()},
    )


def group(guid: str, name: bytes) -> SourceObject:
    return source(guid, b"group", sAMAccountName=name, displayName=name, groupType=b"-2147483646")


def evaluated(members: int, limit: int) -> Evaluation:
    """Ann in two groups whose names have changed; one of them has so many members in all."""
    objects = [
        source(ROOT, b"domainDNS"),
        source(ANN, b"user", sAMAccountName=b"ann", userAccountControl=b"512"),
        group(TEAM, b"renamed"),
        group(OTHER, b"renamed too"),
    ]
    others = (f"member-{number}" for number in range(members - 1))
    return evaluate(
        {each.guid: each for each in objects},
        {TEAM: frozenset({ANN, *others}), OTHER: frozenset({ANN})},
        {},
        EvaluationRules(
            scope=Scope(include=frozenset({ROOT})),
            anchor_source=AnchorSource.OBJECT_GUID,
            domain="contoso.test",
            max_group_members=limit,
        ),
    )


def planned(evaluation: Evaluation) -> Plan:
    """Against a cloud in which both groups are older, and one member each has left since."""
    gone = anchor_of(str(uuid.UUID(int=9)))
    cloud = [
        CloudObject(
            anchor=anchor_of(guid),
            object_type=SyncObjectType.GROUP,
            guid=guid,
            properties={"displayName": "older"},
            members=frozenset({gone}),
            owned=True,
        )
        for guid in (TEAM, OTHER)
    ]
    return plan_changes(evaluation, {each.anchor: each for each in cloud}, {})


def touched(plan: Plan, guid: str) -> set[str]:
    return {
        str(change.action)
        for change in plan.changes
        if change.message.source_anchor == anchor_of(guid)
    }


@pytest.mark.parametrize("limit", LIMITS)
def test_nothing_of_it_is_sent_and_the_rest_goes_on(limit: int) -> None:
    evaluation = evaluated(limit + 1, limit)
    plan = planned(evaluation)

    (withheld,) = evaluation.withheld
    assert (withheld.reason, withheld.anchor) == ("GroupTooLarge", anchor_of(TEAM))
    assert f"{limit + 1} members" in withheld.message
    assert touched(plan, TEAM) == set()
    assert touched(plan, OTHER) == {"update", "links"}
    assert touched(plan, ANN) == {"add"}
    # it is neither lost nor somebody else's
    assert not plan.unaccounted
    assert not plan.orphans


@pytest.mark.parametrize("limit", LIMITS)
def test_it_comes_back_by_itself_when_it_fits(limit: int) -> None:
    evaluation = evaluated(limit, limit)

    assert evaluation.withheld == ()
    assert touched(planned(evaluation), TEAM) == {"update", "links"}
