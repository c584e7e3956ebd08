"""Reading the tenant: what it says of itself, and what it holds or what changed of that."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable
from typing import Final

import structlog

from entrasync.api.sync_run import RunScope
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.letting_go import META_TEMPORARY
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.report import company_of
from entrasync.engine.settling import settle_interrupted
from entrasync.entra.contracts import CompanyConfiguration, ReadBackPage
from entrasync.errors import CancelledError, ConfigurationError, EntrasyncError
from entrasync.state.cloud import META_COOKIE, META_READ_BACK
from entrasync.state.cloud_read_back import FullReadBack
from entrasync.state.cloud_reading import ReadBackRules, Reading

META_COMPARED: Final = "cloud-compared"
"""Properties that were compared when the tenant was read back: of others nothing is known."""

_GUID_BYTES: Final = 16

log = structlog.get_logger()


class TenantReader:
    """Reads what the tenant says of itself and what it holds.

    Every run reads what changed since the last one, which is one request where nothing did, so that
    what somebody else changed is noticed. Everything is read where that is not enough.

    Args:
        inputs: what the cycle is to do.
        parts: what it does it with.
        outcome: told what is learnt.

    Attributes:
        company: what the tenant says of itself, once it was read.
        max_links: most links of one request, once the tenant was read.
        is_read_back: whether this cycle has read back everything the tenant holds.
    """

    def __init__(self, inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome) -> None:
        self._inputs = inputs
        self._parts = parts
        self._store = parts.store
        self._outcome = outcome
        self._read = 0
        self.company: CompanyConfiguration | None = None
        self.max_links = 0
        self.is_read_back = False

    def read(self) -> None:
        """Reads the configuration, and brings what is known of the objects up to date.

        Raises:
            ConfigurationError: directory sync is switched off.
            TransientError: what was read is not all there is.
        """
        self._parts.progress("Import", 0, None)
        self.company = self._parts.client.company_configuration()
        self._outcome.company = company_of(self.company)
        require_enabled(self.company, self._inputs.tenant_resource)
        self.max_links = self.company.max_links_per_request
        why = self._why_full()
        if why is not None:
            log.info("tenant_read_in_full", why=why)
        self.read_back(full=why is not None)

    def deletion_threshold(self, *, deletes: bool) -> int | None:
        """Most deletions of one export as the tenant says, to the service or to Graph.

        The smaller one counts; Graph is only asked by a run that deletes, and need not answer.
        """
        told = None if self.company is None else self.company.deletion_threshold
        if not deletes or self._parts.accounts is None:
            return told
        try:
            settings = self._parts.accounts.settings()
        except CancelledError:
            raise
        except EntrasyncError as error:
            log.info("graph_settings_not_readable", reason=error.reason)
            return told
        found = None if settings is None else settings.deletion_threshold
        return min((each for each in (told, found) if each is not None), default=None)

    def read_back(self, *, full: bool = True) -> None:
        """Reads all objects and takes them for what the tenant holds, or what changed of them."""
        self._read = 0
        if full:
            self._take_all(self._parts.client.read_back())
        else:
            self._take_changes(self._store.get(META_COOKIE))

    def _why_full(self) -> str | None:
        """Why everything must be read; `None` when it need not."""
        if self._inputs.scope is RunScope.FULL:
            return "asked for"
        if self._store.get(META_READ_BACK) is None:
            return "what is known is not certain"
        if self._store.get(META_COOKIE) is None:
            return "the service gave no cookie"
        if self._store.checkpoints.pending():
            return "results of an export call are not known"
        if not self._targets <= self._compared():
            return "more properties flow"
        return None

    # --- taking it in ----------------------------------------------------------------------

    def _take_all(self, pages: Iterable[ReadBackPage]) -> None:
        # what is left half read is no knowledge of everything
        self._store.put(META_READ_BACK, None)
        full = self._store.cloud.full_read_back(self._rules())
        cookie = None
        for page in pages:
            self._count(page)
            if page.restart:
                self._read = 0
                full.restart()
            full.take(page.objects)
            cookie = page.cookie
        self._finish(full, cookie)

    def _finish(self, full: FullReadBack, cookie: str | None) -> None:
        pending = self._store.checkpoints.pending()
        with self._store.transaction():
            gone = full.finish()
            settle_interrupted(self._store, self._parts.clock())
            self._store.cloud.claim({anchor: guid_of_anchor(anchor) for anchor in pending})
            self._store.checkpoints.forget_intent()
            self._keep(cookie)
            self._store.put(META_READ_BACK, "1")
        self.is_read_back = True
        log.info("tenant_read_back", objects=self._read, gone=gone, full=True)

    def _take_changes(self, cookie: str | None) -> None:
        reading: Reading = self._store.cloud.delta_read_back(self._rules())
        pages = iter(self._parts.client.read_back(cookie))
        for page in pages:
            self._count(page)
            if page.restart:
                self._take_all(pages)
                return
            reading.take(page.objects)
            cookie = page.cookie
        self._keep(cookie)
        log.info("tenant_read_back", objects=self._read, full=False)

    def _keep(self, cookie: str | None) -> None:
        """Remembers where a read-back ended, once it came to its end."""
        with self._store.transaction():
            self._store.put(META_COOKIE, cookie)
            self._store.put(META_COMPARED, json.dumps(sorted(self._targets)))

    def _count(self, page: ReadBackPage) -> None:
        self._outcome.requests.import_ += 1
        self._read += len(page.objects)
        self._parts.progress("Import", self._read, None)

    # --- how it is taken -------------------------------------------------------------------

    @property
    def _targets(self) -> frozenset[str]:
        return frozenset(self._inputs.flows.targets)

    def _compared(self) -> frozenset[str]:
        return frozenset(json.loads(self._store.get(META_COMPARED) or "[]"))

    def _rules(self) -> ReadBackRules:
        temporary = json.loads(self._store.get(META_TEMPORARY) or "{}")
        return ReadBackRules(
            comparable=self._targets,
            watched=self._targets & self._compared(),
            unsettled=frozenset((*self._store.checkpoints.pending(), *temporary)),
        )


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


def guid_of_anchor(anchor: str) -> bytes | None:
    """The objectGUID an anchor most likely was made of, as the state keeps it."""
    try:
        raw = base64.b64decode(anchor, validate=True)
    except ValueError:
        return None
    return uuid.UUID(bytes_le=raw).bytes if len(raw) == _GUID_BYTES else None
