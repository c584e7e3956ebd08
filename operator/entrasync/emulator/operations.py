"""What the operations of the sync service do to a tenant; the caller holds its lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.emulator.readback import CookieError, read_page
from entrasync.emulator.refusals import (
    COOKIE_TEXT,
    TOO_MANY_LINKS_TEXT,
    TOO_MANY_OBJECTS_TEXT,
    FaultError,
)
from entrasync.emulator.switches import Switches
from entrasync.emulator.tenant import RunningTenant
from entrasync.entra.capabilities import Capabilities, encode_capabilities_response
from entrasync.entra.contracts import (
    SyncObject,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.requests import ReadBackRequest
from entrasync.entra.responses import encode_provision_response, encode_read_back_response

_CAPABILITIES: Final = Capabilities(latest_product_version="3.2", minimum_product_version="1.0")
"""As in the sample that was seen."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a request that took effect, and what the log of requests counts."""

    body: bytes
    counts: Mapping[str, int] = field(default_factory=dict)


def provision(
    tenant: RunningTenant,
    version: SyncVersion,
    changes: Sequence[SyncObject],
    relates_to: str,
    now: float,
) -> Outcome:
    """Applies an export.

    Args:
        tenant: to what.
        version: V1 or V2.
        changes: what is exported.
        relates_to: message id of the request.
        now: the time in seconds.

    Raises:
        FaultError: it is too large or comes too early; nothing is applied.
    """
    links = sum(len(change.links) for change in changes)
    _check_size(tenant.switches, version, objects=len(changes), links=links)
    tenant.misbehaviour.admit_writes(len(changes), now)
    limit = tenant.switches.group_limit(EndpointVersion(version.value))
    results = [tenant.store.apply(change, max_members=limit) for change in changes]
    succeeded = sum(result.success for result in results)
    counts = {
        "objects": len(results),
        "links": links,
        "deletions": sum(change.operation is SyncOperation.DELETE for change in changes),
        "linkRemovals": sum(not link.add for change in changes for link in change.links),
        "succeeded": succeeded,
        "failed": len(results) - succeeded,
    }
    return Outcome(encode_provision_response(version, results, relates_to=relates_to), counts)


def _check_size(switches: Switches, version: SyncVersion, *, objects: int, links: int) -> None:
    """Refuses a request that holds too much."""
    most_links, most_objects = switches.max_links_per_request, switches.max_objects_per_request
    if version is SyncVersion.V2 and links > most_links:
        raise FaultError("TooManyLinks", TOO_MANY_LINKS_TEXT.format(most=most_links))
    if most_objects is not None and objects > most_objects:
        raise FaultError("TooManyObjects", TOO_MANY_OBJECTS_TEXT.format(most=most_objects))


def read_back(
    tenant: RunningTenant,
    version: SyncVersion,
    request: ReadBackRequest,
    relates_to: str,
    now: float,
) -> Outcome:
    """Answers one page of what the tenant holds.

    Args:
        tenant: what is read.
        version: V1 or V2.
        request: where to go on.
        relates_to: message id of the request.
        now: the time in seconds.

    Raises:
        FaultError: the cookie is not taken.
    """
    try:
        page = read_page(
            tenant.store,
            tenant.config.tenant_id,
            version,
            cookie=request.input_cookie,
            page_size=tenant.switches.read_back_page_size,
            now=now,
            takes=lambda given: tenant.misbehaviour.takes_cookie(given, now),
        )
    except CookieError as error:
        raise FaultError(error.name, COOKIE_TEXT) from None
    counts = {"objects": len(page.objects)}
    return Outcome(encode_read_back_response(version, page, relates_to=relates_to), counts)


def read_capabilities(relates_to: str) -> Outcome:
    """What the service says of the clients it accepts."""
    return Outcome(encode_capabilities_response(_CAPABILITIES, relates_to=relates_to))
