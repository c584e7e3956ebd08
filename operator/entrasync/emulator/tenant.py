"""A running tenant: its objects, switches, counters and the log of its requests."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from entrasync.emulator.company import Company
from entrasync.emulator.config import Tenant
from entrasync.emulator.features import TenantFeatures, configured_bits
from entrasync.emulator.misbehaviour import Misbehaviour
from entrasync.emulator.naming import NameIndex
from entrasync.emulator.overview import Overview
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.seeding import plant
from entrasync.emulator.store import TenantStore
from entrasync.emulator.switches import Switches

_KEPT_REQUESTS: Final = 10_000
_RETRY_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request the sync service answered."""

    number: int
    operation: str
    time: str
    outcome: str
    """`Success`, or the fault."""
    counts: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class RunningTenant:
    """A tenant in use; whoever touches its store or counters holds `lock`."""

    config: Tenant
    store: TenantStore
    overview: Overview
    company: Company
    misbehaviour: Misbehaviour
    requests: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=_KEPT_REQUESTS))
    logged: int = 0
    retried: float = 0.0
    """When quarantined values were last tried again, in seconds."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def switches(self) -> Switches:
        """The switches as they stand."""
        return self.misbehaviour.switches

    @property
    def is_syncing(self) -> bool:
        """Whether directory sync is switched on."""
        return self.company.directory_sync_enabled and not self.switches.sync_off

    def switch(self, changes: Mapping[str, Any], now: float) -> Switches:
        """Sets the switches; what is not named is again as it was configured.

        Args:
            changes: switches by their names in the configuration file.
            now: the time in seconds.

        Raises:
            pydantic.ValidationError: a name or value is not known; nothing changes.
        """
        with self.lock:
            return self.misbehaviour.switch(changes, now)

    def retry_when_due(self, now: float) -> None:
        """Tries quarantined values again, every hour (documented)."""
        if now >= self.retried + _RETRY_SECONDS:
            self.retried = now
            self.store.retry_quarantined()

    def log(self, operation: str, time: str, outcome: str, counts: Mapping[str, int]) -> None:
        """Notes a request that was answered."""
        with self.lock:
            self.requests.append(
                LoggedRequest(
                    number=self.logged,
                    operation=operation,
                    time=time,
                    outcome=outcome,
                    counts=counts,
                )
            )
            self.logged += 1


def start_tenant(
    config: Tenant,
    switches: Switches,
    data: DataFile,
    *,
    new_id: Callable[[], str],
    digits: Callable[[], str],
    now: float = 0.0,
) -> RunningTenant:
    """A tenant with what it held before, or with what its configuration puts in it.

    Raises:
        ConfigurationError: an object of the configuration is refused by the tenant itself.
    """
    company = Company.load(config, data)
    configured = configured_bits(config)
    features = TenantFeatures(lambda: company.feature_bits(configured))
    names = NameIndex(
        initial_domain=config.initial_domain,
        verified_domains=frozenset(config.verified_domains),
        digits=digits,
        rules=features,
    )
    store = TenantStore(names=names, matching=features, new_id=new_id)
    with uncollected():
        if not data.load(config.tenant_id, store):
            plant(config, store)
            data.write(config.tenant_id, store.writes())
    return RunningTenant(
        config=config,
        store=store,
        overview=Overview(store),
        company=company,
        misbehaviour=Misbehaviour(config.faults or switches, now),
        retried=now,
    )


@contextmanager
def uncollected() -> Iterator[None]:
    """For making many objects that stay: to look for garbage among them takes longer than that."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
