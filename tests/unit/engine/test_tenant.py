"""How a cycle reads the tenant: what changed where that is enough, everything otherwise."""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from entrasync.api.sync_run import RunScope
from entrasync.emulator.naming import NameIndex
from entrasync.emulator.readback import read_page
from entrasync.emulator.store import MatchingRules, TenantStore
from entrasync.engine import tenant as tenant_module
from entrasync.engine.letting_go import META_TEMPORARY
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.tenant import TenantReader, guid_of_anchor
from entrasync.entra.contracts import (
    CompanyConfiguration,
    LinkChange,
    PropertyValue,
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.errors import ConfigurationError, TransientError
from entrasync.state.cloud import META_COOKIE
from entrasync.state.store import Store

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
ANCHOR = base64.b64encode(GUID.bytes_le).decode()
NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
TARGETS = frozenset({"title", "mail"})


def page(*anchors: str, cookie: str | None = "1", **values: Any) -> ReadBackPage:
    objects = tuple(
        SyncObject(
            object_type=SyncObjectType.USER,
            operation=SyncOperation.SET,
            source_anchor=each,
            properties=values,
        )
        for each in anchors
    )
    return ReadBackPage(objects=objects, cookie=cookie)


def gone(anchor: str, cookie: str = "1") -> ReadBackPage:
    deleted = SyncObject(
        object_type=SyncObjectType.USER, operation=SyncOperation.DELETE, source_anchor=anchor
    )
    return ReadBackPage(objects=(deleted,), cookie=cookie)


RESTART = ReadBackPage(objects=(), restart=True)


class Service:
    """Answers read-backs, and notes which cookies it was asked with."""

    def __init__(self) -> None:
        self.answers: list[Sequence[ReadBackPage | Exception]] = []
        self.cookies: list[str | None] = []
        self.enabled = True

    def company_configuration(self) -> CompanyConfiguration:
        return CompanyConfiguration(
            tenant_id="t", directory_sync_enabled=self.enabled, max_links_per_request=7
        )

    def read_back(self, cookie: str | None = None) -> Iterator[ReadBackPage]:
        self.cookies.append(cookie)
        for each in self.answers.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each


class Run:
    """Cycles that read the tenant, one after the other."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.service = Service()
        self.told: list[int] = []

    def read(
        self,
        *pages: ReadBackPage | Exception,
        scope: RunScope | None = None,
        targets: frozenset[str] = TARGETS,
    ) -> TenantReader:
        self.service.answers.append(pages)
        inputs: Any = SimpleNamespace(
            scope=scope,
            tenant_resource="EntraTenant/contoso",
            flows=SimpleNamespace(targets=targets),
        )
        parts: Any = SimpleNamespace(
            client=self.service,
            store=self.store,
            clock=lambda: NOW,
            progress=lambda _, done, __: self.told.append(done),
        )
        self.outcome = CycleOutcome()
        reader = TenantReader(inputs, parts, self.outcome)
        reader.read()
        return reader

    @property
    def anchors(self) -> set[str]:
        rows = self.store.database.connection.execute(
            "SELECT anchors.anchor FROM cloud_objects JOIN anchors ON id = cloud_objects.anchor"
        )
        return {anchor for (anchor,) in rows}

    def marks(self) -> set[str]:
        execute = self.store.database.connection.execute
        rows = execute("SELECT a.anchor FROM changed_anchors c JOIN anchors a ON id = c.anchor")
        found = {anchor for (anchor,) in rows}
        execute("DELETE FROM changed_anchors")
        return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Store(tmp_path) as store:
        yield Run(store)


def test_what_the_tenant_says_of_itself_is_kept(run: Run) -> None:
    reader = run.read(page())

    assert reader.company is not None
    assert reader.max_links == 7
    assert run.outcome.company is not None
    assert run.outcome.company.max_links_per_request == 7


def test_a_tenant_without_sync_is_refused_before_anything_is_read(run: Run) -> None:
    run.service.enabled = False

    with pytest.raises(ConfigurationError, match="switched off") as caught:
        run.read(page())
    assert caught.value.reason == "SyncDisabledInTenant"
    assert caught.value.resource == "EntraTenant/contoso"
    assert run.service.cookies == []


def test_the_first_run_reads_everything_and_the_next_what_changed(run: Run) -> None:
    first = run.read(page("a", "b"), page(), page("c", cookie="3"))
    assert first.is_read_back
    assert run.outcome.requests.import_ == 3
    assert run.told == [0, 2, 2, 3]

    second = run.read(page("d", cookie="4"), page(cookie="5"))
    assert not second.is_read_back
    assert run.anchors == {"a", "b", "c", "d"}
    run.read(gone("a", "6"))
    run.read(page(cookie="6"))
    assert run.anchors == {"b", "c", "d"}
    assert run.service.cookies == [None, "3", "5", "6"]
    assert run.outcome.requests.import_ == 1


def test_nothing_new_marks_nothing(run: Run) -> None:
    run.read(page("a"))
    assert run.marks() == {"a"}
    run.read(page("a"))
    run.read(page("a"), scope=RunScope.FULL)

    assert run.marks() == set()


def test_everything_is_read_when_it_is_asked_for(run: Run) -> None:
    run.read(page("a", "b"))

    assert run.read(page("b"), scope=RunScope.FULL).is_read_back
    assert run.anchors == {"b"}
    assert run.read(page(), scope=RunScope.DELTA).is_read_back is False


def test_everything_is_read_when_what_is_known_is_not_trusted(run: Run) -> None:
    run.read(page("a"))
    run.store.cloud.distrust()

    assert run.read(page("b")).is_read_back
    assert not run.read(page()).is_read_back


def test_a_service_without_cookies_is_read_in_full_every_time(run: Run) -> None:
    for _ in range(2):
        assert run.read(page("a", cookie=None)).is_read_back
    assert run.service.cookies == [None, None]


def test_everything_is_read_when_more_properties_flow(run: Run) -> None:
    more = TARGETS | {"city"}
    run.read(page("a", title="t", city="c"))

    assert run.read(page("a", title="t", city="c"), targets=more).is_read_back
    number = run.store.database.anchor_number("a")
    assert run.store.cloud.properties(number) == {"title": "t", "city": "c"}
    # what was not compared before is nothing that somebody changed
    assert run.store.cloud.drifted(number) == {}
    assert not run.read(page(), targets=more).is_read_back
    assert not run.read(page(), targets=TARGETS).is_read_back
    assert run.read(page("a"), targets=more).is_read_back


def test_what_was_read_before_a_restart_is_dropped(run: Run) -> None:
    # an object that was gone by then must not be taken for one that is there
    run.read(page("a", "b"), RESTART, page("b"))

    assert run.anchors == {"b"}
    assert run.outcome.requests.import_ == 3


def test_a_cookie_that_is_not_taken_makes_a_full_read_of_the_same_series(run: Run) -> None:
    run.read(page("a", "b"))
    with capture_logs():
        reader = run.read(RESTART, page("b", "c", cookie="9"))

    assert reader.is_read_back
    assert run.anchors == {"b", "c"}
    assert run.service.cookies == [None, "1"]
    run.read(page())
    assert run.service.cookies[-1] == "9"


def test_a_read_back_that_breaks_off_begins_again(run: Run) -> None:
    run.read(page("a", "b", cookie="1"))
    with pytest.raises(TransientError):
        run.read(page("a"), TransientError("x", "gone"), scope=RunScope.FULL)
    assert run.anchors == {"a", "b"}

    assert run.read(page("a", cookie="7")).is_read_back
    assert run.anchors == {"a"}


def test_changes_that_break_off_are_read_again(run: Run) -> None:
    run.read(page("a", cookie="1"))
    with pytest.raises(TransientError):
        run.read(page("b", cookie="2"), TransientError("x", "gone"))

    assert not run.read(page("b", "c", cookie="3")).is_read_back
    assert run.service.cookies == [None, "1", "1"]
    assert run.anchors == {"a", "b", "c"}


def test_what_an_interrupted_call_created_is_owned(run: Run) -> None:
    run.read(page("foreign"))
    run.marks()
    run.store.checkpoints.record_intent([ANCHOR, "never-arrived"])

    assert run.read(page(ANCHOR, "foreign")).is_read_back

    execute = run.store.database.connection.execute
    assert execute("SELECT guid FROM cloud_objects WHERE owned").fetchall() == [(GUID.bytes,)]
    assert run.store.checkpoints.pending() == []
    assert run.marks() == {ANCHOR, "never-arrived"}
    assert not run.read(page()).is_read_back


def test_the_intent_stays_until_everything_was_read(run: Run) -> None:
    run.store.checkpoints.record_intent([ANCHOR])
    with pytest.raises(TransientError):
        run.read(page(ANCHOR), TransientError("x", "gone"))

    assert run.store.checkpoints.pending() == [ANCHOR]


def test_the_window_learns_of_an_interrupted_call_before_it_is_forgotten(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], set[str], dt.datetime]] = []

    def settle(store: Store, now: dt.datetime) -> int:
        seen.append((store.checkpoints.pending(), run.anchors, now))
        return 0

    monkeypatch.setattr(tenant_module, "settle_interrupted", settle)
    run.read(page("a", "b"))
    run.store.checkpoints.record_intent(["a"])
    run.read(page("b"))

    assert seen[-1] == (["a"], {"b"}, NOW)


@pytest.mark.parametrize("settled", [True, False])
def test_names_for_a_moment_and_unknown_results_are_no_drift(run: Run, *, settled: bool) -> None:
    run.read(page("a", title="x"))
    number = run.store.database.anchor_number("a")
    run.store.cloud.record_set(number, "User", None, {"title": "ours"})
    if not settled:
        run.store.put(META_TEMPORARY, json.dumps({"a": {}}))
    run.read(page("a", title="theirs"))
    assert run.store.cloud.drifted(number) == ({"title": 1} if settled else {})

    run.store.cloud.record_set(number, "User", None, {"mail": "ours"})
    run.store.checkpoints.record_intent(["a"])
    run.read(page("a", title="theirs"))
    assert "mail" not in run.store.cloud.drifted(number)


def test_what_the_service_took_is_told_as_it_was_exported(run: Run) -> None:
    tenant = emulated()
    number = run.store.database.anchor_number
    written: dict[str, PropertyValue] = {
        "displayName": "Zoë",
        "title": "t",
        "proxyAddresses": ("SMTP:a@contoso.example", "smtp:b@contoso.example"),
        "onPremisesObjectIdentifier": GUID.bytes_le,
        "accountEnabled": True,
    }
    targets = frozenset(written)
    run.read(*pages_of(tenant, None), targets=targets)
    for anchor, kind, values, links in (
        ("u", SyncObjectType.USER, written, ()),
        ("g", SyncObjectType.GROUP, {"displayName": "G"}, (LinkChange("u", add=True),)),
        ("u", SyncObjectType.USER, {"title": None}, ()),
    ):
        sent = SyncObject(
            object_type=kind,
            operation=SyncOperation.SET,
            source_anchor=anchor,
            properties=values,
            links=links,
        )
        tenant.apply(sent, max_members=10)
        run.store.cloud.record_set(number(anchor), kind, GUID.bytes, values)
        added = [number(link.anchor) for link in links]
        run.store.cloud.record_links(number(anchor), added, [])

    cookie = run.store.get(META_COOKIE)
    reader = run.read(*pages_of(tenant, cookie), targets=targets)

    assert not reader.is_read_back
    assert run.marks() == set()
    assert list(run.store.cloud.drift.rows()) == []
    assert run.store.cloud.owned_counts() == {"User": 1, "Group": 1, "links": 1}
    pairs = run.store.database.connection.execute("SELECT COUNT(*) FROM changed_pairs")
    assert pairs.fetchone() == (0,)


def emulated() -> TenantStore:
    names = NameIndex(
        initial_domain="x.onmicrosoft.com",
        verified_domains=frozenset(),
        resiliency=True,
        digits=lambda: "0000",
    )
    numbers = count()
    return TenantStore(names=names, matching=MatchingRules(), new_id=lambda: f"id-{next(numbers)}")


def pages_of(tenant: TenantStore, cookie: str | None) -> list[ReadBackPage]:
    return [read_page(tenant, "t", SyncVersion.V2, cookie=cookie, page_size=10)]


@pytest.mark.parametrize("anchor", ["", "short", "no base64!", base64.b64encode(b"x").decode()])
def test_other_anchors_tell_of_no_guid(anchor: str) -> None:
    assert guid_of_anchor(anchor) is None
    assert guid_of_anchor(ANCHOR) == GUID.bytes
