"""Who takes part by `spec.objects`: filters, scoping groups and kinds, without a directory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.directory_sync import AnchorSource, DirectorySyncSpec
from entrasync.api.objects import AttributeFilter, Objects
from entrasync.directory.model import SourceEntry
from entrasync.engine.evaluate import Evaluation, EvaluationRules, evaluate
from entrasync.engine.evidence import EvidenceGatherer
from entrasync.engine.filters import compile_filter
from entrasync.engine.groups import members_of, read_groups_within
from entrasync.engine.importing import SourceReading
from entrasync.engine.plan import CloudObject, Evidence, Plan, plan_changes
from entrasync.engine.scope import Scope
from entrasync.engine.selection import KindRules, SelectionRules, select
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.entra.contracts import SyncObjectType
from entrasync.errors import BlockedError, ConfigurationError
from entrasync.runner.inputs import selection_rules
from entrasync.state.store import Store
from tests.unit.engine.test_evaluate import ANN, BOB, ROOT, TEAM, anchor_of, group, source, user

CID = "00000000-0000-0000-0000-00000000000c"
PILOT, INNER = (f"00000000-0000-0000-0000-0000000000{n}" for n in ("30", "31"))
DN = "CN=Pilot,DC=x"
ATTRIBUTES = ("objectClass", "employeeType")
Links = Mapping[str, frozenset[str]]


def rules(**objects: Any) -> SelectionRules:
    return selection_rules(Objects.model_validate(objects), resource="DirectorySync/contoso")


def evaluated(
    written: SelectionRules, *objects: SourceObject, links: Links | None = None
) -> Evaluation:
    everything = {each.guid: each for each in (source(ROOT, "domainDNS"), *objects)}
    found = links or {}
    return evaluate(
        everything,
        found,
        {},
        EvaluationRules(
            scope=Scope(include=frozenset({ROOT})),
            anchor_source=AnchorSource.OBJECT_GUID,
            domain="contoso.test",
            max_group_members=250_000,
            selection=select(
                written, dict.fromkeys(written.groups, PILOT), everything, found, ATTRIBUTES
            ),
        ),
    )


def filtered(attribute: str = "employeeType") -> dict[str, Any]:
    clause = {"attribute": attribute, "operator": "NotEqual", "value": "NoSync"}
    return {"anyOf": [{"allOf": [clause]}]}


def owned(guid: str, kind: SyncObjectType = SyncObjectType.USER, **more: Any) -> CloudObject:
    return CloudObject(
        anchor=anchor_of(guid), object_type=kind, guid=guid, properties={}, owned=True, **more
    )


def planned(evaluation: Evaluation, *cloud: CloudObject) -> Plan:
    return plan_changes(evaluation, {each.anchor: each for each in cloud}, {})


class TestGroups:
    LINKS: Links = {  # noqa: RUF012  - never changed
        PILOT: frozenset({ANN, INNER}),
        INNER: frozenset({BOB, PILOT, "hidden"}),
    }
    KINDS = {ANN: SourceKind.USER, BOB: SourceKind.USER}  # noqa: RUF012  - never changed

    def test_direct_members_only(self) -> None:
        found = members_of(PILOT, self.LINKS, nested=False, kind_of=lambda _: None)

        assert found.members == {ANN, INNER}
        assert found.complete

    def test_members_at_any_depth_and_circles_end(self) -> None:
        kinds = self.KINDS | dict.fromkeys((PILOT, INNER), SourceKind.GROUP)

        found = members_of(PILOT, self.LINKS, nested=True, kind_of=kinds.get)

        assert found.members == {ANN, BOB, INNER, PILOT, "hidden"}
        assert found.groups == {PILOT, INNER}
        # nobody knows what is in the one that was never seen
        assert not found.complete

    @given(st.dictionaries(st.integers(0, 9), st.frozensets(st.integers(0, 9)), max_size=10))
    def test_any_web_of_groups_ends_with_all_that_can_be_reached(
        self, web: dict[int, frozenset[int]]
    ) -> None:
        links = {str(g): frozenset(map(str, members)) for g, members in web.items()}

        found = members_of("0", links, nested=True, kind_of=lambda _: SourceKind.GROUP)

        reached: set[str] = set()
        for _ in range(11):
            reached |= {m for g in ("0", *reached) for m in links.get(g, ())}
        assert found.members == reached
        assert found.complete


class Reader:
    """A directory of entries by GUID."""

    def __init__(self, *entries: SourceEntry) -> None:
        self.entries = {each.guid: each for each in entries}
        self.reads: list[str] = []

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        del attributes
        self.reads.append(guid)
        return self.entries.get(guid)


def entry(guid: str, kind: str, members: tuple[str, ...] | None = None, **more: Any) -> SourceEntry:
    return SourceEntry(
        guid=guid,
        dn=f"CN={guid},DC=x",
        parent_guid=ROOT,
        deleted=False,
        attributes={
            "objectClass": (kind.encode(),),
            "sAMAccountName": (b"a",),
            "userAccountControl": (b"512",),
            **more,
        },
        members=members,
    )


def test_groups_outside_of_the_containers_are_read_once(tmp_path: Path) -> None:
    reading = SourceReading(containers=(), attributes=ATTRIBUTES, digest="d", resource="r")
    reader = Reader(
        entry(INNER, "group", (CID, PILOT)),
        entry(CID, "user"),
        entry(BOB, "user"),
        entry(ANN, "user"),
    )
    with Store(tmp_path) as store:
        store.replace_source(
            [entry(PILOT, "group", (ANN, INNER, "hidden")), entry(ANN, "user")], {}
        )

        assert read_groups_within(reader, store, reading, frozenset({PILOT})) == 2
        assert store.load_source_links()[INNER] == {CID, PILOT}
        reader.reads.clear()
        assert read_groups_within(reader, store, reading, frozenset({PILOT})) == 0

        # who is known is not read again
        assert reader.reads == ["hidden"]
        assert read_groups_within(reader, store, reading, frozenset()) == 0


class TestTakingPart:
    def test_a_filter_leaves_out_and_is_counted(self) -> None:
        found = evaluated(
            rules(users={"where": filtered("EMPLOYEETYPE")}),
            user(ANN, employeeType=b"nosync"),
            user(BOB),
            group(TEAM),
        )

        assert set(found.desired) == {anchor_of(BOB), anchor_of(TEAM)}
        assert found.excluded == {"AttributeFilter": 1}
        assert found.in_scope == 2

    def test_default_exclusions_come_first(self) -> None:
        found = evaluated(
            rules(users={"where": filtered()}),
            user(ANN, employeeType=b"NoSync", isCriticalSystemObject=b"TRUE"),
            user(BOB),
        )

        assert found.excluded == {"CriticalSystemObject": 1}

    def test_only_members_take_part_and_other_kinds_are_left(self) -> None:
        found = evaluated(
            rules(users={"memberOf": {"group": DN}}),
            user(ANN),
            user(BOB),
            group(PILOT),
            links={PILOT: frozenset({ANN})},
        )

        assert set(found.desired) == {anchor_of(ANN), anchor_of(PILOT)}
        assert found.excluded == {"ScopingGroup": 1}

    @pytest.mark.parametrize(
        ("links", "told"),
        [({}, "has no members"), ({PILOT: frozenset({TEAM})}, "has none of the 2 users in scope")],
    )
    def test_a_group_that_leaves_out_everybody_stops_the_run(self, links: Links, told: str) -> None:
        with pytest.raises(BlockedError) as caught:
            evaluated(
                rules(users={"memberOf": {"group": DN}}),
                user(ANN),
                user(BOB),
                group(PILOT),
                group(TEAM),
                links=links,
            )

        assert caught.value.reason == "SourceEmpty"
        assert caught.value.field == "spec.objects.users.memberOf.group"
        assert told in caught.value.message

    def test_a_group_is_none_of_its_own_doing_when_nobody_is_there(self) -> None:
        written = rules(users={"memberOf": {"group": DN}})

        found = evaluated(written, group(PILOT), links={PILOT: frozenset({TEAM})})

        assert set(found.desired) == {anchor_of(PILOT)}

    def test_what_is_no_group_stops_the_run(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            evaluated(rules(users={"memberOf": {"group": DN}}), user(ANN), user(PILOT))

        assert caught.value.reason == "ScopeGroupNotFound"

    def test_what_is_written_tells_one_selection_from_another(self) -> None:
        same = [rules(), rules(users={}), rules(users={"synchronize": "Enabled"})]
        others = [
            rules(users={"synchronize": "Disabled"}),
            rules(users={"where": filtered()}),
            rules(users={"memberOf": {"group": DN}}),
            rules(users={"memberOf": {"group": DN, "nested": True}}),
            rules(groups={"memberOf": {"group": DN}}),
        ]

        assert [each.facts for each in same] == [[]] * 3
        assert len({str(each.facts) for each in others}) == len(others)

    def test_a_disabled_kind_needs_neither_groups_nor_attributes(self) -> None:
        found = rules(
            users={"synchronize": "Disabled", "where": filtered(), "memberOf": {"group": DN}}
        )

        assert (found.groups, found.attributes, found.nested_groups) == ({}, (), frozenset())


class TestKindsNotSynced:
    RULES = rules(users={"synchronize": "Disabled"})

    def test_they_are_neither_created_updated_nor_deleted(self) -> None:
        found = evaluated(self.RULES, user(ANN, title=b"new"), user(BOB), group(TEAM))

        plan = planned(found, owned(ANN), owned(CID), owned(TEAM, SyncObjectType.GROUP))

        touched = {change.message.source_anchor for change in plan.changes}
        assert touched == {anchor_of(TEAM)}
        assert not plan.unaccounted
        assert found.in_scope == 3

    def test_an_object_of_somebody_else_is_not_adopted(self) -> None:
        foreign = CloudObject(
            anchor=anchor_of(ANN), object_type=SyncObjectType.USER, guid=None, properties={}
        )

        plan = planned(evaluated(self.RULES, user(ANN), group(TEAM)), foreign)

        assert plan.adopted == frozenset()

    def test_their_memberships_change_while_they_are_in_sight(self) -> None:
        team = owned(TEAM, SyncObjectType.GROUP, members=frozenset(map(anchor_of, (ANN, CID))))
        found = evaluated(
            self.RULES, user(ANN), user(BOB), group(TEAM), links={TEAM: frozenset({BOB})}
        )

        plan = planned(found, owned(ANN), owned(BOB), owned(CID), team)

        (links,) = [change.message.links for change in plan.changes if change.message.links]
        told = {(link.anchor, link.add) for link in links}
        # CID lies outside of the containers: nobody knows of its memberships
        assert told == {(anchor_of(ANN), False), (anchor_of(BOB), True)}

    def test_memberships_of_an_object_of_somebody_else_are_not_ended(self) -> None:
        foreign = replace(owned(ANN), owned=False)
        team = owned(TEAM, SyncObjectType.GROUP, members=frozenset({anchor_of(ANN)}))

        plan = planned(evaluated(self.RULES, user(ANN), group(TEAM)), foreign, team)

        assert not [change for change in plan.changes if change.message.links]

    def test_who_was_never_created_is_no_member(self) -> None:
        found = evaluated(self.RULES, user(ANN), group(TEAM), links={TEAM: frozenset({ANN})})

        plan = planned(found, owned(TEAM, SyncObjectType.GROUP))

        assert not [change for change in plan.changes if change.message.links]

    def test_what_is_withheld_of_them_is_no_error(self) -> None:
        preset = b"0123456789abcdef"
        everything = {
            each.guid: each
            for each in (
                source(ROOT, "domainDNS"),
                user(ANN, mS_DS_ConsistencyGuid=preset),
                user(BOB, mS_DS_ConsistencyGuid=preset),
                group(TEAM),
            )
        }
        found = evaluate(
            everything,
            {},
            {},
            EvaluationRules(
                scope=Scope(include=frozenset({ROOT})),
                anchor_source=AnchorSource.CONSISTENCY_GUID,
                domain="contoso.test",
                max_group_members=5,
                selection=select(self.RULES, {}, everything, {}, ATTRIBUTES),
            ),
        )

        assert found.withheld == ()


class TestEvidence:
    """Whoever is left out is read again; only what is beyond doubt is removed."""

    @staticmethod
    def told(
        found: SourceEntry, *, links: Links | None = None, nested: bool = True, **users: Any
    ) -> Evidence:
        written = rules(users=users)
        known = {PILOT: group(PILOT), INNER: group(INNER), CID: user(CID)}
        selection = select(
            written,
            dict.fromkeys(written.groups, PILOT),
            known,
            links or {PILOT: frozenset({CID, INNER}) if nested else frozenset({CID})},
            ATTRIBUTES,
        )
        reader = Reader(found, entry(ROOT, "domainDNS"))
        gatherer = EvidenceGatherer(reader, Scope(include=frozenset({ROOT})), ATTRIBUTES, selection)
        return gatherer.gather([owned(ANN)], lambda: None)[anchor_of(ANN)]

    MEMBER: Mapping[str, Any] = {"memberOf": {"group": DN, "nested": True}}

    def test_who_does_not_pass_the_filter_is_out_of_scope(self) -> None:
        leaver = entry(ANN, "user", employeeType=(b"NoSync",))

        assert self.told(leaver, where=filtered()) is Evidence.OUT_OF_SCOPE
        # it passes now: what was read before must be older
        assert self.told(entry(ANN, "user"), where=filtered()) is Evidence.UNKNOWN

    def test_who_is_no_member_is_out_of_scope(self) -> None:
        assert self.told(entry(ANN, "user"), **self.MEMBER) is Evidence.OUT_OF_SCOPE

    @pytest.mark.parametrize("of", [PILOT, INNER])
    def test_who_says_to_be_a_member_is_kept(self, of: str) -> None:
        found = entry(ANN, "user", memberOf=(of.encode(),))

        assert self.told(found, **self.MEMBER) is Evidence.UNKNOWN

    def test_while_a_group_in_it_cannot_be_seen_nobody_is_out_of_scope(self) -> None:
        links = {PILOT: frozenset({CID, "hidden"})}

        assert self.told(entry(ANN, "user"), links=links, **self.MEMBER) is Evidence.UNKNOWN
        # unless it is for another reason
        leaver = entry(ANN, "user", employeeType=(b"NoSync",), isCriticalSystemObject=(b"TRUE",))
        assert self.told(leaver, links=links, **self.MEMBER) is Evidence.OUT_OF_SCOPE


def test_filters_of_every_clause_are_named() -> None:
    written = AttributeFilter.model_validate(
        {
            "anyOf": [
                {"allOf": [{"attribute": "title", "operator": "IsNull"}]},
                {"allOf": [{"operator": "IsMemberOf", "value": DN}]},
            ]
        }
    )
    found = SelectionRules(
        kinds={SourceKind.USER: KindRules(where=compile_filter(written, field="f", resource="r"))}
    )

    (used,) = found.attributes
    assert (used.name, used.field, used.only_presence) == ("title", "f.anyOf[0].allOf[0]", True)
    assert found.groups == {DN: "f.anyOf[1].allOf[0]"}


def test_the_example_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scope.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    spec = yaml.safe_load(block)["spec"] | {"target": {"entraTenantRef": {"name": "contoso"}}}

    written = DirectorySyncSpec.model_validate(spec)
    found = selection_rules(written.objects, resource="r")

    assert found.disabled == {SourceKind.CONTACT}
    assert found.nested_groups == {"CN=Pilot,OU=Groups,DC=contoso,DC=test"}
    assert [each.name for each in found.attributes] == ["employeeType"]
