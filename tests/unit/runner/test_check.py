"""Checks of a sync with several directories: each is told for itself, the scope apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest

from entrasync.api.result import DirectoryFacts, RunResult
from entrasync.api.snapshot import Snapshot
from entrasync.directory.model import Container, RootInfo, SourceEntry
from entrasync.errors import BindRejectedError, ConfigurationError
from entrasync.runner import check as module
from entrasync.runner.secret_files import SecretFiles
from tests.support import samples

SOURCES = [
    {"name": "main", "activeDirectoryRef": {"name": "contoso"}, "include": ["OU=A,DC=contoso"]},
    {"name": "branch", "activeDirectoryRef": {"name": "fabrikam"}, "include": ["OU=B,DC=fabrikam"]},
]


@dataclass
class Session:
    """A directory that holds containers, by their names."""

    name: str
    held: dict[str, Container] = field(default_factory=dict)

    @property
    def root(self) -> RootInfo:
        base = f"DC={self.name}"
        return RootInfo(
            server=f"ldaps://{self.name}",
            base_dn=base,
            domain=f"{self.name}.test",
            functional_level="2016",
            naming_contexts=(base,),
            invocation_id=None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def resolve_container(self, dn: str, *, field: str = "spec.baseDN") -> Container:
        if dn not in self.held:
            raise ConfigurationError(
                "BaseNotFound", "m", resource=f"ActiveDirectory/{self.name}", field=field
            )
        return self.held[dn]

    def resolve_container_guid(self, guid: str) -> Container | None:
        return next((each for each in self.held.values() if each.guid == guid), None)

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        raise AssertionError((guid, attributes))


class Directories:
    """Sessions by the name of their ActiveDirectory; an error is raised when it is opened."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session | Exception] = {
            "contoso": Session("contoso", {"OU=A,DC=contoso": Container(guid="a", dn="OU=A")}),
            "fabrikam": Session("fabrikam", {"OU=B,DC=fabrikam": Container(guid="b", dn="OU=B")}),
        }

    def open(self, name: str, _: object) -> Session:
        found = self.sessions[name]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def directories(monkeypatch: pytest.MonkeyPatch) -> Directories:
    made = Directories()

    @contextmanager
    def connect(*_: Any, **__: Any) -> Iterator[None]:
        raise ConfigurationError("TenantNotFound", "m", resource="EntraTenant/contoso")
        yield

    for name, stub in {
        "connect_tenant": connect,
        "directory_config": lambda directory, *_: directory.metadata.name,
        "open_patiently": made.open,
        "directory_facts": lambda session: DirectoryFacts(domain=session.root.domain),
        "usable_attributes": lambda *_: (),
        "require_readable": lambda *_: None,
        "missing_rights": lambda *_, stamps: "It may not stamp." if stamps else "",
    }.items():
        monkeypatch.setattr(module, name, stub)
    return made


def snapshot(*, tenant: bool = False, **spec: Any) -> Snapshot:
    contoso = samples.directory()
    fabrikam = contoso.model_copy(
        update={"metadata": contoso.metadata.model_copy(update={"name": "fabrikam"})}
    )
    return Snapshot(
        run=None,
        sync=samples.sync(**({"sources": SOURCES} | spec)),
        directories={"contoso": contoso, "fabrikam": fabrikam},
        tenant=samples.tenant() if tenant else None,
        cloud=samples.cloud(),
        config_maps={},
    )


def checked(given: Snapshot) -> RunResult:
    return module.check(given, SecretFiles(folder=Path("/nowhere")))


def test_all_directories_are_tried_and_told_by_name(directories: Directories) -> None:
    assert directories.sessions
    result = checked(snapshot())

    assert result.outcome == "Succeeded"
    assert {name: check.ok for name, check in result.directory_checks.items()} == {
        "contoso": True,
        "fabrikam": True,
    }
    assert {name: each.domain for name, each in result.directories.items()} == {
        "contoso": "contoso.test",
        "fabrikam": "fabrikam.test",
    }


def test_one_that_refuses_takes_nothing_from_the_others(directories: Directories) -> None:
    directories.sessions["contoso"] = BindRejectedError(
        "BindRejected", "m", resource="ActiveDirectory/contoso"
    )

    result = checked(snapshot(tenant=True))

    assert {name: check.reason for name, check in result.directory_checks.items()} == {
        "contoso": "BindRejected",
        "fabrikam": "Accepted",
    }
    assert result.tenant_check is not None
    assert result.tenant_check.reason == "TenantNotFound"
    assert list(result.directories) == ["fabrikam"]


def test_a_container_that_is_not_there_is_the_fault_of_the_sync(directories: Directories) -> None:
    directories.sessions["fabrikam"] = Session("fabrikam")

    result = checked(snapshot())

    assert (result.outcome, result.reason) == ("Failed", "BaseNotFound")
    assert result.resource == "DirectorySync/contoso"
    assert "spec.sources[branch].include" in result.message
    assert all(check.ok for check in result.directory_checks.values())


def test_a_container_that_is_pinned_may_have_been_renamed(directories: Directories) -> None:
    directories.sessions["fabrikam"] = Session("fabrikam")
    given = snapshot()
    assert given.sync is not None
    sync = samples.sync({"scopes": [{"dn": "OU=B,DC=fabrikam", "guid": "b"}]}, sources=SOURCES)

    assert checked(replace(given, sync=sync)).outcome == "Succeeded"


def test_a_scoping_group_is_looked_for_where_its_name_belongs(directories: Directories) -> None:
    assert directories.sessions
    objects = {"users": {"memberOf": {"group": "CN=Pilot,DC=fabrikam"}}}

    result = checked(snapshot(objects=objects))

    assert result.reason == "ScopeGroupNotFound"
    assert result.resource == "DirectorySync/contoso"


@pytest.mark.parametrize(("anchor", "told"), [({}, False), ({"stamp": True}, True)])
def test_the_right_to_stamp_is_asked_for_where_that_is_wanted(
    directories: Directories, anchor: dict[str, Any], *, told: bool
) -> None:
    assert directories.sessions

    checks = checked(snapshot(sourceAnchor=anchor)).directory_checks

    assert [("may not stamp" in each.message) for each in checks.values()] == [told, told]
