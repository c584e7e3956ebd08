"""When objects changed last, as the domain controller that is read keeps it.

`whenChanged` is not replicated: each controller has its own, the second in which it took the last
change itself. So it is no part of what the DirSync control tells, and is asked for beside it.
"""

from __future__ import annotations

import datetime as dt
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from entrasync.directory.controls import EXTENDED_DN, SHOW_DELETED, SHOW_RECYCLED
from entrasync.directory.entries import guid_of
from entrasync.directory.link import SUBTREE, Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entrasync.directory.reader import Reader

WHEN_CHANGED = "whenChanged"
_AT_ONCE = 100
"""Objects of one search: a filter that every server takes."""


def read_change_times(
    reader: Reader, context_dn: str, guids: Iterable[str]
) -> dict[str, dt.datetime]:
    """Look up when objects changed last, tombstones included; who is not found is absent.

    Args:
        reader: how to search.
        context_dn: root of the naming context they are in.
        guids: their objectGUIDs.
    """
    found: dict[str, dt.datetime] = {}
    rest = iter(guids)
    while some := list(islice(rest, _AT_ONCE)):
        search = Search(
            base=context_dn,
            scope=SUBTREE,
            attributes=["objectGUID", WHEN_CHANGED],
            filter=f"(|{''.join(map(_named, some))})",
            controls=(EXTENDED_DN, SHOW_DELETED, SHOW_RECYCLED),
        )
        for raw in reader.pages(search):
            time = _time(raw.attributes.get(WHEN_CHANGED, ()))
            if time is not None:
                found[guid_of(raw)] = time
    return found


def _named(guid: str) -> str:
    octets = "".join(f"\\{each:02x}" for each in UUID(guid).bytes_le)
    return f"(objectGUID={octets})"


def _time(values: Sequence[bytes]) -> dt.datetime | None:
    """A GeneralizedTime as Active Directory writes it: `20260314150926.0Z`."""
    try:
        text = values[0][:14].decode("ascii")
        return dt.datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
    except (IndexError, ValueError):
        return None
