"""Plans: complete, minimal, in order, and never a wrong deletion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from entrasync.engine.evaluate import DesiredObject, Evaluation, Withheld
from entrasync.engine.plan import (
    Action,
    CloudObject,
    Evidence,
    Phase,
    Plan,
    digest_of,
    plan_changes,
)
from entrasync.entra.contracts import PropertyValue, SyncObjectType, SyncOperation

ANCHORS = [f"anchor-{number}" for number in range(6)]
VALUES: st.SearchStrategy[PropertyValue] = st.one_of(
    st.text(max_size=3), st.booleans(), st.binary(max_size=3)
)
PROPERTIES = st.dictionaries(
    st.sampled_from(["displayName", "mail", "manager", "title"]), VALUES, max_size=4
)
MEMBERS = st.frozensets(st.sampled_from(ANCHORS), max_size=4)


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    chosen = draw(st.sets(st.sampled_from(ANCHORS)))
    frozen = draw(st.sets(st.sampled_from(ANCHORS))) - chosen
    desired = {}
    for anchor in chosen:
        group = ANCHORS.index(anchor) % 2 == 0
        desired[anchor] = DesiredObject(
            guid=f"guid-{anchor}",
            object_type=SyncObjectType.GROUP if group else SyncObjectType.USER,
            anchor=anchor,
            properties=draw(PROPERTIES),
            members=draw(MEMBERS) & frozenset(chosen) if group else frozenset(),
        )
    withheld = tuple(
        Withheld(
            anchor=anchor,
            guid=f"guid-{anchor}",
            object_type=SyncObjectType.USER,
            reason=draw(st.sampled_from(["AnchorChanged", "GroupTooLarge"])),
            message="",
        )
        for anchor in sorted(frozen)
    )
    return Evaluation(desired=desired, withheld=withheld, excluded={}, in_scope=len(chosen))


@st.composite
def clouds(draw: st.DrawFn) -> dict[str, CloudObject]:
    found = {}
    for anchor in draw(st.sets(st.sampled_from([*ANCHORS, "foreign-1", "foreign-2"]))):
        group = anchor in ANCHORS and ANCHORS.index(anchor) % 2 == 0
        owned = draw(st.booleans()) and anchor in ANCHORS
        found[anchor] = CloudObject(
            anchor=anchor,
            object_type=SyncObjectType.GROUP if group else SyncObjectType.USER,
            guid=f"guid-{anchor}" if owned else None,
            properties=draw(PROPERTIES),
            members=draw(MEMBERS) if group else frozenset(),
            owned=owned,
        )
    return found


EVIDENCE = st.dictionaries(st.sampled_from(ANCHORS), st.sampled_from(list(Evidence)))


def apply(plan: Plan, cloud: Mapping[str, CloudObject]) -> dict[str, CloudObject]:
    """What the tenant holds after a plan, as the service would do it."""
    after = dict(cloud)
    for change in plan.changes:
        message = change.message
        anchor = message.source_anchor
        if message.operation is SyncOperation.DELETE:
            after.pop(anchor)
            after = {
                key: _with(found, members=found.members - {anchor}) for key, found in after.items()
            }
            continue
        known = after.get(anchor)
        properties = dict(known.properties) if known else {}
        properties |= message.properties
        members = set(known.members) if known else set()
        for link in message.links:
            (members.add if link.add else members.discard)(link.anchor)
        after[anchor] = CloudObject(
            anchor=anchor,
            object_type=message.object_type,
            guid=change.guid,
            properties={key: value for key, value in properties.items() if value is not None},
            members=frozenset(members),
            owned=True,
        )
    for anchor in plan.adopted:
        after[anchor] = _with(after[anchor], owned=True)
    return after


def _with(found: CloudObject, **changes: Any) -> CloudObject:
    parts: dict[str, Any] = {
        name: getattr(found, name)
        for name in ("anchor", "object_type", "guid", "properties", "members", "owned")
    }
    return CloudObject(**(parts | changes))


@given(evaluations(), clouds(), EVIDENCE)
def test_planning_again_on_what_was_applied_changes_nothing(
    evaluation: Evaluation, cloud: dict[str, CloudObject], evidence: dict[str, Evidence]
) -> None:
    after = apply(plan_changes(evaluation, cloud, evidence), cloud)
    again = plan_changes(evaluation, after, evidence)
    assert again.changes == ()


@given(evaluations(), clouds(), EVIDENCE)
def test_only_what_is_owned_unwanted_and_proven_gone_is_deleted(
    evaluation: Evaluation, cloud: dict[str, CloudObject], evidence: dict[str, Evidence]
) -> None:
    plan = plan_changes(evaluation, cloud, evidence)
    frozen = {entry.anchor for entry in evaluation.withheld}
    for change in plan.changes:
        anchor = change.message.source_anchor
        if change.action is Action.DELETE:
            assert cloud[anchor].owned
            assert anchor not in evaluation.desired
            assert anchor not in frozen
            assert evidence[anchor] in {Evidence.DELETED, Evidence.OUT_OF_SCOPE}
        else:
            assert anchor in evaluation.desired
    for anchor in plan.unaccounted:
        assert evidence.get(anchor, Evidence.UNKNOWN) in {Evidence.UNKNOWN, Evidence.MOVED}


@given(evaluations(), clouds(), EVIDENCE)
def test_frozen_and_foreign_objects_are_never_touched_and_keep_their_memberships(
    evaluation: Evaluation, cloud: dict[str, CloudObject], evidence: dict[str, Evidence]
) -> None:
    plan = plan_changes(evaluation, cloud, evidence)
    foreign = {a for a, c in cloud.items() if not c.owned and a not in evaluation.desired}
    frozen = {e.anchor for e in evaluation.withheld if e.reason == "AnchorChanged"}
    touched = {change.message.source_anchor for change in plan.changes}
    assert not touched & (foreign | {entry.anchor for entry in evaluation.withheld})
    unlinked = {
        link.anchor for change in plan.changes for link in change.message.links if not link.add
    }
    assert not unlinked & (foreign | frozen)
    wanted = [a for a in foreign if a not in {e.anchor for e in evaluation.withheld}]
    assert sum(plan.orphans.values()) == len(wanted)


@given(evaluations(), clouds(), EVIDENCE)
def test_changes_come_in_the_order_of_their_phases(
    evaluation: Evaluation, cloud: dict[str, CloudObject], evidence: dict[str, Evidence]
) -> None:
    phases = [change.phase for change in plan_changes(evaluation, cloud, evidence).changes]
    assert phases == sorted(phases)
    assert all(isinstance(phase, Phase) for phase in phases)


@given(evaluations(), clouds(), EVIDENCE, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_order(
    evaluation: Evaluation, cloud: dict[str, CloudObject], evidence: dict[str, Evidence], dice: Any
) -> None:
    changes = list(plan_changes(evaluation, cloud, evidence).changes)
    before = digest_of(changes)
    dice.shuffle(changes)
    assert digest_of(changes) == before
    if changes:
        assert digest_of(changes[1:]) != before


def test_nobody_refers_to_who_was_withheld_and_never_created() -> None:
    def withheld(anchor: str) -> Withheld:
        return Withheld(
            anchor=anchor,
            guid=f"guid-{anchor}",
            object_type=SyncObjectType.USER,
            reason="DuplicateAnchor",
            message="",
        )

    def desired(anchor: str, kind: SyncObjectType, **more: Any) -> DesiredObject:
        members = {"properties": {"displayName": anchor}} | more
        return DesiredObject(guid=f"guid-{anchor}", object_type=kind, anchor=anchor, **members)

    known = CloudObject(
        anchor="known", object_type=SyncObjectType.USER, guid="g", properties={}, owned=True
    )
    evaluation = Evaluation(
        desired={
            "group": desired(
                "group", SyncObjectType.GROUP, members=frozenset({"ann", "known", "never"})
            ),
            "ann": desired("ann", SyncObjectType.USER, properties={"manager": "never"}),
            "bob": desired("bob", SyncObjectType.USER, properties={"manager": "known"}),
        },
        withheld=(withheld("known"), withheld("never")),
        excluded={},
        in_scope=5,
    )

    plan = plan_changes(evaluation, {"known": known}, {})

    links = [link.anchor for change in plan.changes for link in change.message.links]
    managers = [change.message.properties.get("manager") for change in plan.changes]
    assert links == ["ann", "known"]
    assert [each for each in managers if each] == ["known"]


def test_members_of_a_kind_that_is_not_ours_stay_members() -> None:
    # a device that Entra Connect synced, and a user of the cloud's own
    group: dict[str, Any] = {"guid": "guid-g", "object_type": SyncObjectType.GROUP, "anchor": "g"}
    user: dict[str, Any] = {"guid": "guid-u", "object_type": SyncObjectType.USER, "anchor": "u"}
    cloud = {
        "g": CloudObject(
            **group,
            properties={},
            owned=True,
            members=frozenset({"device", "User_3f2504e0", "u"}),
        ),
        "u": CloudObject(**user, properties={}, owned=True),
    }
    desired = {
        "g": DesiredObject(**group, properties={}),
        "u": DesiredObject(**user, properties={}),
    }
    evaluation = Evaluation(desired=desired, withheld=(), excluded={}, in_scope=2)

    (change,) = plan_changes(evaluation, cloud, {}).changes

    assert [(link.anchor, link.add) for link in change.message.links] == [("u", False)]
