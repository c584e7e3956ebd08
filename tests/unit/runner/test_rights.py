"""What an account lacks is told with the command that grants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from entrasync.runner.rights import missing_rights


@dataclass
class Root:
    """Where a directory is read."""

    base_dn: str = "OU=Staff,DC=x"


@dataclass
class Session:
    """A directory that lets an account do some things."""

    reads_deleted: bool = True
    reason: str = "ReplicationRightGranted"
    stamps: bool = True
    naming_context: str = "DC=x"
    deleted_objects_dn: str = "CN=Deleted Objects,DC=x"
    root: Root = field(default_factory=Root)

    @property
    def delta_method(self) -> tuple[str, str]:
        return "DirSync", self.reason

    def can_read_deleted(self) -> bool:
        return self.reads_deleted

    def can_stamp(self) -> bool:
        return self.stamps


def told(session: Any, *, stamps: bool) -> str:
    return missing_rights(session, stamps=stamps)


def test_nothing_lacks() -> None:
    assert told(Session(), stamps=True) == ""


@pytest.mark.parametrize(
    ("session", "command"),
    [
        (Session(reads_deleted=False), 'dsacls "CN=Deleted Objects,DC=x" /G <account>:LCRP'),
        (
            Session(reason="ObjectSecurity"),
            'dsacls "DC=x" /G "<account>:CA;Replicating Directory Changes"',
        ),
        (
            Session(stamps=False),
            'dsacls "OU=Staff,DC=x" /I:S /G "<account>:WP;mS-DS-ConsistencyGuid;user"',
        ),
    ],
)
def test_each_lack_comes_with_its_command(session: Session, command: str) -> None:
    assert command in told(session, stamps=True)


def test_the_right_to_stamp_matters_only_where_that_is_wanted() -> None:
    assert told(Session(stamps=False), stamps=False) == ""
