"""The LDAP controls used, as (OID, criticality, encoded value)."""

from __future__ import annotations

from typing import TypeAlias

from entrasync.directory.ber import encode_integer, encode_octets, encode_sequence

Control: TypeAlias = tuple[str, bool, bytes | None]

PAGED_RESULTS = "1.2.840.113556.1.4.319"
DIRSYNC = "1.2.840.113556.1.4.841"

EXTENDED_DN: Control = (
    "1.2.840.113556.1.4.529",
    True,
    encode_sequence(encode_integer(1)),  # 1: GUID and SID as text
)
"""DNs come as `<GUID=...>;<SID=...>;dn`."""

SHOW_DELETED: Control = ("1.2.840.113556.1.4.417", True, None)
"""Tombstones are found too."""

SHOW_RECYCLED: Control = ("1.2.840.113556.1.4.2064", False, None)
"""With the recycle bin on, what was deleted long ago is found too."""

OBJECT_SECURITY = 0x1
"""DirSync without the replication right: only what the account may read."""
_INCREMENTAL_VALUES = -0x80000000
"""The highest bit of 32, as Active Directory reads it: links come one by one."""
_MAX_BYTES = 1 << 20


def paged_results(size: int, cookie: bytes) -> Control:
    """Ask for a page (RFC 2696)."""
    return (PAGED_RESULTS, True, encode_sequence(encode_integer(size), encode_octets(cookie)))


def dirsync(flags: int, cookie: bytes) -> Control:
    """Ask for what changed since `cookie`."""
    value = encode_sequence(
        encode_integer(flags | _INCREMENTAL_VALUES),
        encode_integer(_MAX_BYTES),
        encode_octets(cookie),
    )
    return (DIRSYNC, True, value)
