"""Codes of single objects: named even where the service sends a number or a text only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.object_errors import (
    MANAGED_IN_CLOUD_CODE,
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
        (" 114 ", None, "DeleteNotValid"),
        ("0x8023134A", None, "DeleteNotValid"),
        ("999", "text", "999"),
        ("OnPremisesSyncBlocked", None, "ManagedInCloud"),
        ("invalidsoftmatch", None, "InvalidSoftMatch"),
        ("Existing Admin Role Conflict", None, "ExistingAdminRoleConflict"),
        (" ", ADMIN, "ExistingAdminRoleConflict"),
        (None, ADMIN.lower(), "ExistingAdminRoleConflict"),
        (None, "stopped with HRESULT 0x8023134a", "DeleteNotValid"),
        (
            None,
            (
                "Unable to update this object because the following attributes associated with"
                " this object have values that may already be associated with another object in"
                " your local directory services: [ProxyAddresses]."
            ),
            "AttributeValueMustBeUnique",
        ),
        (
            None,
            "Hard match operation blocked due to security hardening.",
            "AttributeUpdateNotAllowed",
        ),
        (None, "The object is set to blockOnPremisesSync.", MANAGED_IN_CLOUD_CODE),
        (None, "The object is cloud-managed.", MANAGED_IN_CLOUD_CODE),
        (None, "InvalidHardMatch: a cloud-managed object has it", "InvalidHardMatch"),
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


DOCUMENTED = [
    ("InvalidSoftMatch", "Give one of the two objects another address"),
    ("InvalidHardMatch", "Unblock the takeover"),
    ("ObjectTypeMismatch", "Change the address"),
    ("AttributeValueMustBeUnique", "Find the other object"),
    ("DuplicateProxyAddress", "Find the other object"),
    ("QuarantinedAttributeValueMustBeUnique", "Give one of the two objects another value"),
    ("IdentityDataValidationFailed", "Correct userPrincipalName"),
    ("DataValidationFailed", "Correct the value"),
    ("FederatedDomainChangeError", "initial domain first"),
    ("LargeObject", "Remove expired certificates"),
    ("ExceededAllowedLength", "Shorten the value"),
    ("AttributeUpdateNotAllowed", "Remove the role or the tie"),
    ("Existing Admin Role Conflict", "Take the role"),
    ("114", "delete it in the tenant"),
]


@pytest.mark.parametrize(("code", "remedy"), DOCUMENTED)
def test_every_documented_code_explains_itself(code: str, remedy: str) -> None:
    found = explain(error_code(code, None))

    assert found.code in OBJECT_ERRORS
    assert remedy in found.remedy


def test_what_the_cloud_manages_has_help_of_its_own() -> None:
    assert "managed in the cloud" in explain(MANAGED_IN_CLOUD_CODE).cause


@given(st.none() | st.text(), st.none() | st.text())
def test_any_failure_has_a_code_and_help(code: str | None, description: str | None) -> None:
    found = error_code(code, description)

    assert found
    assert explain(found).remedy


def test_a_code_not_known_has_general_help() -> None:
    found = explain("SomethingNew")

    assert found.code == "SomethingNew"
    assert "service" in found.remedy


def test_our_own_code_has_help_as_well() -> None:
    assert NO_RESULT_CODE in OBJECT_ERRORS
