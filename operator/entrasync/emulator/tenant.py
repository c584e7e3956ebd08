"""A running tenant: its objects, switches, counters and the log of its requests."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from entrasync.emulator.config import SeedObject, Switches, Tenant
from entrasync.emulator.naming import NameIndex
from entrasync.emulator.objects import Attributes, Value
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.store import MatchingRules, TenantStore
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.errors import ConfigurationError

_KEPT_REQUESTS: Final = 10_000


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
    initial_switches: Switches
    switches: Switches
    redirects_left: int = 0
    calls: int = 0
    requests: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=_KEPT_REQUESTS))
    logged: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def switch(self, changes: Mapping[str, Any]) -> Switches:
        """Sets the switches; what is not named is again as it was configured.

        Raises:
            pydantic.ValidationError: a name or value is not known; nothing changes.
        """
        configured = self.initial_switches.model_dump(by_alias=True)
        switches = Switches.model_validate(configured | dict(changes))
        with self.lock:
            self.switches = switches
            self.redirects_left = switches.redirects
            self.calls = 0
        return switches

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
) -> RunningTenant:
    """A tenant with what it held before, or with what its configuration puts in it.

    Raises:
        ConfigurationError: an object of the configuration is refused by the tenant itself.
    """
    names = NameIndex(
        initial_domain=config.initial_domain,
        verified_domains=frozenset(config.verified_domains),
        resiliency=config.duplicate_attribute_resiliency,
        digits=digits,
    )
    matching = MatchingRules(
        soft_match_on_upn=config.soft_match_on_upn, block_soft_match=config.block_soft_match
    )
    store = TenantStore(names=names, matching=matching, new_id=new_id)
    if not data.load(config.tenant_id, store):
        _seed(config, store)
        data.write(config.tenant_id, store.writes())
    switches = config.faults or switches
    return RunningTenant(
        config=config,
        store=store,
        initial_switches=switches,
        switches=switches,
        redirects_left=switches.redirects,
    )


def _seed(config: Tenant, store: TenantStore) -> None:
    made_up = (_made_up_user(number, config) for number in range(1, config.seed.users + 1))
    for each in itertools.chain(config.objects, made_up):
        attributes = {name: _value_of(value) for name, value in each.attributes.items()}
        if each.source_anchor is None:
            store.add_cloud_only(each.type, Attributes(attributes.items()))
            continue
        properties = attributes | ({"member": tuple(each.members)} if each.members else {})
        result = store.apply(
            SyncObject(
                object_type=each.type,
                operation=SyncOperation.SET,
                source_anchor=each.source_anchor,
                properties=properties,
            ),
            max_members=len(each.members),
        )
        if not result.success:
            raise ConfigurationError(
                "RunFailed",
                f"object {each.source_anchor} of tenant {config.tenant_id} is refused:"
                f" {result.code}. Mend it in the configuration file.",
                field="tenants.objects",
            )


def _made_up_user(number: int, config: Tenant) -> SeedObject:
    return SeedObject(
        type=SyncObjectType.USER,
        source_anchor=f"somebody-else-{number:06}",
        attributes={
            "userPrincipalName": f"legacy{number:06}@{config.initial_domain}",
            "displayName": f"Legacy User {number:06}",
            "accountEnabled": True,
        },
    )


def _value_of(value: bool | int | str | list[str]) -> Value:  # noqa: FBT001 - a value
    return tuple(value) if isinstance(value, list) else value
