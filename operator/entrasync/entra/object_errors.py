"""What the service's codes for single objects mean, and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectErrorHelp:
    """Cause and remedy of a code, a sentence each."""

    code: str
    cause: str
    remedy: str


NO_RESULT_CODE: Final = "NoResult"
"""Ours: the service's answer does not mention the object."""

_HELP: Final = (
    ObjectErrorHelp(
        code="InvalidSoftMatch",
        cause="A mail address or the user principal name belongs to a cloud object that is tied"
        " to another anchor, or taking over by soft match is blocked in the tenant.",
        remedy="Give one of the two objects another address, or remove the cloud object's"
        " immutable id if both are the same person.",
    ),
    ObjectErrorHelp(
        code="InvalidHardMatch",
        cause="A cloud-managed object has this anchor already, and taking over by hard match is"
        " blocked in the tenant.",
        remedy="Unblock the takeover in the tenant for the time of one run, or delete the cloud"
        " object.",
    ),
    ObjectErrorHelp(
        code="AttributeUpdateNotAllowed",
        cause="The cloud object is tied to another directory object or may hold a privileged"
        " role, and is not taken over.",
        remedy="Remove the role or the tie of the cloud object, or leave the source object out of"
        " scope.",
    ),
    ObjectErrorHelp(
        code="ObjectTypeMismatch",
        cause="A mail address belongs to a cloud object of another type.",
        remedy="Change the address of one of the two, or delete the cloud object.",
    ),
    ObjectErrorHelp(
        code="AttributeValueMustBeUnique",
        cause="mail, proxyAddresses or userPrincipalName has a value that another object has.",
        remedy="Find the other object in the tenant and give one of the two another value.",
    ),
    ObjectErrorHelp(
        code="QuarantinedAttributeValueMustBeUnique",
        cause="The object was accepted, but one value is quarantined because another object has"
        " it.",
        remedy="Give one of the two objects another value; the tenant then releases it.",
    ),
    ObjectErrorHelp(
        code="IdentityDataValidationFailed",
        cause="The user principal name has characters or a form the tenant refuses.",
        remedy="Correct userPrincipalName in the source: letters, digits and . - _ ! # ^ ~ before"
        " a verified domain.",
    ),
    ObjectErrorHelp(
        code="DataValidationFailed",
        cause="A value has characters or a form the tenant refuses.",
        remedy="Correct the value in the source.",
    ),
    ObjectErrorHelp(
        code="FederatedDomainChangeError",
        cause="The user principal name would move from one federated domain to another.",
        remedy="Move it to the tenant's initial domain first, and in a later run to the new one.",
    ),
    ObjectErrorHelp(
        code="LargeObject",
        cause="The object is too large: more than 15 certificates, or about 300 mail addresses.",
        remedy="Remove expired certificates and unused addresses from the source object.",
    ),
    ObjectErrorHelp(
        code="ExceededAllowedLength",
        cause="A value is longer than the tenant takes, or has too many parts.",
        remedy="Shorten the value in the source, or leave the attribute out of the flows.",
    ),
    ObjectErrorHelp(
        code="ExistingAdminRoleConflict",
        cause="The soft match hits a cloud user who holds an administrator role.",
        remedy="Take the role from the cloud user for the time of one run, or use another address.",
    ),
    ObjectErrorHelp(
        code="ReferenceNotFound",
        cause="A member of the group is not in the tenant.",
        remedy="Nothing needs to be done: the next run reads the tenant back and sends what is"
        " still wanted.",
    ),
    ObjectErrorHelp(
        code=NO_RESULT_CODE,
        cause="The service's answer does not mention the object.",
        remedy="Nothing needs to be done: it is tried again in the next run.",
    ),
    ObjectErrorHelp(
        code="DeleteNotValid",
        cause="The delete is for an object that is not synchronized.",
        remedy="Nothing needs to be done if the object is gone or managed in the cloud.",
    ),
)

OBJECT_ERRORS: Final = {each.code: each for each in _HELP}
"""Help by symbolic code."""

_BY_NUMBER: Final = {"114": "DeleteNotValid"}
"""Types the service tells by number; Entra Connect shows 114 as HRESULT 0x8023134a."""
_BY_TEXT: Final = (
    ("synchronization operation, Delete, is not valid", "DeleteNotValid"),
    ("Deleting a cloud-only object", "DeleteNotValid"),
    ("Existing Admin Role Conflict", "ExistingAdminRoleConflict"),
    ("already associated with another object", "AttributeValueMustBeUnique"),
)
UNKNOWN_CODE: Final = "UnknownError"


def error_code(code: str | None, description: str | None) -> str:
    """The symbolic code of a failure, from its text where the service sent none."""
    if code:
        return _BY_NUMBER.get(code, code)
    text = description or ""
    for part, named in _BY_TEXT:
        if part in text:
            return named
    # the longest: the names of some codes end in the name of another
    return max((each for each in OBJECT_ERRORS if each in text), key=len, default=UNKNOWN_CODE)


def explain(code: str) -> ObjectErrorHelp:
    """Cause and remedy of a code, a general one where it is not known."""
    return OBJECT_ERRORS.get(code) or ObjectErrorHelp(
        code=code,
        cause="The service refused the object.",
        remedy="Read the service's own sentence; the object is tried again in the next run.",
    )
