"""Several sources are found and read; each for itself, all or none."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from entrasync.api.choices import JoinBy
from entrasync.api.directory_sync import SyncMode
from entrasync.api.sync_run import RunScope
from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.model import ChangePage, Container, RootInfo, SourceEntry
from entrasync.directory.schema import SchemaAttribute
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.flows import flow_set
from entrasync.engine.inputs import AnchorRules, SourceInputs
from entrasync.engine.latency import META_WAITING
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.reading import DAILY_READ, FoundSources, digest, read_sources
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.errors import BlockedError, ConfigurationError
from entrasync.state.store import Store
from tests.support.sources import guid, name_of, objects, references

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FLOWS = flow_set()
GROUP = "CN=pilot,DC=b"


@dataclass
class Session:
    """One domain, with what a cycle asks of its directory."""

    base: str
    entries: dict[str, SourceEntry] = field(default_factory=dict)
    changed: list[SourceEntry] = field(default_factory=list)
    delta_method: tuple[str, str] = ("DirSync", "ReplicationRightGranted")
    rejected: bool = False
    reads: list[str] = field(default_factory=list)
    hidden: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.root = RootInfo(
            server="ldaps://dc",
            base_dn=self.base,
            domain=self.base.removeprefix("DC=") + ".test",
            functional_level="2016",
            naming_contexts=(self.base,),
            invocation_id=None,
        )
        self.add(self.base, None, "domainDNS", dn=self.base)

    def add(
        self,
        name: str,
        parent: str | None,
        kind: str = "user",
        *,
        dn: str = "",
        members: Sequence[str] | None = None,
    ) -> SourceEntry:
        made = SourceEntry(
            guid=guid(name),
            dn=dn or f"CN={name},{self.base}",
            parent_guid=None if parent is None else guid(parent),
            deleted=False,
            attributes={"objectClass": (b"top", kind.encode())},
            members=None if members is None else tuple(map(guid, members)),
        )
        self.entries[made.guid] = made
        return made

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        return {
            name.lower(): SchemaAttribute(
                name=name, names_objects=False, followed=True, confidential=False
            )
            for name in names
        }

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.hidden)

    def resolve_container(self, dn: str, *, field: str = "spec.baseDN") -> Container:
        for each in self.entries.values():
            if each.dn == dn:
                return Container(guid=each.guid, dn=dn)
        raise ConfigurationError("BaseNotFound", "no", field=field)

    def resolve_container_guid(self, guid: str) -> Container | None:
        found = self.entries.get(guid)
        return None if found is None else Container(guid=guid, dn=found.dn)

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        del attributes
        self.reads.append(name_of(guid))
        return self.entries.get(guid)

    def read_all(self, base_dn: str, attributes: Sequence[str]) -> Iterator[SourceEntry]:
        del attributes
        self.reads.append(base_dn)
        yield from [each for each in self.entries.values() if each.dn.endswith(base_dn)]

    def change_times(self, guids: Iterable[str]) -> dict[str, dt.datetime]:
        return dict.fromkeys(guids, NOW)

    def current_cookie(self) -> bytes:
        return b"c1"

    def changes(self, cookie: bytes, attributes: Sequence[str]) -> Iterator[ChangePage]:
        del cookie, attributes
        if self.rejected:
            raise CookieRejectedError("it is too old")
        yield ChangePage(entries=tuple(self.changed), cookie=b"c2", more=False)


class Rig:
    """A state and two domains."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.a, self.b = Session("DC=a"), Session("DC=b")
        self.a.add("one", "DC=a")
        self.b.add("two", "DC=b")
        self.names = ["a", "b"]
        self.selection = SelectionRules(resource="DirectorySync/x")
        self.now = NOW
        self.mode = SyncMode.APPLY
        self.outcome = CycleOutcome()
        self.progress: list[tuple[str, int, int | None]] = []
        self.where: dict[str, tuple[str, ...]] = {}

    def read(self, scope: RunScope | None = None) -> FoundSources:
        self.outcome = CycleOutcome()
        for session in (self.a, self.b):
            session.reads.clear()
        inputs: Any = SimpleNamespace(
            sources=tuple(
                SourceInputs(
                    name=name,
                    resource=f"ActiveDirectory/{name}-directory",
                    where=ScopeSpec(
                        include=self.where.get(name, ()),
                        exclude=(),
                        source=name,
                        resource="DirectorySync/x",
                    ),
                )
                for name in self.names
            ),
            sync_resource="DirectorySync/x",
            scope=scope,
            mode=self.mode,
            remembered=(),
            selection=self.selection,
            anchors=AnchorRules(),
            join_users=JoinBy.NONE,
            flows=FLOWS,
        )
        parts: Any = SimpleNamespace(
            store=self.store,
            clock=lambda: self.now,
            progress=lambda *step: self.progress.append(step),
        )
        # opened in another order than that of precedence
        sessions: Any = {"b": self.b, "a": self.a}
        return read_sources(sessions, inputs, parts, self.outcome)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Store(tmp_path) as store:
        yield Rig(store)


def test_all_sources_are_read_in_order_of_precedence(rig: Rig) -> None:
    found = rig.read()

    assert list(found.scopes) == ["a", "b"]
    assert found.scopes["b"].include == {guid("DC=b")}
    assert {name: row.source for name, row in objects(rig.store.database).items()} == {
        "DC=a": 1,
        "one": 1,
        "DC=b": 2,
        "two": 2,
    }
    outcome = rig.outcome
    assert outcome.scope is RunScope.FULL
    assert outcome.source is not None
    assert (outcome.source.read, outcome.source.method) == (4, "FullComparison")
    assert rig.progress[-1] == ("Import", 4, None)
    facts = outcome.directories
    assert (facts["a-directory"].domain, facts["b-directory"].domain) == ("a.test", "b.test")
    domains = rig.store.database.connection.execute("SELECT domain FROM sources").fetchall()
    assert domains == [("a.test",), ("b.test",)]


