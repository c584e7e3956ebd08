"""Names and values of the sync service's contracts, each once.

Microsoft documents the service's behaviour, not its messages. Every name here was seen in working
clients unless its comment says otherwise: *inferred* follows from the rule of WCF data contracts
that members stand in ordinal order, *guessed* must be checked against a live answer first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from entrasync.entra.infoset import CodecError

CONTENT_TYPE: Final = "application/soap+msbin1"
SERVICE_PATH: Final = "/provisioningservice.svc"

NS_SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
NS_ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"
NS_SERVICE: Final = "http://schemas.microsoft.com/online/aws/change/2010/01"
NS_OBJECTS: Final = "http://schemas.microsoft.com/online/aws/change/2014/06"
NS_TOKEN: Final = "urn:microsoft.online.administrativeservice"  # noqa: S105 - a namespace
NS_FAULTS: Final = "http://schemas.datacontract.org/2004/07/Microsoft.Online.Coexistence.Schema"
NS_ARRAYS: Final = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
NS_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
NS_XSD: Final = "http://www.w3.org/2001/XMLSchema"

ACTION_PREFIX: Final = f"{NS_SERVICE}/IProvisioningWebService/"
ANONYMOUS: Final = f"{NS_ADDRESSING}/anonymous"
ACTION_ADDRESSING_FAULT: Final = f"{NS_ADDRESSING}/fault"
"""Action of faults; inferred, clients ignore it."""


class SyncVersion(StrEnum):
    """The two sets of operations: V2 sends memberships as changes."""

    V1 = "V1"
    V2 = "V2"


PROVISION: Final = {
    SyncVersion.V1: "ProvisionAzureADSyncObjects",
    SyncVersion.V2: "ProvisionAzureADSyncObjects2",
}
READ_BACK: Final = {
    SyncVersion.V1: "ReadBackAzureADSyncObjects",
    SyncVersion.V2: "ReadBackAzureADSyncObjects2",
}
COMPANY_CONFIGURATION: Final = "GetCompanyConfiguration"
FINALIZE_EXPORT: Final = "FinalizeExport"
CAPABILITIES: Final = "Capabilities"
"""Takes no members; its result is a string that holds an XML document."""

APPLICATION_IDS: Final = {
    SyncVersion.V1: "1651564e-7ce4-4d99-88be-0a65050d8dc3",
    SyncVersion.V2: "6eb59a73-39b2-4c23-a70f-e2e3ce8965b1",
}
"""What Entra Connect calls itself; configuration goes by the one of V1."""
DEFAULT_BUILD: Final = "2.5.79.0"
"""Lowest build the service accepts after 30 September 2026."""

SERVICE_APPLICATION: Final = "6bf85cfa-ac8a-4be5-b5de-425a0d0dc016"
"""Audience of tokens: Microsoft Entra AD Synchronization Service, the same in all clouds."""
SERVICE_ROLE: Final = "ADSynchronization.ReadWrite.All"

KEY_SOURCE_ANCHOR: Final = "SourceAnchor"
KEY_CLOUD_ANCHOR: Final = "CloudAnchor"
KEY_MEMBER: Final = "member"

RESULT_ERROR_CODE: Final = "ResultErrorCode"
"""Guessed: the codes are documented, the name of their element is not."""
ERROR_DETAILS: Final = "ErrorDetails"
"""Guessed: a list of keys and values."""
OUTPUT_COOKIE: Final = "OutputCookie"
"""Guessed; readers take any direct child whose name ends in `Cookie`."""
MORE_TO_READ: Final = "MoreToRead"
"""Guessed; readers take any direct child whose name begins with `More`."""
FAULT_CODE: Final = "ErrorCode"
"""Guessed: the number itself is certain, it stands in the fault's text too."""
FAULT_TRACKING_ID: Final = "TrackingId"
"""Guessed, as for the number."""
FAULT_SERVER_NAME: Final = "ServerName"
"""Guessed, as for the number."""
FAULT_DESCRIPTION: Final = "ErrorDescription"

