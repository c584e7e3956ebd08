"""What an administrator can change in a tenant while it runs, kept over a restart."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from entrasync.emulator.config import Tenant
from entrasync.emulator.persistence import DataFile

DEFAULT_THRESHOLD: Final = 500
"""Most deletions of one export; documented."""


class DeletionPrevention(StrEnum):
    """How a tenant guards itself against deletions by accident, in the words of Graph."""

    DISABLED = "disabled"
    COUNT = "enabledForCount"
    PERCENTAGE = "enabledForPercentage"


@dataclass(slots=True, kw_only=True)
class Company:
    """Settings of a tenant that change while it runs; the caller holds the tenant's lock."""

    tenant_id: str
    data: DataFile
    directory_sync_enabled: bool
    deletion_prevention: DeletionPrevention = DeletionPrevention.COUNT
    alert_threshold: int = DEFAULT_THRESHOLD
    synchronization_interval: str = "PT30M"
    features_on: int = 0
    """Bits of DirSyncFeatures that were switched on."""
    features_off: int = 0
    """Bits of DirSyncFeatures that were switched off."""
    last_sync: str | None = None
    """When an export last ended (RFC 3339)."""
    _kept: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, config: Tenant, data: DataFile) -> Self:
        """The settings as they were kept, else as they are configured."""
        kept = data.fact(_fact_of(config.tenant_id), dict)
        members = {"directory_sync_enabled": config.directory_sync_enabled} | kept
        members["deletion_prevention"] = DeletionPrevention(
            members.get("deletion_prevention", DeletionPrevention.COUNT)
        )
        return cls(tenant_id=config.tenant_id, data=data, _kept=kept, **members)

    @property
    def deletion_threshold(self) -> int | None:
        """Most deletions of one export, `None` when nothing is counted."""
        counted = self.deletion_prevention is DeletionPrevention.COUNT
        return self.alert_threshold if counted else None

    def set_features(self, bit: int, *, on: bool) -> None:
        """Switches a feature by its bit."""
        self.features_on = self.features_on | bit if on else self.features_on & ~bit
        self.features_off = self.features_off & ~bit if on else self.features_off | bit
        self._keep("features_on", "features_off")

    def feature_bits(self, configured: int) -> int:
        """The bits of DirSyncFeatures, given those of the configuration."""
        return (configured | self.features_on) & ~self.features_off

    def enable_sync(self, *, on: bool) -> None:
        """Switches directory sync; off takes effect at once, not after days as in reality."""
        self.directory_sync_enabled = on
        self._keep("directory_sync_enabled")

    def prevent_deletions(self, how: DeletionPrevention, threshold: int) -> None:
        """Sets the guard against deletions by accident."""
        self.deletion_prevention, self.alert_threshold = how, threshold
        self._keep("deletion_prevention", "alert_threshold")

    def set_interval(self, duration: str) -> None:
        """Sets the interval the tenant asks its engine to keep (xsd:duration)."""
        self.synchronization_interval = duration
        self._keep("synchronization_interval")

    def note_sync(self, now: dt.datetime) -> None:
        """An export came to its end."""
        self.last_sync = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._keep("last_sync")

    def _keep(self, *names: str) -> None:
        self._kept |= {name: getattr(self, name) for name in names}
        self.data.put_fact(_fact_of(self.tenant_id), self._kept)


def _fact_of(tenant_id: str) -> str:
    return f"company/{tenant_id}"