def test_each_source_goes_on_from_its_own_cookie(rig: Rig) -> None:
    rig.read()
    rig.b.rejected = True
    rig.a.changed = [rig.a.add("three", "DC=a")]

    rig.read()

    assert rig.a.reads == ["three"]
    assert rig.b.reads == ["DC=b"]
    assert rig.outcome.scope is RunScope.FULL
    assert "too old" in rig.outcome.message
    rig.b.rejected = False
    rig.read()
    after = rig.outcome
    assert after.scope == RunScope.DELTA
    assert after.source is not None
    assert (after.source.read, after.source.method) == (1, "DirSync")


def test_when_changes_were_made_is_noted_by_runs_that_export(rig: Rig) -> None:
    rig.read()
    assert rig.store.get(META_WAITING) is None
    rig.a.changed = [rig.a.add("new", "DC=a")]
    rig.mode = SyncMode.PREVIEW
    rig.read()
    assert rig.store.get(META_WAITING) is None
    rig.mode = SyncMode.APPLY
    rig.read()
    assert json.loads(rig.store.get(META_WAITING) or "{}") == {guid("new"): int(NOW.timestamp())}


def test_a_full_run_reads_everything(rig: Rig) -> None:
    rig.read()
    rig.read(RunScope.FULL)

    assert (rig.a.reads, rig.b.reads) == (["DC=a"], ["DC=b"])


def test_everything_is_read_daily_where_not_every_change_is_told(rig: Rig) -> None:
    rig.b.delta_method = ("DirSync", "ObjectSecurity")
    rig.read()
    rig.now = NOW + dt.timedelta(days=1)

    rig.read()

    assert (rig.a.reads, rig.b.reads) == ([], ["DC=b"])
    assert rig.outcome.message == DAILY_READ


def test_one_source_that_cannot_be_read_stops_the_run(rig: Rig) -> None:
    del rig.b.entries[guid("two")]
    with pytest.raises(BlockedError) as caught:
        rig.read()
    assert (caught.value.reason, caught.value.resource) == (
        "SourceEmpty",
        "ActiveDirectory/b-directory",
    )

    rig.b.add("two", "DC=b")
    rig.b.hidden = ("mail",)
    with pytest.raises(ConfigurationError) as refused:
        rig.read()
    assert refused.value.resource == "ActiveDirectory/b-directory"


def test_a_scope_that_is_not_there_costs_no_reading(rig: Rig) -> None:
    rig.where["b"] = ("OU=Nowhere,DC=b",)
    with pytest.raises(ConfigurationError) as caught:
        rig.read()

    assert caught.value.field == "spec.sources[b].include"
    assert (rig.a.reads, rig.b.reads) == ([], [])


def test_another_scope_is_read_in_full_and_pinned(rig: Rig) -> None:
    rig.read()
    unit = rig.b.add("unit", "DC=b", "organizationalUnit", dn="OU=unit,DC=b")
    rig.b.add("inside", "unit", dn="CN=inside,OU=unit,DC=b")
    rig.where["b"] = (unit.dn,)

    found = rig.read()

    assert rig.a.reads == []
    assert [pin.guid for pin in found.pinned] == [unit.guid]
    assert rig.outcome.scopes == found.pinned
    assert set(objects(rig.store.database)) == {"DC=a", "one", "unit", "inside"}


def test_a_source_that_is_named_no_longer_keeps_its_objects(rig: Rig) -> None:
    rig.read()
    rig.names = ["b"]

    rig.read()

    assert rig.a.reads == []
    assert "one" in objects(rig.store.database)


def test_groups_of_filters_are_read_in_their_domain_and_what_is_in_them(rig: Rig) -> None:
    kinds = {SourceKind.USER: KindRules(group=GROUP, nested=True)}
    rig.selection = SelectionRules(kinds=kinds, resource="DirectorySync/x")
    unit = rig.b.add("unit", "DC=b", "organizationalUnit", dn="OU=unit,DC=b")
    rig.b.add("inside", "unit", dn="CN=inside,OU=unit,DC=b")
    rig.b.add("pilot", "DC=b", "group", members=["one", "two", "inner"])
    rig.b.add("inner", "DC=b", "group", members=["inside"])
    rig.where["b"] = (unit.dn,)

    found = rig.read()

    assert found.group_guids == {GROUP: guid("pilot")}
    assert [pin.dn for pin in found.pinned] == [unit.dn, GROUP]
    assert {"pilot", "inner", "two"} <= set(objects(rig.store.database))
    assert references(rig.store.database)["inner"] == {"inside"}
    rig.read()  # and nothing of it again
    assert rig.b.reads == []


def test_what_moved_between_the_domains_keeps_its_links(rig: Rig) -> None:
    rig.a.add("team", "DC=a", "group", members=["one"])
    rig.read()
    moved = rig.b.add("one", "DC=b")
    gone = rig.a.entries.pop(guid("one"))
    rig.a.changed = [
        SourceEntry(guid=gone.guid, dn=gone.dn, parent_guid=None, deleted=True, attributes={})
    ]
    rig.b.changed = [moved]

    rig.read()

    row = objects(rig.store.database)["one"]
    assert (row.source, row.parent) == (2, "DC=b")
    assert references(rig.store.database) == {"team": {"one"}}


def test_a_digest_tells_parts_apart() -> None:
    assert digest(["a"], "b") == digest(["a"], "b")
    assert digest(["a"], "b") != digest(["b"], "a")
