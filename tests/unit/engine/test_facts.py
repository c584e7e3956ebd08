"""Which attributes are read, and that none is read in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from entrasync.api.objects import Objects
from entrasync.directory.schema import SchemaAttribute
from entrasync.engine.facts import require_readable, usable_attributes
from entrasync.engine.selection import SelectionRules
from entrasync.engine.source import OPTIONAL_ATTRIBUTES, SOURCE_ATTRIBUTES
from entrasync.errors import ConfigurationError
from entrasync.runner.inputs import selection_rules

FIELD = "spec.objects.users.where.anyOf[0].allOf[0].attribute"
AD = "ActiveDirectory/contoso"


class Directory:
    """A schema, and what of it cannot be read."""

    def __init__(self, *names: str, hidden: tuple[str, ...] = (), **attribute: bool) -> None:
        flags = {"names_objects": False, "followed": True, "confidential": False} | attribute
        self.known = {
            name.lower(): SchemaAttribute(name=name, **flags)
            for name in (*SOURCE_ATTRIBUTES, *names)
        }
        self.hidden = hidden

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        return {n.lower(): self.known[n.lower()] for n in names if n.lower() in self.known}

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.hidden)


def selection(attribute: str, operator: str = "IsNull") -> SelectionRules:
    clause: dict[str, Any] = {"attribute": attribute, "operator": operator}
    if operator != "IsNull":
        clause["value"] = "x"
    return selection_rules(
        Objects.model_validate({"users": {"where": {"anyOf": [{"allOf": [clause]}]}}}),
        resource="DirectorySync/contoso",
    )


def test_optional_attributes_are_read_where_they_are() -> None:
    assert usable_attributes(Directory(), AD) == SOURCE_ATTRIBUTES
    assert usable_attributes(Directory(*OPTIONAL_ATTRIBUTES), AD) == (
        *SOURCE_ATTRIBUTES,
        *OPTIONAL_ATTRIBUTES,
    )


def test_attributes_of_filters_are_read_once_as_the_schema_spells_them() -> None:
    directory = Directory("roomNumber")

    assert usable_attributes(directory, AD, selection("ROOMNUMBER")) == (
        *SOURCE_ATTRIBUTES,
        "roomNumber",
    )
    assert usable_attributes(directory, AD, selection("EMPLOYEETYPE")) == SOURCE_ATTRIBUTES


@pytest.mark.parametrize(
    ("directory", "rules", "told"),
    [
        (Directory(), selection("roomNumber"), "is not in the directory's schema"),
        (Directory("tokenGroups", followed=False), selection("tokenGroups"), "cannot be followed"),
        (
            Directory("secretary", names_objects=True),
            selection("secretary", "Equal"),
            "only IsNull and IsNotNull",
        ),
    ],
)
def test_a_filter_that_can_find_nothing_is_refused(
    directory: Directory, rules: SelectionRules, told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        usable_attributes(directory, AD, rules)

    assert caught.value.reason == "SchemaAttributeMissing"
    assert (caught.value.resource, caught.value.field) == ("DirectorySync/contoso", FIELD)
    assert told in caught.value.message


def test_presence_may_be_asked_of_references() -> None:
    directory = Directory("secretary", names_objects=True)

    assert "secretary" in usable_attributes(directory, AD, selection("secretary"))


def test_a_schema_that_lacks_what_every_directory_has_is_refused() -> None:
    directory = Directory()
    del directory.known["mail"]

    with pytest.raises(ConfigurationError) as caught:
        usable_attributes(directory, AD)

    assert (caught.value.reason, caught.value.resource) == ("SchemaAttributeMissing", AD)
    assert "mail" in caught.value.message


@pytest.mark.parametrize(
    ("hidden", "resource", "field"),
    [
        ("roomNumber", "DirectorySync/contoso", FIELD),
        ("mail", AD, "spec.bindSecretRef"),
        ("mailNickname", None, None),  # nothing depends on it alone
    ],
)
def test_what_can_be_read_of_nobody_is_refused(
    hidden: str, resource: str | None, field: str | None
) -> None:
    directory = Directory("roomNumber", *OPTIONAL_ATTRIBUTES, hidden=(hidden,))
    rules = selection("roomNumber")
    attributes = usable_attributes(directory, AD, rules)

    if resource is None:
        require_readable(directory, attributes, AD, rules)
        return
    with pytest.raises(ConfigurationError) as caught:
        require_readable(directory, attributes, AD, rules)

    assert caught.value.reason == "SchemaAttributeMissing"
    assert (caught.value.resource, caught.value.field) == (resource, field)
    assert hidden in caught.value.message