REFERENCE_BY_CLOUD_ANCHOR: Final = 1
REFERENCE_BY_SOURCE_ANCHOR: Final = 2
CHANGE_ADD: Final = 1
CHANGE_REMOVE: Final = 2

BUSY_CODE: Final = 81
BUSY_TEXT: Final = (
    "Windows Azure Active Directory is currently busy. This operation will be retried"
    " automatically."
)
NOT_ACTIVATED_TEXT: Final = "Identity synchronization is not yet activated for this company"
ACCESS_DENIED_TEXT: Final = (
    "Access to Azure Active Directory has been denied. Contact Technical Support."
)
BUILD_WORDS: Final = ("version", "support")
"""Guessed: that a fault about a client that is too old has these words, in any case."""
COOKIE_WORD: Final = "cookie"
"""Guessed: that a fault about a cookie the service does not take names it, in any case."""


class ContractError(CodecError):
    """A well-formed document that does not keep to the contract."""


class SyncObjectType(StrEnum):
    """Kinds of objects this project exports."""

    USER = "User"
    GROUP = "Group"
    CONTACT = "Contact"
    DEVICE = "Device"


OBJECT_TYPES: Final = frozenset(each.value for each in SyncObjectType)


class SyncOperation(StrEnum):
    """What happens to an object; readers take `Add` for `Set`."""

    SET = "Set"
    DELETE = "Delete"


OPERATIONS: Final = frozenset({"Add", *(each.value for each in SyncOperation)})
"""Values of SyncOperation on the wire."""

PropertyValue = str | bool | int | bytes | tuple[str, ...] | tuple[bytes, ...] | None
"""A property's value; `None` clears it, an absent key keeps what is stored."""


class LinkChange(NamedTuple):
    """One member added to or removed from a group; a tuple, because they come in masses."""

    anchor: str
    add: bool
    by_cloud_anchor: bool = False
    """Whether `anchor` is a CloudAnchor; we always send SourceAnchors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncObject:
    """One object as it travels, in either direction.

    `properties` holds neither the anchors nor, in V2, the members; in V1 and in what is read back
    a tuple `member` is the whole membership. An object without SourceAnchor has an empty one.
    """

    object_type: SyncObjectType
    operation: SyncOperation
    source_anchor: str
    cloud_anchor: str | None = None
    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    links: tuple[LinkChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectResult:
    """What became of one exported object; success with a description is a warning."""

    source_anchor: str
    cloud_anchor: str | None = None
    success: bool
    code: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyConfiguration:
    """What the service says about a tenant."""

    tenant_id: str
    display_name: str = ""
    directory_sync_enabled: bool = False
    password_sync_enabled: bool = False
    features: tuple[str, ...] = ()
    feature_bits: int = 0
    anchor_attribute: str | None = None
    max_links_per_request: int = 15_000
    deletion_threshold: int | None = None
    """Most deletions of one export, `None` when the tenant has that switched off."""
    application_version: str | None = None
    client_version: str | None = None
    synchronization_interval: str | None = None
    total_objects: int = 0
    """Objects the last exporter said it holds; seen as `TotalConnectorSpaceObjects`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBackPage:
    """One answer of a read-back."""

    objects: tuple[SyncObject, ...]
    cookie: str | None = None
    """Where to go on; `None` when the answer had no cookie."""
    more: bool = False
    skipped: int = 0
    """Objects of kinds this project does not know, left alone."""
    restart: bool = False
    """Whether all pages before are void: the service no longer took the cookie, and what follows
    is the whole tenant from the start. Such a page holds no objects and is no answer itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncToken:
    """The header block that carries the caller's identity."""

    application_id: str
    bearer_token: str = field(repr=False)
    tracking_id: str
    client_version: str = "8.0"
    dirsync_build_number: str = DEFAULT_BUILD
    fim_build_number: str = DEFAULT_BUILD
    is_installed_on_dc: bool = False
    issue_date_time: str = "0001-01-01T00:00:00"
    language_id: str = "en-US"
    protocol_version: str = "2.0"
    rich_coexistence_enabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeader:
    """What stands in the header of every request."""

    to: str
    message_id: str
    """GUID without `urn:uuid:`."""
    token: SyncToken
