"""What the account lacks in its directory, and the commands that grant it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrasync.directory.dirsync import OBJECT_SECURITY_ONLY
from entrasync.directory.writer import ACCOUNT, ATTRIBUTE, granting_command

if TYPE_CHECKING:
    from entrasync.directory.session import DirectorySession


def missing_rights(session: DirectorySession, *, stamps: bool = False) -> str:
    """Sentences for a person; empty when the account has all that helps.

    Args:
        session: the directory.
        stamps: whether anchors of users are to be written there.
    """
    told = []
    if not session.can_read_deleted():
        container = session.deleted_objects_dn
        told.append(
            "The account may not list deleted objects, so deletions cannot be told from lost sight"
            " and are not exported. An administrator of the domain grants it:"
            f' dsacls "{container}" /takeOwnership, then'
            f' dsacls "{container}" /G {ACCOUNT}:LCRP'
        )
    if session.delta_method[1] == OBJECT_SECURITY_ONLY:
        told.append(
            "The account may not replicate changes, so everything is read again once a day."
            " An administrator of the domain grants it:"
            f' dsacls "{session.naming_context}" /G "{ACCOUNT}:CA;Replicating Directory Changes"'
        )
    if stamps and not session.can_stamp():
        told.append(
            f"The account may not write {ATTRIBUTE}, so users are not stamped. An administrator of"
            f" the domain grants it that right alone: {granting_command(session.root.base_dn)}"
        )
    return " ".join(told)
