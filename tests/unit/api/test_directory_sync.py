"""What a DirectorySync and a SyncRun say, and which defaults stand in the schema."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from entrasync.api.choices import (
    AnchorSource,
    Apply,
    DriftPolicy,
    JoinBy,
    Merge,
    OnBlocked,
    OnRemoval,
    OrphanPolicy,
    Takeover,
)
from entrasync.api.crds import build_crd
from entrasync.api.directory_sync import DirectorySync, DirectorySyncSpec
from entrasync.api.sync_run import RunMode, SyncRun, SyncRunSpec
from tests.support import samples

SOURCE = {"name": "contoso", "activeDirectoryRef": {"name": "contoso"}}


def spec(**more: Any) -> DirectorySyncSpec:
    return samples.sync(**more).spec


def run_spec(**more: Any) -> SyncRunSpec:
    return samples.run(spec=more).spec


def schema(resource: type[DirectorySync | SyncRun], path: str) -> dict[str, Any]:
    node: dict[str, Any] = build_crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in path.split("."):
        node = node["items"] if name == "[]" else node["properties"][name]
    return node


def test_the_smallest_sync_has_the_documented_defaults() -> None:
    smallest = spec()

    assert (smallest.orphans, smallest.drift) == (OrphanPolicy.REPORT, DriftPolicy.REPAIR)
    assert (smallest.join, smallest.matching, smallest.safety, smallest.reporting) == (None,) * 4


def test_empty_parts_have_the_documented_defaults() -> None:
    written = spec(
        join={}, matching={}, safety={}, reporting={}, objects={"users": {}, "groups": {}}
    )

    assert written.join is not None
    assert written.join.users is JoinBy.NONE
    assert written.matching is not None
    assert (written.matching.soft, written.matching.hard) == (Takeover.REFUSE, Takeover.REFUSE)
    assert written.safety is not None
    assert written.safety.on_blocked is OnBlocked.STOP_ALL
    assert written.reporting is not None
    assert written.reporting.names is False
    assert written.objects is not None
    assert written.objects.users is not None
    assert written.objects.users.on_removal is OnRemoval.DELETE
    assert written.objects.groups is not None
    assert written.objects.groups.on_removal is OnRemoval.DELETE


def test_a_flow_has_its_defaults_in_code_and_none_in_the_schema() -> None:
    objects = {"users": {"flows": [{"target": "department", "source": "division"}]}}
    written = spec(objects=objects).objects

    assert written is not None
    assert written.users is not None
    (flow,) = written.users.flows or []
    assert (flow.apply, flow.merge, flow.omit) == (Apply.ALWAYS, Merge.UPDATE, False)
    properties = schema(DirectorySync, "spec.objects.users.flows.[]")["properties"]
    assert not any("default" in each for each in properties.values())


def test_limits_may_be_named_one_by_one() -> None:
    safety = spec(safety={"disables": {"percent": 1}, "clears": {"count": 0}}).safety

    assert safety is not None
    assert safety.disables is not None
    assert (safety.disables.count, safety.disables.percent) == (None, 1)
    assert safety.clears is not None
    assert safety.clears.count == 0


@pytest.mark.parametrize(("kind", "value"), [("groups", "Disable"), ("contacts", "Disable")])
def test_only_users_can_be_disabled(kind: str, value: str) -> None:
    assert spec(objects={"users": {"onRemoval": value}}).objects is not None
    with pytest.raises(ValidationError):
        spec(objects={kind: {"onRemoval": value}})
    assert schema(DirectorySync, f"spec.objects.{kind}.onRemoval")["enum"] == ["Delete", "Keep"]


@pytest.mark.parametrize(
    "more",
    [
        {"sources": []},
        {"sources": [SOURCE | {"name": f"s{number}"} for number in range(17)]},
        {"sourceAnchor": {"from": "Mail"}},
        {"sourceAnchor": {"from": "Attribute", "attribute": "employee id"}},
        {"join": {"users": "Name"}},
        {"safety": {"clears": {"percent": 5}}},
        {"safety": {"onBlocked": "GoOn"}},
        {"matching": {"soft": "Sometimes"}},
        {"objects": {"users": {"flows": [{"source": "mail"}]}}},
        {"objects": {"users": {"flows": [{"target": "mail", "expression": "[mail]"}]}}},
        {"objects": {"users": {"flows": [{"target": "x y", "source": "mail"}]}}},
        {"objects": {"users": {"flows": [{"target": f"t{n}", "omit": True} for n in range(129)]}}},
    ],
)
def test_what_does_not_fit_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**more)


def test_sixteen_sources_keep_their_order() -> None:
    names = [f"s{number}" for number in range(16, 0, -1)]
    written = spec(sources=[SOURCE | {"name": name} for name in names])

    assert [source.name for source in written.sources] == names


def test_an_anchor_may_come_from_an_attribute() -> None:
    anchor = spec(sourceAnchor={"from": "Attribute", "attribute": "employeeID"}).source_anchor

    assert anchor is not None
    assert (anchor.from_, anchor.attribute) == (AnchorSource.ATTRIBUTE, "employeeID")
    assert not anchor.stamp


def test_a_report_names_a_run_or_an_object() -> None:
    of_run = run_spec(mode="Report", report={"run": "contoso-1"})
    of_object = run_spec(mode="Report", report={"explain": {"object": "ann@contoso.test"}})

    assert of_run.mode is RunMode.REPORT
    assert of_run.report is not None
    assert of_run.report.run == "contoso-1"
    assert of_object.report is not None
    assert of_object.report.explain is not None
    assert of_object.report.explain.object == "ann@contoso.test"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("spec.report", "exactly one of `run` and `explain` must be specified"),
        ("spec", "`report` must be specified when `mode` is Report, and only then"),
        ("spec", "`scope` and `approvedPlan` may not be specified when `mode` is Report"),
    ],
)
def test_rules_of_reports_are_told_by_the_schema(path: str, message: str) -> None:
    told = [rule["message"] for rule in schema(SyncRun, path)["x-kubernetes-validations"]]

    assert message in told


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "spec.sourceAnchor",
            "`attribute` must be specified when `from` is Attribute, and only then",
        ),
        ("spec.sourceAnchor", "`stamp` may only be true when `from` is ConsistencyGuid"),
        ("spec.objects.users.flows", "each `target` must be named by one flow only"),
        (
            "spec.objects.contacts.flows.[]",
            "exactly one of `source`, `constant` and `omit: true` must be specified",
        ),
    ],
)
def test_rules_across_fields_are_told_by_the_schema(path: str, message: str) -> None:
    told = [rule["message"] for rule in schema(DirectorySync, path)["x-kubernetes-validations"]]

    assert message in told


def test_a_sync_run_must_not_change_in_any_field_but_cancel() -> None:
    (rule,) = [r for r in SyncRunSpec.validations if "create a new one" in r["message"]]
    fields = set(schema(SyncRun, "spec")["properties"]) - {"cancel"}

    for field in fields:
        assert f"self.{field} == oldSelf.{field}" in rule["rule"], field
