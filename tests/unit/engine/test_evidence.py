from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence

import pytest

from entrasync.directory.model import SourceEntry
from entrasync.engine.evidence import EvidenceGatherer, guid_of_anchor
from entrasync.engine.plan import CloudObject, Evidence
from entrasync.engine.scope import Scope
from entrasync.entra.contracts import SyncObjectType

USER = {
    "objectClass": (b"top", b"user"),
    "sAMAccountName": (b"a",),
    "userAccountControl": (b"512",),
}


def entry(guid: str, parent: str | None, *, deleted: bool = False, **more: bytes) -> SourceEntry:
    return SourceEntry(
        guid=guid,
        dn=f"CN={guid},DC=x",
        parent_guid=parent,
        deleted=deleted,
        attributes=USER | {name: (value,) for name, value in more.items()},
    )


class Directory:
    def __init__(self, *entries: SourceEntry) -> None:
        self.entries = {each.guid: each for each in entries}

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        del attributes
        return self.entries.get(guid)


TREE = (
    entry("root", None),
    entry("staff", "root"),
    entry("service", "staff"),
    entry("other", "root"),
)


def told(found: SourceEntry | None, *tree: SourceEntry) -> Evidence:
    directory = Directory(*(tree or TREE), *([found] if found else []))
    gatherer = EvidenceGatherer(
        directory, Scope(include=frozenset({"staff"}), exclude=frozenset({"service"})), ("x",)
    )
    candidate = CloudObject(
        anchor="anchor", object_type=SyncObjectType.USER, guid="a", properties={}, owned=True
    )
    return gatherer.gather([candidate], lambda: None)["anchor"]


@pytest.mark.parametrize(
    ("found", "evidence"),
    [
        (None, Evidence.UNKNOWN),
        (entry("a", None, deleted=True), Evidence.DELETED),
        (entry("a", "other"), Evidence.OUT_OF_SCOPE),
        (entry("a", "service"), Evidence.OUT_OF_SCOPE),
        (entry("a", "staff", isCriticalSystemObject=b"TRUE"), Evidence.OUT_OF_SCOPE),
        # it is there and in scope: not having seen it before proves nothing
        (entry("a", "staff"), Evidence.UNKNOWN),
        # somebody took away the right to read a container above it
        (entry("a", "hidden"), Evidence.UNKNOWN),
    ],
)
def test_evidence(found: SourceEntry | None, evidence: Evidence) -> None:
    assert told(found) is evidence


def test_a_deleted_container_above_is_no_proof() -> None:
    assert told(entry("a", "staff2"), entry("staff2", "root", deleted=True)) is Evidence.UNKNOWN


def test_a_circle_ends() -> None:
    assert told(entry("a", "b"), entry("b", "a")) is Evidence.UNKNOWN


def test_without_guid_the_anchor_tells_it() -> None:
    guid = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    anchor = base64.b64encode(guid.bytes_le).decode()

    assert guid_of_anchor(anchor) == str(guid)
    assert guid_of_anchor("no base64!") is None
    assert guid_of_anchor("AAAA") is None
