"""What the service's codes for single objects mean, and what helps.

The codes are documented, as are number 114 and the sentences about administrators and deletions
that come without a code. That a refusal for an object managed in the cloud says so in words is
inferred: its code is not known.
"""

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
REQUEST_REFUSED_CODE: Final = "RequestRefused"
"""Ours: every request with the object was refused as a whole, the object alone as well."""
MANAGED_IN_CLOUD_CODE: Final = "ManagedInCloud"
"""Ours: the object was converted to one that is managed in the cloud."""
LET_GO_CODE: Final = "LeftWithoutValue"
"""Ours: the object let go of a value for another one, and got neither its own nor the old one."""

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
        cause="mail, proxyAddresses, signInName or userPrincipalName has a value that another"
        " object has.",
        remedy="Find the other object in the tenant and give one of the two another value.",
    ),
    ObjectErrorHelp(
        code="DuplicateProxyAddress",
        cause="A mail address among proxyAddresses belongs to another object.",
        remedy="Find the other object in the tenant and remove the address from one of the two.",
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
        cause="The object is too large: more than 15 values of userCertificate or"
        " userSMIMECertificate, about 300 mail addresses, or more members than the endpoint takes.",
        remedy="Remove expired certificates and unused addresses from the source object, or divide"
        " the group.",
    ),
    ObjectErrorHelp(
        code="ExceededAllowedLength",
        cause="A value is longer than the tenant takes (250 characters in an extension attribute),"
        " or has too many parts.",
        remedy="Shorten the value in the source, or leave the attribute out of the flows.",
    ),
    ObjectErrorHelp(
        code="ExistingAdminRoleConflict",
        cause="The soft match hits a cloud user who holds an administrator role.",
        remedy="Take the role from the cloud user until the next run has matched it, or give the"
        " source object another address.",
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
        remedy="Nothing needs to be done: it is tried again, less and less often.",
    ),
    ObjectErrorHelp(
        code=REQUEST_REFUSED_CODE,
        cause="The service does not take a request with this object in it, not even by itself.",
        remedy="Look at the object's values in the source for one of a form that cannot be right,"
        " or leave it out of scope. It is tried again, less and less often, and at once when its"
        " values changed.",
    ),
    ObjectErrorHelp(
        code=LET_GO_CODE,
        cause="The object gave up a value to one that swaps with it; its own new value was refused"
        " and the old one is taken, so that it has a temporary user principal name or lacks a mail"
        " address.",
        remedy="Mend what its refusal in this run names; the new value is sent again in some hours,"
        " and at once when something about it changed.",
    ),
    ObjectErrorHelp(
        code="DeleteNotValid",
        cause="The delete is for an object that is not synchronized.",
        remedy="Nothing needs to be done if the object is gone or managed in the cloud; otherwise"
        " delete it in the tenant.",
    ),
    ObjectErrorHelp(
        code=MANAGED_IN_CLOUD_CODE,
        cause="The object was converted to one that is managed in the cloud, and takes nothing from"
        " a directory.",
        remedy="Leave the source object out of scope, or hand the cloud object back to the"
        " directory (`isCloudManaged: false` of its `onPremisesSyncBehavior`).",
    ),
)

OBJECT_ERRORS: Final = {each.code: each for each in _HELP}
"""Help by symbolic code."""

_BY_NUMBER: Final = {"114": "DeleteNotValid", "0x8023134a": "DeleteNotValid"}
"""Types the service tells by number; Entra Connect shows 114 as this HRESULT."""
_BY_NAME: Final = {code.lower(): code for code in OBJECT_ERRORS} | {
    "onpremisessyncblocked": MANAGED_IN_CLOUD_CODE  # guessed: what the service calls it
}
_BY_TEXT: Final = (
    ("synchronization operation, delete, is not valid", "DeleteNotValid"),
    ("deleting a cloud-only object", "DeleteNotValid"),
    ("0x8023134a", "DeleteNotValid"),
    ("existing admin role conflict", "ExistingAdminRoleConflict"),
    ("hard match operation blocked", "AttributeUpdateNotAllowed"),
    ("already associated with another object", "AttributeValueMustBeUnique"),
    ("already be associated with another object", "AttributeValueMustBeUnique"),
    ("blockonpremisessync", MANAGED_IN_CLOUD_CODE),
    ("iscloudmanaged", MANAGED_IN_CLOUD_CODE),
    ("cloud-managed", MANAGED_IN_CLOUD_CODE),
    ("managed in the cloud", MANAGED_IN_CLOUD_CODE),
)
"""Sentences, in lower case, that tell a failure where no code does; the first that is found."""
UNKNOWN_CODE: Final = "UnknownError"


def error_code(code: str | None, description: str | None) -> str:
    """The symbolic code of a failure, from its text where the service sent none.

    A code that is not known is passed on as it is.
    """
    if code and code.strip():
        spelled = "".join(code.split()).lower()
        return _BY_NUMBER.get(spelled) or _BY_NAME.get(spelled) or code.strip()
    text = (description or "").lower()
    # the longest: the names of some codes end in the name of another
    named = max((each for each in _BY_NAME if each in text), key=len, default=None)
    if named is not None:
        return _BY_NAME[named]
    return next((found for part, found in _BY_TEXT if part in text), UNKNOWN_CODE)


def explain(code: str) -> ObjectErrorHelp:
    """Cause and remedy of a code, a general one where it is not known."""
    return OBJECT_ERRORS.get(code) or ObjectErrorHelp(
        code=code,
        cause="The service refused the object.",
        remedy="Read the service's own sentence. The object is tried again, less and less often,"
        " and at once when its values changed.",
    )
