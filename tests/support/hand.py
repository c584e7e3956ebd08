"""A hand that changes an Active Directory over LDAP, as an administrator would."""

from __future__ import annotations

import ssl
import uuid
from types import TracebackType
from typing import Any, Self

import ldap3

from tests.support.samba import SambaServer

SHOW_DELETED = "1.2.840.113556.1.4.417"


class Hand:
    """An administrator's connection; a context manager.

    Args:
        server: the directory.
    """

    def __init__(self, server: SambaServer) -> None:
        tls = ldap3.Tls(validate=ssl.CERT_NONE)
        self._connection: Any = ldap3.Connection(
            ldap3.Server(server.url, get_info=ldap3.NONE, tls=tls),
            server.admin_user,
            server.admin_password,
            raise_exceptions=True,
            check_names=False,
        )

    def __enter__(self) -> Self:
        self._connection.bind()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.unbind()

    def add(self, dn: str, kind: str, **attributes: Any) -> str:
        """Adds an object and gives its DN."""
        self._connection.add(dn, kind, attributes)
        return dn

    def replace(self, dn: str, attribute: str, *values: Any) -> None:
        """Sets an attribute; without values it is cleared."""
        self._connection.modify(dn, {attribute: [(ldap3.MODIFY_REPLACE, list(values))]})

    def link(self, group: str, *members: str) -> None:
        """Adds members."""
        self._connection.modify(group, {"member": [(ldap3.MODIFY_ADD, list(members))]})

    def unlink(self, group: str, *members: str) -> None:
        """Removes members."""
        self._connection.modify(group, {"member": [(ldap3.MODIFY_DELETE, list(members))]})

    def move(self, dn: str, *, name: str | None = None, parent: str | None = None) -> None:
        """Renames an object, moves it, or both."""
        self._connection.modify_dn(dn, name or dn.partition(",")[0], new_superior=parent)

    def guid_of(self, dn: str) -> str:
        """The objectGUID of an object."""
        self._connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=["objectGUID"])
        return str(uuid.UUID(bytes_le=self._raw("objectGUID")[0]))

    def sid_of(self, dn: str) -> bytes:
        """The objectSid of an object."""
        self._connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=["objectSid"])
        return self._raw("objectSid")[0]

    def restore(self, guid: str, dn: str) -> None:
        """Brings a deleted object back under a name."""
        shown = [(SHOW_DELETED, True, None)]
        self._connection.search(
            f"<GUID={guid}>", "(objectClass=*)", ldap3.BASE, attributes=["1.1"], controls=shown
        )
        self._connection.modify(
            self._connection.response[0]["dn"],
            {
                "isDeleted": [(ldap3.MODIFY_DELETE, [])],
                "distinguishedName": [(ldap3.MODIFY_REPLACE, [dn])],
            },
            controls=shown,
        )

    def _raw(self, attribute: str) -> list[bytes]:
        found: list[bytes] = self._connection.response[0]["raw_attributes"][attribute]
        return found

    def delete(self, dn: str) -> None:
        """Deletes an object."""
        self._connection.delete(dn)
