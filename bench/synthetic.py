# ruff: noqa: ARG002  - it is asked as a real one is, and need not know what for
"""A made-up company of any size, told entry by entry; and a tenant that takes whatever it is sent.

Both ends cost next to nothing, so that what a run takes is what the engine and its state take. How
fast a real directory and a real service are read and written is measured by other benchmarks.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from entrasync.directory.model import ChangePage, Container, RootInfo, SourceEntry
from entrasync.directory.schema import SchemaAttribute
from entrasync.entra.contracts import (
    KEY_MEMBER,
    CompanyConfiguration,
    ObjectResult,
    PropertyValue,
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.state.rows import decode_properties

DOMAIN: Final = "contoso.test"
BASE_DN: Final = "DC=contoso,DC=test"
NAMES: Final = uuid.UUID("52a4e0d0-6a3e-4e57-9a57-1d1a6a0f5f3e")
BASE_GUID: Final = str(uuid.uuid5(NAMES, "base"))
PEOPLE_IN_UNIT: Final = 1_000
PEOPLE_TO_GROUP: Final = 20
"""Every twentieth object is a group."""
MEMBERS: Final = 100
LARGE_GROUP: Final = 250_000
NORMAL_USER: Final = b"512"
SECURITY_GROUP: Final = b"-2147483646"
TITLE: Final = b"Chief of something"
PAGE: Final = 1_000
READ_BACK: Final = 500
"""Objects of a page of a read-back."""


class SyntheticDirectory:
    """A directory of so many users and groups; some of it can be changed.

    Args:
        objects: users and groups; the groups have a hundred members each, one as many as there are
            users, up to 250,000.
    """

    def __init__(self, objects: int) -> None:
        self.groups = objects // PEOPLE_TO_GROUP
        self.users = objects - self.groups
        self.large = min(LARGE_GROUP, self.users)
        self.root = RootInfo(
            server="ldaps://dc1.contoso.test",
            base_dn=BASE_DN,
            domain=DOMAIN,
            functional_level="2016",
            naming_contexts=(BASE_DN,),
            invocation_id=_guid("invocation", 0),
        )
        self.delta_method = ("DirSync", "ReplicationRightGranted")
        self.pending: list[SourceEntry] = []
        """What the next reading of changes tells."""
        self._left = 0
        self._step = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing to close."""

    @property
    def links(self) -> int:
        """All memberships."""
        return self.large - self._left + (self.groups - 1) * min(MEMBERS, self.users)

    # --- what changes ----------------------------------------------------------------------

    def change_one_member(self) -> None:
        """Takes one member out of the large group."""
        self._left += 1
        self.pending.append(
            SourceEntry(
                guid=_guid("group", 0),
                dn=_group_dn(0),
                parent_guid=None,
                deleted=False,
                attributes={},
                members_removed=(_guid("user", self.large - self._left),),
            )
        )

    def change_titles(self, share: float) -> int:
        """Gives a share of the users another title; tells how many."""
        self._step = int(1 / share)
        changed = range(0, self.users, self._step)
        self.pending += (
            SourceEntry(
                guid=_guid("user", number),
                dn=_user_dn(number),
                parent_guid=None,
                deleted=False,
                attributes={"title": (TITLE,)},
            )
            for number in changed
        )
        return len(changed)

    # --- what a session offers -------------------------------------------------------------

    def read_all(self, base_dn: str, attributes: Sequence[str]) -> Iterator[SourceEntry]:
        """Everything, containers first."""
        yield _container(BASE_GUID, BASE_DN, None)
        for unit in range(-(-self.users // PEOPLE_IN_UNIT)):
            yield _container(_guid("unit", unit), _unit_dn(unit), BASE_GUID)
        for number in range(self.users):
            yield _user(number, changed=bool(self._step) and number % self._step == 0)
        for number in range(self.groups):
            yield self._group(number)

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        """Nobody is looked for here."""
        return None

    def change_times(self, guids: Iterable[str]) -> dict[str, dt.datetime]:
        """All a moment ago."""
        return dict.fromkeys(guids, dt.datetime.now(dt.UTC))

    def current_cookie(self) -> bytes:
        """A cookie of now."""
        return b"now"

    def changes(self, cookie: bytes, attributes: Sequence[str]) -> Iterator[ChangePage]:
        """What was changed since the last time."""
        entries, self.pending = self.pending, []
        for start in range(0, max(1, len(entries)), PAGE):
            page = tuple(entries[start : start + PAGE])
            yield ChangePage(entries=page, cookie=b"now", more=start + PAGE < len(entries))

    def resolve_container(self, dn: str, *, field: str = "spec.baseDN") -> Container:
        """The base."""
        return Container(guid=BASE_GUID, dn=BASE_DN)

    def resolve_container_guid(self, guid: str) -> Container | None:
        """The base."""
        return Container(guid=BASE_GUID, dn=BASE_DN)

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        """All are there."""
        return {
            name.lower(): SchemaAttribute(
                name=name, names_objects=False, followed=True, confidential=False
            )
            for name in names
        }

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        """All can be read."""
        return ()

    def can_read_deleted(self) -> bool:
        """Yes."""
        return True

    def _group(self, number: int) -> SourceEntry:
        count = self.large - self._left if number == 0 else min(MEMBERS, self.users)
        start = 0 if number == 0 else number * 7919 % self.users
        return SourceEntry(
            guid=_guid("group", number),
            dn=_group_dn(number),
            parent_guid=_guid("unit", 0),
            deleted=False,
            attributes={
                "objectClass": (b"top", b"group"),
                "cn": (f"Group {number}".encode(),),
                "name": (f"Group {number}".encode(),),
                "sAMAccountName": (f"group-{number}".encode(),),
                "groupType": (SECURITY_GROUP,),
                "description": (f"Everybody of project {number}".encode(),),
                "objectSid": (_sid(5_000_000 + number),),
            },
            members=tuple(_guid("user", (start + each) % self.users) for each in range(count)),
        )


class AcceptingService:
    """A tenant that takes everything; it keeps nothing in the memory that is measured.

    Attributes:
        requests: calls of an export.
        links: links in them.
        holds: a copy of the state, whose cloud space is what this tenant was sent; for a read-back
            of everything.
        echoes: whether the next read-back of changes tells all that too.
    """

    def __init__(self) -> None:
        self.requests = self.links = 0
        self.holds: Path | None = None
        self.echoes = False

    def company_configuration(self) -> CompanyConfiguration:
        """A tenant like any other."""
        return CompanyConfiguration(tenant_id=_guid("tenant", 0), directory_sync_enabled=True)

    def read_back(self, cookie: str | None = None) -> Iterator[ReadBackPage]:
        """Everything, or that nothing changed."""
        if self.holds is not None and (cookie is None or self.echoes):
            self.echoes = False
            yield from _told(self.holds)
        yield ReadBackPage(objects=(), cookie="now")

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        """Takes it."""
        self.requests += 1
        self.links += sum(len(each.links) for each in objects)
        return [
            ObjectResult(
                source_anchor=each.source_anchor,
                cloud_anchor=_cloud_anchor(each.object_type, each.source_anchor),
                success=True,
            )
            for each in objects
        ]

    def finalize_export(self, total: int, successful: int) -> None:
        """Ends it."""


def _told(copy: Path) -> Iterator[ReadBackPage]:
    """The cloud space of a copied state, as a service tells it."""
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as state:
        state.execute("PRAGMA cache_size = -4096")
        rows = state.execute(
            "SELECT o.anchor, a.anchor, o.type, o.cloud_anchor, o.properties"
            " FROM cloud_objects o JOIN anchors a ON a.id = o.anchor ORDER BY o.anchor"
        )
        while page := rows.fetchmany(READ_BACK):
            yield ReadBackPage(objects=tuple(_of_row(state, *row) for row in page), cookie="now")


def _of_row(
    state: sqlite3.Connection,
    number: int,
    anchor: str,
    kind: str,
    cloud_anchor: str | None,
    properties: str,
) -> SyncObject:
    told: dict[str, PropertyValue] = decode_properties(properties)
    if kind == SyncObjectType.GROUP:
        told[KEY_MEMBER] = tuple(
            member
            for (member,) in state.execute(
                "SELECT a.anchor FROM cloud_links l JOIN anchors a ON a.id = l.member"
                " WHERE l.owner = ?",
                (number,),
            )
        )
    return SyncObject(
        object_type=SyncObjectType(kind),
        operation=SyncOperation.SET,
        source_anchor=anchor,
        cloud_anchor=cloud_anchor,
        properties=told,
    )


def _cloud_anchor(kind: SyncObjectType, anchor: str) -> str:
    return f"{kind}_{anchor}"


def _user(number: int, *, changed: bool) -> SourceEntry:
    first, last = f"First{number % 997}", f"Last{number}"
    account = f"user{number}"
    attributes: Mapping[str, tuple[bytes, ...]] = {
        "objectClass": (b"top", b"person", b"organizationalPerson", b"user"),
        "cn": (f"{first} {last}".encode(),),
        "name": (f"{first} {last}".encode(),),
        "displayName": (f"{first} {last}".encode(),),
        "givenName": (first.encode(),),
        "sn": (last.encode(),),
        "sAMAccountName": (account.encode(),),
        "userPrincipalName": (f"{account}@{DOMAIN}".encode(),),
        "mail": (f"{account}@{DOMAIN}".encode(),),
        "proxyAddresses": (f"SMTP:{account}@{DOMAIN}".encode(),),
        "department": (f"Department {number % 83}".encode(),),
        "title": (TITLE if changed else f"Title {number % 41}".encode(),),
        "company": (b"Contoso",),
        "l": (b"Berlin",),
        "c": (b"DE",),
        "co": (b"Germany",),
        "countryCode": (b"276",),
        "postalCode": (b"10115",),
        "streetAddress": (f"Main street {number % 199}".encode(),),
        "telephoneNumber": (f"+49 30 {number:07d}".encode(),),
        "employeeID": (f"{number:08d}".encode(),),
        "employeeType": (b"Employee",),
        "userAccountControl": (NORMAL_USER,),
        "primaryGroupID": (b"513",),
        "pwdLastSet": (b"133000000000000000",),
        "objectSid": (_sid(number),),
        "manager": (_guid("user", number // 10).encode(),),
    }
    return SourceEntry(
        guid=_guid("user", number),
        dn=_user_dn(number),
        parent_guid=_guid("unit", number // PEOPLE_IN_UNIT),
        deleted=False,
        attributes=attributes,
    )


def _container(guid: str, dn: str, parent: str | None) -> SourceEntry:
    return SourceEntry(
        guid=guid,
        dn=dn,
        parent_guid=parent,
        deleted=False,
        attributes={"objectClass": (b"top", b"organizationalUnit")},
    )


_NUMBERS: Final = {"user": 1, "group": 2, "unit": 3, "invocation": 4, "tenant": 5}


def _guid(kind: str, number: int) -> str:
    """The same every time, and spread like those of a directory."""
    mixed = number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    return str(uuid.UUID(int=mixed << 64 | _NUMBERS[kind] << 56 | number))


def _sid(number: int) -> bytes:
    return b"\x01\x05\x00\x00\x00\x00\x00\x05" + b"".join(
        part.to_bytes(4, "little") for part in (21, 1001, 1002, 1003, 1000 + number)
    )


def _unit_dn(unit: int) -> str:
    return f"OU=Unit {unit},{BASE_DN}"


def _user_dn(number: int) -> str:
    return f"CN=First{number % 997} Last{number},{_unit_dn(number // PEOPLE_IN_UNIT)}"


def _group_dn(number: int) -> str:
    return f"CN=Group {number},{_unit_dn(0)}"
