"""Resources of Microsoft Graph as documents; names and defaults are documented."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from entrasync.emulator.objects import KEY_OBJECT_IDENTIFIER, CloudObject
from entrasync.emulator.tenant import RunningTenant
from entrasync.entra.contracts import SyncObjectType

FEATURE_BITS: Final[Mapping[str, int]] = {
    "blockCloudObjectTakeoverThroughHardMatchEnabled": 1048576,
    "blockSoftMatchEnabled": 524288,
    "bypassDirSyncOverridesEnabled": 0,
    "cloudPasswordPolicyForPasswordSyncedUsersEnabled": 512,
    "concurrentCredentialUpdateEnabled": 0,
    "concurrentOrgIdProvisioningEnabled": 0,
    "deviceWritebackEnabled": 4096,
    "directoryExtensionsEnabled": 4,
    "fopeConflictResolutionEnabled": 0,
    "groupWriteBackEnabled": 0,
    "passwordSyncEnabled": 1,
    "passwordWritebackEnabled": 2,
    "quarantineUponProxyAddressesConflictEnabled": 32,
    "quarantineUponUpnConflictEnabled": 8,
    "softMatchOnUpnEnabled": 16,
    "synchronizeUpnForManagedUsersEnabled": 8192,
    "unifiedGroupWritebackEnabled": 1024,
    "userForcePasswordChangeOnLogonEnabled": 16384,
    "userWritebackEnabled": 2048,
}
"""Names of features in Graph and their bits at the sync service: both documented or seen, that
they belong together is inferred from the names. 0: the service has no bit that is known."""

_USER_DEFAULT: Final = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
)
"""What Graph answers when a request names no properties."""

_USER_ATTRIBUTES: Final = {
    "accountEnabled": "accountEnabled",
    "city": "city",
    "companyName": "company",
    "country": "country",
    "department": "department",
    "displayName": "displayName",
    "employeeId": "employeeId",
    "employeeType": "employeeType",
    "givenName": "givenName",
    "jobTitle": "title",
    "mobilePhone": "mobile",
    "officeLocation": "physicalDeliveryOfficeName",
    "onPremisesDistinguishedName": "onPremisesDistinguishedName",
    "onPremisesDomainName": "dnsDomainName",
    "onPremisesSamAccountName": "onPremisesSamAccountName",
    "postalCode": "postalCode",
    "preferredLanguage": "preferredLanguage",
    "state": "state",
    "streetAddress": "streetAddress",
    "surname": "surname",
    "usageLocation": "usageLocation",
    "userType": "userType",
}
"""Properties of a user and the attributes of the sync service they are made of; inferred."""

_GROUP_ATTRIBUTES: Final = {
    "description": "description",
    "displayName": "displayName",
    "onPremisesDomainName": "dnsDomainName",
    "onPremisesSamAccountName": "onPremisesSamAccountName",
    "securityEnabled": "securityEnabled",
}
_CONTACT_ATTRIBUTES: Final = {
    "companyName": "company",
    "department": "department",
    "displayName": "displayName",
    "givenName": "givenName",
    "jobTitle": "title",
    "surname": "surname",
}
_TYPES: Final = {
    SyncObjectType.USER: "#microsoft.graph.user",
    SyncObjectType.GROUP: "#microsoft.graph.group",
    SyncObjectType.CONTACT: "#microsoft.graph.orgContact",
    SyncObjectType.DEVICE: "#microsoft.graph.device",
}


def id_of(each: CloudObject) -> str:
    """The object id, which its CloudAnchor holds behind its type."""
    return each.cloud_anchor.partition("_")[2]


def organization(tenant: RunningTenant) -> dict[str, Any]:
    """The company. Where sync was never on, Graph says null; the emulator does not tell that."""
    config, company = tenant.config, tenant.company
    domains = [config.initial_domain, *config.verified_domains]
    return {
        "id": config.tenant_id,
        "displayName": config.display_name,
        "tenantType": "AAD",
        "onPremisesSyncEnabled": tenant.is_syncing,
        "onPremisesLastSyncDateTime": company.last_sync,
        "verifiedDomains": [
            {
                "name": domain,
                "type": "Managed",
                "isInitial": index == 0,
                "isDefault": domain == domains[-1],
                "capabilities": "Email, OfficeCommunicationsOnline",
            }
            for index, domain in enumerate(domains)
        ],
    }


def on_premises_synchronization(tenant: RunningTenant, feature_bits: int) -> dict[str, Any]:
    """Settings of directory synchronization."""
    company = tenant.company
    return {
        "id": tenant.config.tenant_id,
        "configuration": {
            "accidentalDeletionPrevention": {
                "synchronizationPreventionType": company.deletion_prevention.value,
                "alertThreshold": company.alert_threshold,
            },
            "customerRequestedSynchronizationInterval": company.synchronization_interval,
            "synchronizationInterval": company.synchronization_interval,
        },
        "features": {name: bool(bit & feature_bits) for name, bit in FEATURE_BITS.items()},
    }


def user(each: CloudObject) -> dict[str, Any]:
    """A user, with everything a request may name."""
    document = _attributes(each, _USER_ATTRIBUTES)
    phone = each.attributes.text("telephoneNumber")
    return document | {
        "businessPhones": [] if phone is None else [phone],
        "id": id_of(each),
        "accountEnabled": document["accountEnabled"] is not False,
        "onPremisesImmutableId": each.source_anchor or None,
        "mail": each.mail,
        "mailNickname": each.names.mail_nickname,
        "onPremisesSyncEnabled": True if each.synced else None,
        "proxyAddresses": list(each.calculated_proxy_addresses),
        "userPrincipalName": each.user_principal_name,
        "onPremisesProvisioningErrors": _provisioning_errors(each),
    }


def user_defaults(document: dict[str, Any]) -> dict[str, Any]:
    """A user for a request that names no properties."""
    return {name: document[name] for name in _USER_DEFAULT}


def user_in_beta(each: CloudObject) -> dict[str, Any]:
    """A user as the beta of Graph tells more of it."""
    identifier = each.attributes.get(KEY_OBJECT_IDENTIFIER)
    return user(each) | {"onPremisesObjectIdentifier": _plain(identifier)}


def deleted_user(each: CloudObject) -> dict[str, Any]:
    """A deleted user: its name begins with its id, so that another one may take it."""
    document = user(each)
    name = document["userPrincipalName"]
    prefix = id_of(each).replace("-", "")
    return document | {"userPrincipalName": None if name is None else prefix + name}


def contact(each: CloudObject) -> dict[str, Any]:
    """An organizational contact."""
    return _attributes(each, _CONTACT_ATTRIBUTES) | {
        "id": id_of(each),
        "mail": each.mail,
        "mailNickname": each.names.mail_nickname,
        "onPremisesSyncEnabled": True if each.synced else None,
        "proxyAddresses": list(each.calculated_proxy_addresses),
        "onPremisesProvisioningErrors": _provisioning_errors(each),
    }


def group(each: CloudObject) -> dict[str, Any]:
    """A group."""
    document = _attributes(each, _GROUP_ATTRIBUTES)
    proxies = list(each.calculated_proxy_addresses)
    return document | {
        "id": id_of(each),
        "groupTypes": [],
        "mail": each.mail,
        "mailNickname": each.names.mail_nickname,
        "mailEnabled": bool(proxies),
        "securityEnabled": document["securityEnabled"] is not False,
        "onPremisesSyncEnabled": True if each.synced else None,
        "proxyAddresses": proxies,
        "onPremisesProvisioningErrors": _provisioning_errors(each),
    }


def member(each: CloudObject) -> dict[str, Any]:
    """A member of a group, of whatever type."""
    typed = {"@odata.type": _TYPES[each.object_type]}
    match each.object_type:
        case SyncObjectType.USER:
            return typed | user_defaults(user(each))
        case SyncObjectType.GROUP:
            return typed | group(each)
        case SyncObjectType.CONTACT | SyncObjectType.DEVICE:
            name = each.attributes.text("displayName")
            return typed | {"id": id_of(each), "displayName": name}


def _attributes(each: CloudObject, names: Mapping[str, str]) -> dict[str, Any]:
    return {name: _plain(each.attributes.get(key)) for name, key in names.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _provisioning_errors(each: CloudObject) -> list[dict[str, Any]]:
    return [
        {"category": "PropertyConflict", "propertyCausingError": name, "value": value}
        for name, values in sorted(each.quarantined.items())
        for value in values
    ]


Document = Callable[[CloudObject], dict[str, Any]]


def selected(documents: Iterable[dict[str, Any]], names: str | None) -> list[dict[str, Any]]:
    """Documents with the properties `$select` names only; unknown names are passed over."""
    if not names:
        return list(documents)
    wanted = {name.strip() for name in names.split(",")} | {"@odata.type"}
    return [{name: each[name] for name in each if name in wanted} for each in documents]
