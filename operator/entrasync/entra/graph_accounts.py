"""What Microsoft Graph tells of the objects a new one might meet, and how they are asked for.

Properties, operators and permissions are documented. That texts are compared whatever their letter
case is what Graph does; nothing here relies on it: answers are compared again, and primary
addresses are found by `mail` too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from entrasync.entra.contracts import SyncObjectType

MOST_CLAUSES: Final = 15
"""Most comparisons in one filter; documented."""
LARGEST_PAGE: Final = 999
_MOST_LENGTH: Final = 1_800
"""Characters of a filter as it travels; addresses of up to 2,048 are documented to work."""
_CLAUSE_LENGTH: Final = 60
"""Characters of a comparison beside its value, at most."""
SMTP: Final = "smtp:"


class Collection(StrEnum):
    """Collections that are read, by their addresses."""

    USERS = "users"
    GROUPS = "groups"
    CONTACTS = "contacts"
    DELETED_USERS = "directory/deletedItems/microsoft.graph.user"


COLLECTIONS: Final[Mapping[SyncObjectType, Collection]] = {
    SyncObjectType.USER: Collection.USERS,
    SyncObjectType.GROUP: Collection.GROUPS,
    SyncObjectType.CONTACT: Collection.CONTACTS,
}
"""Where objects of a type are."""
PERMISSIONS: Final[Mapping[Collection, str]] = {
    Collection.USERS: "User.Read.All",
    Collection.GROUPS: "Group.Read.All",
    Collection.CONTACTS: "OrgContact.Read.All",
    Collection.DELETED_USERS: "User.Read.All",
}
"""Least application permission for each; Directory.Read.All is enough for all of them."""

_SELECT: Final[Mapping[Collection, str]] = {
    Collection.USERS: "id,userPrincipalName,mail,proxyAddresses,onPremisesImmutableId,"
    "onPremisesSyncEnabled",
    Collection.GROUPS: "id,mail,proxyAddresses,onPremisesSyncEnabled",
    Collection.CONTACTS: "id,mail,proxyAddresses,onPremisesSyncEnabled",
    Collection.DELETED_USERS: "id,onPremisesImmutableId,onPremisesSyncEnabled",
}
_TYPES: Final[Mapping[Collection, SyncObjectType]] = {
    Collection.USERS: SyncObjectType.USER,
    Collection.GROUPS: SyncObjectType.GROUP,
    Collection.CONTACTS: SyncObjectType.CONTACT,
    Collection.DELETED_USERS: SyncObjectType.USER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An object of the tenant, as far as matching goes by it.

    Attributes:
        id: object id.
        object_type: user, group or contact.
        synced: whether a sync engine has authority over it.
        immutable_id: its anchor; only users show one.
        user_principal_name: in a letter case that does not matter; empty when there is none.
        addresses: mail addresses without protocol, in a letter case that does not matter.
        identifier: objectGUID of the directory object it is tied to, where that was asked for.
        deleted: whether it is deleted and may be restored.
    """

    id: str
    object_type: SyncObjectType
    synced: bool = False
    immutable_id: str | None = None
    user_principal_name: str = ""
    addresses: tuple[str, ...] = ()
    identifier: bytes | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What to look for; nothing in it is empty text.

    Attributes:
        anchors: onPremisesImmutableIds.
        user_principal_names: user principal names.
        addresses: mail addresses without protocol.
    """

    anchors: frozenset[str] = frozenset()
    user_principal_names: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


def fold(name: str) -> str:
    """A name in a letter case that does not matter."""
    return name.strip().casefold()


def address_of(proxy: str) -> str | None:
    """The mail address a proxy address stands for, folded; `None` for other protocols."""
    if proxy[: len(SMTP)].lower() == SMTP:
        return fold(proxy[len(SMTP) :]) or None
    return fold(proxy) or None if ":" not in proxy else None


def account_of(document: Mapping[str, Any], collection: Collection) -> Account | None:
    """An account from a document of Graph, `None` when it is none."""
    found = document.get("id")
    if not isinstance(found, str) or not found:
        return None
    return Account(
        id=found,
        object_type=_TYPES[collection],
        synced=document.get("onPremisesSyncEnabled") is True,
        immutable_id=_text(document, "onPremisesImmutableId") or None,
        user_principal_name=fold(_text(document, "userPrincipalName")),
        addresses=tuple(sorted(_addresses(document))),
        deleted=collection is Collection.DELETED_USERS,
    )


def identifier_of(document: Mapping[str, Any]) -> bytes | None:
    """The objectGUID that a user is tied to, `None` when it is tied to nothing."""
    try:
        return (
            base64.b64decode(_text(document, "onPremisesObjectIdentifier"), validate=True) or None
        )
    except (ValueError, binascii.Error):
        return None


def _addresses(document: Mapping[str, Any]) -> Iterator[str]:
    proxies = document.get("proxyAddresses")
    texts = [each for each in proxies if isinstance(each, str)] if isinstance(proxies, list) else []
    yield from {each for each in map(address_of, (*texts, _text(document, "mail"))) if each}


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def page_path(collection: Collection) -> str:
    """Address of the first page of everything in a collection."""
    return f"{collection}?$select={_SELECT[collection]}&$top={LARGEST_PAGE}"


def lookup_paths(collection: Collection, names: Names) -> Iterator[str]:
    """Addresses that together find all objects of a collection with one of the names."""
    for clause in _clauses(collection, names):
        yield f"{collection}?$select={_SELECT[collection]}&$filter={quote(clause, safe='')}"


def _clauses(collection: Collection, names: Names) -> Iterator[str]:
    if collection is Collection.USERS:
        yield from _among("onPremisesImmutableId", names.anchors)
        yield from _among("userPrincipalName", names.user_principal_names)
    yield from _among("mail", names.addresses)
    for some in _split(names.addresses):
        yield " or ".join(f"proxyAddresses/any(p:p eq {_quoted(SMTP + each)})" for each in some)


def _among(name: str, values: Iterable[str]) -> Iterator[str]:
    for some in _split(values):
        yield f"{name} in ({','.join(map(_quoted, some))})"


def _split(values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Values in as many parts as filters are needed."""
    some: list[str] = []
    length = 0
    for each in sorted(values):
        own = len(quote(each, safe="")) + _CLAUSE_LENGTH
        if some and (len(some) == MOST_CLAUSES or length + own > _MOST_LENGTH):
            yield some
            some, length = [], 0
        some.append(each)
        length += own
    if some:
        yield some


def _quoted(value: str) -> str:
    """A text of OData: an apostrophe is written twice."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"
