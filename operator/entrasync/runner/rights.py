"""What the account lacks in its directory, and the commands that grant it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entrasync.directory.dirsync import OBJECT_SECURITY_ONLY

if TYPE_CHECKING:
    from entrasync.directory.session import DirectorySession

_ACCOUNT: Final = "<account>"
"""Who is to be granted something; the name stays in its Secret."""


def missing_rights(session: DirectorySession) -> str:
    """Sentences for a person; empty when the account has all that helps."""
    told = []
    if not session.can_read_deleted():
        container = session.deleted_objects_dn
        told.append(
            "The account may not list deleted objects, so deletions cannot be told from lost sight"
            " and are not exported. An administrator of the domain grants it:"
            f' dsacls "{container}" /takeOwnership, then'
            f' dsacls "{container}" /G {_ACCOUNT}:LCRP'
        )
    if session.delta_method[1] == OBJECT_SECURITY_ONLY:
        told.append(
            "The account may not replicate changes, so everything is read again once a day."
            " An administrator of the domain grants it:"
            f' dsacls "{session.naming_context}" /G "{_ACCOUNT}:CA;Replicating Directory Changes"'
        )
    return " ".join(told)
