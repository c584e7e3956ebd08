"""The one thing that is ever written to a directory: the anchor of a user that has none yet.

`mS-DS-ConsistencyGuid` gets the value of `objectGUID`, which is the anchor of such a user anyway. A
value that is there is never changed: the object is looked at first, and what is sent adds a value
to an attribute that can have one only, so that whoever was quicker wins.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from ldap3 import MODIFY_ADD
from ldap3.operation.modify import modify_operation

from entrasync.directory.ber import MODIFY_RESPONSE
from entrasync.directory.connect import connect
from entrasync.directory.entries import whole_values
from entrasync.directory.errors import DirectoryError
from entrasync.directory.link import BASE, SUBTREE, Search
from entrasync.directory.locate import locate
from entrasync.directory.reader import (
    NO_RIGHTS,
    NO_SUCH_OBJECT,
    NOT_NOW,
    PAUSES,
    REFERRAL,
    Reader,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from entrasync.directory.connect import Finder
    from entrasync.directory.link import Link
    from entrasync.directory.model import DirectoryConfig

ATTRIBUTE: Final = "mS-DS-ConsistencyGuid"

_FOLDED: Final = ATTRIBUTE.lower()

_WRITABLE: Final = "allowedAttributesEffective"
"""What the one who asks may write of an object; the server works it out."""
_VALUE_EXISTS: Final = 20
_CONSTRAINT_VIOLATION: Final = 19
"""What a second value gets: the one or the other, depending on the server and the value."""
ACCOUNT: Final = "<account>"
"""Who is to be granted something; the name stays in its Secret."""


class Stamp(StrEnum):
    """What became of one object."""

    STAMPED = "Stamped"
    ALREADY = "Already"
    """It has a value, which stays."""
    GONE = "Gone"
    """It is not there, or not to be seen."""
    NO_USER = "NoUser"
    """It is something else than a user, and nothing was written."""
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamping:
    """What became of one object, and why it was refused."""

    outcome: Stamp
    why: str = ""
    """A sentence with the remedy, the same for each object with the same fault."""


class AnchorWriter:
    """Writes anchors over a connection of its own. Close it, or use it in a `with` statement.

    Args:
        link: the bound connection.
        base_dn: where the account is to have the right, for the remedy; `None` is all the domain.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        link: Link,
        *,
        base_dn: str | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._link = link
        self._base_dn = base_dn
        self._pause = pause
        self._reader = Reader(link, page_size=1, pause=pause)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def stamp(self, guid: str) -> Stamping:
        """Write the objectGUID of a user into its anchor, if that is empty.

        Raises:
            TransientError: the connection was lost, or the server is busy; whether this one object
                was stamped is not known then, and asking again is harmless.
        """
        found = self._look_at(guid)
        if found is None:
            return Stamping(outcome=Stamp.GONE)
        if found.get(_FOLDED):
            return Stamping(outcome=Stamp.ALREADY)
        classes = found.get("objectclass", ())
        if b"user" not in classes or b"computer" in classes:
            return Stamping(outcome=Stamp.NO_USER)
        code = self._add(guid)
        if not code:
            return Stamping(outcome=Stamp.STAMPED)
        if code == NO_SUCH_OBJECT:
            return Stamping(outcome=Stamp.GONE)
        if code == _VALUE_EXISTS or (code == _CONSTRAINT_VIOLATION and self._has_value(guid)):
            return Stamping(outcome=Stamp.ALREADY)
        return Stamping(outcome=Stamp.REFUSED, why=self._why(code))

    def _add(self, guid: str) -> int:
        changes = {ATTRIBUTE: [(MODIFY_ADD, [UUID(guid).bytes_le])]}
        request = modify_operation(f"<GUID={guid}>", changes, auto_encode=False)
        code = self._link.call("modifyRequest", request, ends=MODIFY_RESPONSE).code
        for seconds in PAUSES:
            if code not in NOT_NOW:
                break
            self._pause(seconds)
            code = self._link.call("modifyRequest", request, ends=MODIFY_RESPONSE).code
        if code in NOT_NOW:
            raise DirectoryError(
                "ServerUnreachable",
                f"{self._link.url} is too busy to take a value (LDAP result {code}). The next run"
                " goes on.",
                resource=self._link.resource,
                field="spec.servers",
            )
        return code

    def _has_value(self, guid: str) -> bool:
        found = self._look_at(guid)
        return found is not None and bool(found.get(_FOLDED))

    def _look_at(self, guid: str) -> dict[str, tuple[bytes, ...]] | None:
        """Read what is needed of an object; values by folded name."""
        search = Search(base=f"<GUID={guid}>", scope=BASE, attributes=["objectClass", ATTRIBUTE])
        raw = self._reader.one(search, absent=frozenset({NO_SUCH_OBJECT, REFERRAL}))
        return None if raw is None else whole_values(raw)

    def _why(self, code: int) -> str:
        if code == NO_RIGHTS:
            return (
                f"The account may not write {ATTRIBUTE}. An administrator of the domain grants it"
                f" that right alone: {granting_command(self._base())}"
            )
        if code == REFERRAL:
            return (
                f"{self._link.url} is a domain controller that only reads. List one first that can"
                " be written to."
            )
        return (
            f"{self._link.url} did not take a value of {ATTRIBUTE} (LDAP result {code}). The log of"
            " the domain controller may say why."
        )

    def _base(self) -> str:
        if self._base_dn is None:
            dse = self._reader.one(Search(base="", scope=BASE, attributes=["defaultNamingContext"]))
            values = dse.attributes.get("defaultNamingContext", ()) if dse is not None else ()
            self._base_dn = values[0].decode("utf-8", "replace") if values else "<domain>"
        return self._base_dn


def granting_command(base_dn: str) -> str:
    """Tell how to grant the right to stamp users below a container, and nothing else."""
    return f'dsacls "{base_dn}" /I:S /G "{ACCOUNT}:WP;{ATTRIBUTE};user"'


def may_stamp(reader: Reader, base_dn: str) -> bool:
    """Say whether the account may write anchors, going by the first user that is not protected.

    Args:
        reader: how to search, one entry a page: the first one is enough.
        base_dn: where to look.

    Returns:
        Also true when there is nobody to try it with.
    """
    search = Search(
        base=base_dn,
        scope=SUBTREE,
        attributes=[_WRITABLE],
        filter="(&(objectClass=user)(!(objectClass=computer))(!(adminCount=*)))",
    )
    found = next(reader.pages(search), None)
    if found is None:
        return True
    writable = whole_values(found) or {}
    return _FOLDED.encode() in {name.lower() for name in writable.get(_WRITABLE.lower(), ())}


def open_writer(config: DirectoryConfig, *, find: Finder = locate) -> AnchorWriter:
    """Connect, verify and bind, to write anchors.

    Args:
        config: where to connect and how.
        find: finds the servers of a domain.

    Raises:
        BindRejectedError: the credentials were refused; no server was asked after that.
        ConfigurationError: a certificate is not trusted, or an address cannot be used.
        TransientError: `ServerUnreachable`: no server answers.
    """
    return AnchorWriter(connect(config, find=find), base_dn=config.base_dn)
