from __future__ import annotations

import struct

from entrasync.engine.primary_groups import count_primary_members
from entrasync.engine.source import SourceObject


def source(
    kind: str, relative: int, *, domain: int = 1, primary: int | None = None
) -> SourceObject:
    sid = bytes((1, 5, 0, 0, 0, 0, 0, 5)) + struct.pack("<5I", 21, domain, 2, 3, relative)
    attributes = {"objectClass": (b"top", kind.encode()), "objectSid": (sid,)}
    if primary is not None:
        attributes["primaryGroupID"] = (str(primary).encode(),)
    return SourceObject(
        guid=f"{kind}-{relative}", dn="CN=x", parent_guid=None, attributes=attributes
    )


def test_users_count_whose_primary_group_takes_part() -> None:
    group = source("group", 1200)
    users = [
        source("user", 1300, primary=1200),
        source("user", 1301, primary=513),
        source("user", 1302, domain=9, primary=1200),  # the same number in another domain
        source("user", 1303),
    ]

    assert count_primary_members([group, *users]) == 1
    assert count_primary_members(users) == 0


def test_contacts_have_neither() -> None:
    contact = SourceObject(
        guid="c", dn="CN=c", parent_guid=None, attributes={"objectClass": (b"top", b"contact")}
    )

    assert count_primary_members([contact, source("group", 1200)]) == 0
