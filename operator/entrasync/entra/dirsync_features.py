"""DirSyncFeatures: what a tenant does with exported objects, a bit each of a number.

The bits were seen in working clients; Microsoft Graph has documented names for most of them. Bits
that are not named here are kept as they are.
"""

from __future__ import annotations

from enum import IntFlag


class DirSyncFeature(IntFlag):
    """Features of a tenant, as `GetCompanyConfiguration` tells them."""

    PASSWORD_HASH_SYNC = 1
    PASSWORD_WRITEBACK = 2
    DIRECTORY_EXTENSIONS = 4
    DUPLICATE_UPN_RESILIENCY = 8
    """A UPN that is taken is held back instead of refusing its object."""
    SOFT_MATCH_ON_UPN = 16
    """A user name matches too, not only a mail address."""
    DUPLICATE_PROXY_ADDRESS_RESILIENCY = 32
    """An address that is taken is held back instead of refusing its object."""
    ENFORCE_CLOUD_PASSWORD_POLICY = 512
    UNIFIED_GROUP_WRITEBACK = 1024
    USER_WRITEBACK = 2048
    DEVICE_WRITEBACK = 4096
    SYNCHRONIZE_UPN_FOR_MANAGED_USERS = 8192
    """The UPN of a licensed user follows its export."""
    USER_FORCE_PASSWORD_CHANGE_ON_LOGON = 16384
    PASS_THROUGH_AUTHENTICATION = 131072
    BLOCK_SOFT_MATCH = 524288
    """Nobody is taken over by a name."""
    BLOCK_HARD_MATCH = 1048576
    """Nobody is taken over by an anchor (BlockCloudObjectTakeoverThroughHardMatch)."""
