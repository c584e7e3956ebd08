"""How far the database of one domain controller has come.

Update sequence numbers (USNs) grow with every change and mean something at the one database they
come from, which its invocation id names. A number that went down says that the domain controller
was set back to an earlier time: what it hands out again was handed out before, for other changes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import UUID

from entrasync.directory.link import BASE, Search

if TYPE_CHECKING:
    from entrasync.directory.reader import Reader

_LAYOUT = struct.Struct(">16sQ")
PACKED_BYTES = _LAYOUT.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A moment of one database."""

    invocation_id: str
    usn: int
    """Every change up to this number was there."""

    def pack(self) -> bytes:
        """Write it as `PACKED_BYTES` bytes."""
        return _LAYOUT.pack(UUID(self.invocation_id).bytes, self.usn)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read what `pack` wrote."""
        raw, usn = _LAYOUT.unpack(packed)
        return cls(invocation_id=str(UUID(bytes=raw)), usn=usn)

    def is_of_same_database(self, other: Position) -> bool:
        """Say whether the numbers of both can be compared."""
        return self.invocation_id == other.invocation_id

    def is_set_back_from(self, earlier: Position) -> bool:
        """Say whether this database has forgotten something that it knew at `earlier`."""
        return self.is_of_same_database(earlier) and self.usn < earlier.usn


NOWHERE = Position(invocation_id=str(UUID(int=0)), usn=0)
"""The position of a server that does not tell its own."""


def read_position(reader: Reader, invocation_id: str | None) -> Position:
    """Ask the server how far it is; `NOWHERE` when that, or which database it is, is not told."""
    if invocation_id is None:
        return NOWHERE
    raw = reader.one(Search(base="", scope=BASE, attributes=["highestCommittedUSN"]))
    values = raw.attributes.get("highestCommittedUSN", ()) if raw is not None else ()
    if not values or not values[0].isdigit():
        return NOWHERE
    return Position(invocation_id=invocation_id, usn=int(values[0]))
