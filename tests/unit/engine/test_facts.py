"""Which attributes are read, and that none is read in vain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from entrasync.api.choices import AnchorSource, JoinBy
from entrasync.api.objects import Objects
from entrasync.directory.schema import SchemaAttribute
from entrasync.engine.facts import AttributeRules, require_readable, usable_attributes
from entrasync.engine.flows import FlowRule, flow_set
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.source import DECIDING_ATTRIBUTES, OPTIONAL_ATTRIBUTES, SourceKind
from entrasync.errors import ConfigurationError
from entrasync.runner.inputs import selection_rules

FIELD = "spec.objects.users.where.anyOf[0].allOf[0].attribute"
AD = "ActiveDirectory/contoso"
FLOWS = flow_set()
RULES = AttributeRules(flows=FLOWS)


class Directory:
    """A schema with all that is required and some more, and what of it cannot be read."""

    def __init__(self, *names: str, hidden: tuple[str, ...] = (), **attribute: bool) -> None:
        flags = {"names_objects": False, "followed": True, "confidential": False} | attribute
        self.known = {
            name.lower(): SchemaAttribute(name=name, **flags) for name in (*RULES.required, *names)
        }
        self.hidden = hidden
        self.asked: Sequence[str] = ()

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        self.asked = names
        return {n.lower(): self.known[n.lower()] for n in names if n.lower() in self.known}

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.hidden)


def rules(attribute: str, operator: str = "IsNull") -> AttributeRules:
    clause: dict[str, Any] = {"attribute": attribute, "operator": operator}
    if operator != "IsNull":
        clause["value"] = "x"
    selection = selection_rules(
        Objects.model_validate({"users": {"where": {"anyOf": [{"allOf": [clause]}]}}}),
        resource="DirectorySync/contoso",
    )
    return AttributeRules(flows=FLOWS, selection=selection)


def by(anchor: str) -> AttributeRules:
    return AttributeRules(
        flows=FLOWS,
        selection=selection_rules(None, resource="DirectorySync/contoso"),
        anchors=AnchorRules(source=AnchorSource.ATTRIBUTE, attribute=anchor),
    )


def test_what_flows_and_what_decides_is_required() -> None:
    assert {*FLOWS.required, *DECIDING_ATTRIBUTES} == set(RULES.required)
    assert {*FLOWS.attributes, *OPTIONAL_ATTRIBUTES} <= {*RULES.required, *RULES.optional}


def test_optional_attributes_are_read_where_they_are() -> None:
    assert usable_attributes(Directory(), AD, RULES) == RULES.required
    everything = usable_attributes(Directory(*RULES.optional), AD, RULES)
    assert everything == (*RULES.required, *RULES.optional)
    assert len({name.lower() for name in everything}) == len(everything)


def test_attributes_of_filters_are_read_once_as_the_schema_spells_them() -> None:
    directory = Directory("roomNumber")

    assert usable_attributes(directory, AD, rules("ROOMNUMBER")) == (*RULES.required, "roomNumber")
    assert usable_attributes(directory, AD, rules("USERPRINCIPALNAME")) == RULES.required
    folded = [name.lower() for name in directory.asked]
    assert len(folded) == len(set(folded))


def test_the_attribute_of_anchors_is_read() -> None:
    assert "employeeNumber" in usable_attributes(
        Directory("employeeNumber"), AD, by("EmployeeNumber")
    )


@pytest.mark.parametrize(
    ("join", "name", "needed"),
    [
        (JoinBy.MAIL, "mail", True),
        (JoinBy.OBJECT_SID, "objectSid", True),
        (JoinBy.OBJECT_SID, "msExchMasterAccountSID", False),
    ],
)
def test_what_joins_users_is_read(join: JoinBy, name: str, *, needed: bool) -> None:
    joining = AttributeRules(flows=FLOWS, join_users=join)

    assert (name in joining.required) is needed
    assert name in {*joining.required, *joining.optional}


@pytest.mark.parametrize(
    ("directory", "wanted", "told"),
    [
        (Directory(), rules("roomNumber"), "is not in the directory's schema"),
        (Directory("tokenGroups", followed=False), rules("tokenGroups"), "cannot be followed"),
        (
            Directory("secretary", names_objects=True),
            rules("secretary", "Equal"),
            "only IsNull and IsNotNull",
        ),
    ],
)
def test_a_filter_that_can_find_nothing_is_refused(
    directory: Directory, wanted: AttributeRules, told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        usable_attributes(directory, AD, wanted)

    assert caught.value.reason == "SchemaAttributeMissing"
    assert (caught.value.resource, caught.value.field) == ("DirectorySync/contoso", FIELD)
    assert told in caught.value.message


def test_an_anchor_that_nobody_can_have_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        usable_attributes(Directory(), AD, by("employeeNumber"))

    assert caught.value.reason == "SchemaAttributeMissing"
    assert caught.value.field == "spec.sourceAnchor.attribute"
    assert caught.value.resource == "DirectorySync/contoso"


def test_presence_may_be_asked_of_references() -> None:
    directory = Directory("secretary", names_objects=True)

    assert "secretary" in usable_attributes(directory, AD, rules("secretary"))


def test_a_schema_that_lacks_what_every_directory_has_is_refused() -> None:
    directory = Directory()
    del directory.known["mail"]

    with pytest.raises(ConfigurationError) as caught:
        usable_attributes(directory, AD, RULES)

    assert (caught.value.reason, caught.value.resource) == ("SchemaAttributeMissing", AD)
    assert "mail" in caught.value.message


@pytest.mark.parametrize(
    ("hidden", "wanted", "resource", "field"),
    [
        ("roomNumber", rules("roomNumber"), "DirectorySync/contoso", FIELD),
        (
            "employeeNumber",
            by("employeeNumber"),
            "DirectorySync/contoso",
            "spec.sourceAnchor.attribute",
        ),
        ("mail", RULES, AD, "spec.bindSecretRef"),
        ("primaryGroupID", RULES, None, None),  # nothing depends on it alone
    ],
)
def test_what_can_be_read_of_nobody_is_refused(
    hidden: str, wanted: AttributeRules, resource: str | None, field: str | None
) -> None:
    directory = Directory("roomNumber", "employeeNumber", *OPTIONAL_ATTRIBUTES, hidden=(hidden,))
    attributes = usable_attributes(directory, AD, wanted)

    if resource is None:
        require_readable(directory, attributes, AD, wanted)
        return
    with pytest.raises(ConfigurationError) as caught:
        require_readable(directory, attributes, AD, wanted)

    assert caught.value.reason == "SchemaAttributeMissing"
    assert (caught.value.resource, caught.value.field) == (resource, field)
    assert hidden in caught.value.message


def test_a_flow_cannot_take_what_the_server_makes_up() -> None:
    """Its changes would never be told."""
    own = flow_set({SourceKind.USER: [FlowRule(target="extension_x", source="canonicalName")]})
    wanted = AttributeRules(flows=own, selection=by("x").selection)
    directory = Directory("canonicalName")
    made_up = replace(directory.known["canonicalname"], followed=False)
    directory.known["canonicalname"] = made_up

    with pytest.raises(ConfigurationError, match="canonicalName") as caught:
        usable_attributes(directory, AD, wanted)

    assert caught.value.reason == "SchemaAttributeMissing"
    assert (caught.value.resource, caught.value.field) == ("DirectorySync/contoso", "spec.objects")
