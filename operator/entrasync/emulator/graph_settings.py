"""What an administrator sets by Microsoft Graph: the organization and its synchronization."""

from __future__ import annotations

from typing import Final

from entrasync.emulator import graph_documents as documents
from entrasync.emulator.graph_calls import (
    Call,
    ConfigurationChange,
    OrganizationChange,
    SynchronizationChange,
    bad_request,
    no_content,
    not_found,
    one_or_many,
    read_change,
    require_get,
)
from entrasync.emulator.http import HttpResponse
from entrasync.emulator.service import feature_bits

_ORGANIZATION: Final = ("Organization", "Directory")
_SYNCHRONIZATION: Final = ("OnPremDirectorySynchronization",)


def organization(call: Call, tenant_id: str | None) -> HttpResponse:
    """The company; whether it syncs may be changed.

    Raises:
        GraphError: the application may not, or asks for something else.
    """
    known = call.tenant.config.tenant_id
    if tenant_id is not None and tenant_id.lower() != known:
        raise not_found(tenant_id)
    if call.request.method == "PATCH" and tenant_id is not None:
        call.require(_ORGANIZATION, write=True)
        change = read_change(call.request, OrganizationChange)
        call.tenant.company.enable_sync(on=change.on_premises_sync_enabled)
        return no_content()
    require_get(call)
    call.require(_ORGANIZATION)
    found = documents.selected(
        [documents.organization(call.tenant)], call.request.query.get("$select")
    )
    return one_or_many(call, "organization", found, one=tenant_id is not None)


def synchronization(call: Call, rest: list[str]) -> HttpResponse:
    """The settings of synchronization.

    Raises:
        GraphError: the application may not, or asks for something else.
    """
    known = call.tenant.config.tenant_id
    if len(rest) > 1 or (rest and rest[0].lower() != known):
        raise not_found("/".join(rest))
    if call.request.method == "PATCH" and rest:
        call.require(_SYNCHRONIZATION, write=True)
        _change_synchronization(call)
        return no_content()
    require_get(call)
    call.require(_SYNCHRONIZATION)
    bits = feature_bits(call.tenant)
    found = documents.selected(
        [documents.on_premises_synchronization(call.tenant, bits)],
        call.request.query.get("$select"),
    )
    return one_or_many(call, "directory/onPremisesSynchronization", found, one=bool(rest))


def _change_synchronization(call: Call) -> None:
    change, company = read_change(call.request, SynchronizationChange), call.tenant.company
    unknown = sorted(set(change.features or {}) - set(documents.FEATURE_BITS))
    if unknown:
        raise bad_request(f"Invalid property '{unknown[0]}'.")
    for name, on in (change.features or {}).items():
        company.set_features(documents.FEATURE_BITS[name], on=on)
    configuration = change.configuration or ConfigurationChange()
    prevention = configuration.accidental_deletion_prevention
    if prevention is not None:
        how, threshold = prevention.synchronization_prevention_type, prevention.alert_threshold
        company.prevent_deletions(
            company.deletion_prevention if how is None else how,
            company.alert_threshold if threshold is None else threshold,
        )
    interval = configuration.customer_requested_synchronization_interval
    if interval is not None:
        company.set_interval(interval)
