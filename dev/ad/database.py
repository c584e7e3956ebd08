"""Samba's directory database on disk; a running server sees every change at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB


def open_database(folder: Path) -> Any:
    """The database of a domain controller whose data lie in a folder."""
    settings = LoadParm(str(folder / "etc" / "smb.conf"))
    # the file says where it was provisioned; the data may have been copied since
    settings.set("private dir", str(folder / "private"))
    settings.set("lock dir", str(folder))
    settings.set("state directory", str(folder / "state"))
    settings.set("dsdb:schema update allowed", "yes")
    return SamDB(
        url=str(folder / "private" / "sam.ldb"), session_info=system_session(), lp=settings
    )
