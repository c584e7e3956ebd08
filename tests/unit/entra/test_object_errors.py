"""Codes of single objects: named even where the service sends a number or a text only."""

from __future__ import annotations

import pytest

from entrasync.entra.object_errors import (
    NO_RESULT_CODE,
    OBJECT_ERRORS,
    UNKNOWN_CODE,
    error_code,
    explain,
)

ADMIN = "Existing Admin Role Conflict with a user"


@pytest.mark.parametrize(
    ("code", "description", "expected"),
    [
        ("InvalidSoftMatch", None, "InvalidSoftMatch"),
        ("SomethingNew", "AttributeValueMustBeUnique", "SomethingNew"),
        ("114", None, "DeleteNotValid"),
        ("999", "text", "999"),
        (
            None,
            "This synchronization operation, Delete, is not valid. Contact Technical Support.",
            "DeleteNotValid",
        ),
        ("", "Deleting a cloud-only object isn't supported", "DeleteNotValid"),
        (None, ADMIN, "ExistingAdminRoleConflict"),
        (None, "... is already associated with another object.", "AttributeValueMustBeUnique"),
        (None, "InvalidSoftMatch: two objects", "InvalidSoftMatch"),
        (None, "no word of a code", UNKNOWN_CODE),
        (None, None, UNKNOWN_CODE),
    ],
)
def test_a_failure_has_a_code(code: str | None, description: str | None, expected: str) -> None:
    assert error_code(code, description) == expected


@pytest.mark.parametrize("code", sorted(OBJECT_ERRORS))
def test_a_code_is_found_in_a_text_that_names_it(code: str) -> None:
    # `QuarantinedAttributeValueMustBeUnique` contains the name of another code
    assert error_code(None, f"Error: {code}.") == code


@pytest.mark.parametrize("code", sorted(OBJECT_ERRORS))
def test_every_code_has_a_cause_and_a_remedy(code: str) -> None:
    found = explain(code)

    assert found.code == code
    assert found.cause.endswith(".")
    assert found.remedy.endswith(".")


def test_a_code_not_known_has_general_help() -> None:
    found = explain("SomethingNew")

    assert found.code == "SomethingNew"
    assert "service" in found.remedy


def test_our_own_code_has_help_as_well() -> None:
    assert NO_RESULT_CODE in OBJECT_ERRORS
