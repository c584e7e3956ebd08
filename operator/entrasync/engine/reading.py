"""What a cycle reads before it can decide: the tenant, and the directory."""

from __future__ import annotations

import hashlib
import json
from typing import Final

import structlog

from entrasync.api.sync_run import RunScope, SourceRead
from entrasync.directory.deltas import FULL_COMPARISON
from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.session import DirectorySession
from entrasync.engine.cloud_space import META_READ_BACK, take_read_back
from entrasync.engine.containers import FoundScope, find_scope, load_pins, save_pins
from entrasync.engine.facts import directory_facts, require_readable, usable_attributes
from entrasync.engine.groups import read_groups_within
from entrasync.engine.importing import (
    SourceReading,
    full_read_due,
    import_changes,
    import_full,
    usable_cookie,
)
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.report import company_of
from entrasync.entra.contracts import CompanyConfiguration, SyncObject
from entrasync.errors import ConfigurationError

DAILY_READ: Final = (
    "Everything was read, as it is once a day: the directory does not tell this account every"
    " change."
)

log = structlog.get_logger()


class TenantReader:
    """Reads what the tenant says of itself and, where that is needed, what it holds.

    Args:
        inputs: what the cycle is to do.
        parts: what it does it with.
        outcome: told what is learnt.

    Attributes:
        max_links: most links of one request, once the tenant was read.
        is_read_back: whether this cycle has read back what the tenant holds.
    """

    def __init__(self, inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome) -> None:
        self._inputs = inputs
        self._parts = parts
        self._outcome = outcome
        self.max_links = 0
        self.is_read_back = False

    def read(self) -> None:
        """Reads the configuration; and the objects, unless the state knows them for certain.

        Raises:
            ConfigurationError: directory sync is switched off.
        """
        self._parts.progress("Import", 0, None)
        company = self._parts.client.company_configuration()
        self._outcome.company = company_of(company)
        require_enabled(company, self._inputs.tenant_resource)
        self.max_links = company.max_links_per_request
        store = self._parts.store
        full = self._inputs.scope is RunScope.FULL
        if full or store.get(META_READ_BACK) is None or store.pending():
            self.read_back()

    def read_back(self) -> None:
        """Reads all objects and takes them for what the tenant holds."""
        take_read_back(self._parts.store, self._objects())
        self.is_read_back = True

    def _objects(self) -> list[SyncObject]:
        objects: list[SyncObject] = []
        for page in self._parts.client.read_back():
            self._outcome.requests.import_ += 1
            if page.restart:
                # what was read belongs to a snapshot the service no longer goes on with
                objects.clear()
            objects += page.objects
            self._parts.progress("Import", len(objects), None)
        return objects


def read_source(
    session: DirectorySession, inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome
) -> tuple[FoundScope, tuple[str, ...]]:
    """Finds the scope and brings the source space up to date.

    Returns:
        The containers and groups of the scope, and the attributes that are read.

    Raises:
        EntrasyncError: a part of the scope is not found, or the directory cannot be read.
    """
    outcome.directory = directory_facts(session)
    attributes = usable_attributes(session, inputs.directory_resource, inputs.selection)
    found = find_scope(
        session,
        session.root.base_dn,
        inputs.where,
        load_pins(parts.store, inputs.remembered),
    )
    save_pins(parts.store, found)
    outcome.scopes = found.pinned
    reading = SourceReading(
        containers=found.include,
        attributes=attributes,
        digest=digest(
            sorted(each.guid for each in found.include),
            attributes,
            session.root.domain,
            sorted(found.group_guids.values()),
        ),
        resource=inputs.directory_resource,
        groups=tuple(found.groups.values()),
    )
    _import(session, reading, inputs, parts, outcome)
    nested = inputs.selection.nested_groups
    read_groups_within(
        session, parts.store, reading, frozenset(found.group_guids[dn] for dn in nested)
    )
    return found, attributes


def _import(
    session: DirectorySession,
    reading: SourceReading,
    inputs: CycleInputs,
    parts: CycleParts,
    outcome: CycleOutcome,
) -> None:
    """Reads what changed where that is possible, everything otherwise."""

    def progress(done: int) -> None:
        parts.progress("Import", done, None)

    cookie = None
    if inputs.scope is not RunScope.FULL:
        cookie = usable_cookie(parts.store, reading.digest)
    now = parts.clock()
    if cookie is not None and full_read_due(parts.store, session.delta_method, now):
        log.info("full_read_due", method=session.delta_method)
        outcome.message = DAILY_READ
        cookie = None
    if cookie is not None:
        try:
            read = import_changes(session, parts.store, reading, cookie, progress)
        except CookieRejectedError as error:
            log.warning("delta_not_possible", reason=error.reason, message=error.message)
            outcome.message = error.message
        else:
            outcome.scope = RunScope.DELTA
            outcome.source = SourceRead(read=read, method=session.delta_method[0])
            return
    require_readable(session, reading.attributes, reading.resource, inputs.selection)
    read = import_full(session, parts.store, reading, now, progress)
    outcome.scope = RunScope.FULL
    outcome.source = SourceRead(read=read, method=FULL_COMPARISON)


def require_enabled(company: CompanyConfiguration, resource: str) -> None:
    """Refuses a tenant in which directory sync is switched off.

    Raises:
        ConfigurationError: `SyncDisabledInTenant`.
    """
    if not company.directory_sync_enabled:
        raise ConfigurationError(
            "SyncDisabledInTenant",
            "directory synchronization is switched off in the tenant; switch it on (Microsoft"
            " Graph: PATCH /organization/{tenantId} with onPremisesSyncEnabled true)",
            resource=resource,
            field="spec.tenantId",
        )


def digest(*parts: object) -> str:
    """A digest that differs where the parts do."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
