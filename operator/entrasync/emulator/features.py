"""DirSyncFeatures: what a tenant does with exported objects, a bit each (values were seen)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from entrasync.emulator.config import Tenant

QUARANTINE_UPNS: Final = 8
QUARANTINE_ADDRESSES: Final = 32
SOFT_MATCH_ON_UPN: Final = 16
SYNCHRONIZE_UPNS: Final = 8192
BLOCK_SOFT_MATCH: Final = 524288
BLOCK_HARD_MATCH: Final = 1048576
_ALWAYS_SET: Final = 32768
"""Unknown, and set in every sample."""


def configured_bits(config: Tenant) -> int:
    """The bits a tenant's configuration asks for."""
    wanted = {
        _ALWAYS_SET: True,
        QUARANTINE_UPNS | QUARANTINE_ADDRESSES: config.duplicate_attribute_resiliency,
        SOFT_MATCH_ON_UPN: config.soft_match_on_upn,
        SYNCHRONIZE_UPNS: config.synchronize_upn_for_managed_users,
        BLOCK_SOFT_MATCH: config.block_soft_match,
        BLOCK_HARD_MATCH: config.block_hard_match,
    }
    return sum(bits for bits, on in wanted.items() if on)


class TenantFeatures:
    """The features as they stand: an administrator may switch them while the tenant runs.

    Args:
        bits: gives the bits of now.
    """

    def __init__(self, bits: Callable[[], int]) -> None:
        self._bits = bits

    @property
    def quarantine_upns(self) -> bool:
        """Whether a UPN that is taken is held back instead of refusing its object."""
        return self._has(QUARANTINE_UPNS)

    @property
    def quarantine_addresses(self) -> bool:
        """Whether an address that is taken is held back instead of refusing its object."""
        return self._has(QUARANTINE_ADDRESSES)

    @property
    def synchronize_upns(self) -> bool:
        """Whether the UPN of a licensed user follows its export."""
        return self._has(SYNCHRONIZE_UPNS)

    @property
    def soft_match_on_upn(self) -> bool:
        """Whether a UPN matches too, not only the primary mail address."""
        return self._has(SOFT_MATCH_ON_UPN)

    @property
    def block_soft_match(self) -> bool:
        """Whether every soft match is refused."""
        return self._has(BLOCK_SOFT_MATCH)

    @property
    def block_hard_match(self) -> bool:
        """Whether taking over a cloud-managed object by its anchor is refused."""
        return self._has(BLOCK_HARD_MATCH)

    def _has(self, bit: int) -> bool:
        return bool(self._bits() & bit)
