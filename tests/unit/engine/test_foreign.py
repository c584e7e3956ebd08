"""Whether the last sync a tenant tells of was our own."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.choices import TenantTakeover
from entrasync.api.directory_sync import SyncMode
from entrasync.api.entra_tenant import LastExport
from entrasync.engine.foreign import (
    BEAT_SECONDS,
    LATENESS,
    META_LAST_EXPORT,
    SILENCE,
    SKEW,
    EngineWatch,
    Memory,
    foreign_digest,
    is_ours,
)
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.outcome import CycleOutcome
from entrasync.entra.graph import LastSync
from entrasync.errors import BlockedError, TransientError
from entrasync.state.store import Store
from tests.support.samples import NOW

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
MINUTE = dt.timedelta(minutes=1)


class Place:
    """A state, a tenant that tells when it was synced, and a clock."""

    def __init__(self, folder: Path, **inputs: Any) -> None:
        self.store = Store(folder)
        self.now = NOW
        self.told: dt.datetime | None = None
        self.readable = True
        self.broken = False
        self.seconds = 0.0
        self.inputs = inputs
        self.outcome = CycleOutcome()

    def watch(self) -> EngineWatch:
        self.outcome = CycleOutcome()
        known = {
            "tenant_id": TENANT,
            "tenant_resource": "EntraTenant/contoso",
            "mode": SyncMode.APPLY,
            "takeover": TenantTakeover.REFUSE,
            "last_export": None,
            "approved": (),
        }
        parts = SimpleNamespace(
            store=self.store,
            clock=lambda: self.now,
            monotonic=lambda: self.seconds,
            last_sync=self._last_sync,
        )
        inputs = SimpleNamespace(**(known | self.inputs))
        return EngineWatch(cast("CycleInputs", inputs), cast("CycleParts", parts), self.outcome)

    def _last_sync(self) -> LastSync | None:
        if self.broken:
            raise TransientError("ServerUnreachable", "no answer")
        return LastSync(time=self.told) if self.readable else None

    def export(self, *, tells: bool = True) -> None:
        """An export of ours from its beginning to its end."""
        watch = self.watch()
        watch.begin()
        self.now += MINUTE
        if tells:
            self.told = self.now
        watch.end()

    def somebody_else(self) -> None:
        self.now += 30 * MINUTE
        self.told = self.now

    def memory(self) -> Memory:
        return Memory(**json.loads(self.store.get(META_LAST_EXPORT) or "{}"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path / "state")
    with found.store:
        yield found


def refused(place: Place) -> str:
    with pytest.raises(BlockedError) as caught:
        place.watch().require_alone()
    assert caught.value.reason == "ForeignEngineActive"
    assert place.outcome.blocked_plan is not None
    assert place.outcome.blocked_plan.digest in caught.value.message
    return place.outcome.blocked_plan.digest


def test_a_tenant_nobody_synced_may_be_synced_and_then_is_ours(place: Place) -> None:
    place.watch().require_alone()
    place.export()
    place.now += 30 * MINUTE
    place.watch().require_alone()
    place.export()
    place.watch().require_alone()

    assert place.outcome.last_export is None
    place.export()
    assert place.outcome.last_export is not None
    assert place.outcome.last_export.tenant_time == "2026-03-14T15:42:26Z"


def test_who_synced_since_is_noticed_at_the_start_and_before_the_export(place: Place) -> None:
    place.export()
    watch = place.watch()
    watch.require_alone()
    place.somebody_else()

    with pytest.raises(BlockedError):
        watch.begin()
    refused(place)


def test_an_approval_lets_exactly_that_sync_pass(place: Place) -> None:
    place.export()
    place.somebody_else()
    place.inputs["approved"] = (refused(place),)

    place.watch().require_alone()
    assert place.outcome.approval_used == place.inputs["approved"][0]
    place.watch().require_alone()

    place.somebody_else()
    assert refused(place) not in place.inputs["approved"]


def test_what_is_told_late_is_ours_and_what_comes_later_is_not(place: Place) -> None:
    place.export(tells=False)
    ended = place.now
    assert place.memory().late
    place.told = ended
    place.now += 30 * MINUTE
    place.watch().require_alone()

    place.told = ended + MINUTE
    refused(place)


def test_an_export_that_was_killed_leaves_no_suspicion(place: Place) -> None:
    watch = place.watch()
    watch.begin()
    for _ in range(5):
        place.seconds += BEAT_SECONDS
        place.now += MINUTE
        watch.beat()
    place.told = place.now  # the service was told, and we were killed

    place.now += 10 * MINUTE
    place.watch().require_alone()
    assert place.memory().began == ""

    place.somebody_else()
    refused(place)


def test_somebody_else_after_a_killed_export_is_noticed(place: Place) -> None:
    place.watch().begin()
    place.now += 2 * LATENESS
    place.told = place.now

    refused(place)


def test_a_replica_that_is_behind_is_no_foreign_engine(place: Place) -> None:
    place.export()
    first = place.told
    place.now += 30 * MINUTE
    place.export()
    place.told = first

    place.watch().require_alone()


def test_a_copy_of_the_state_does_not_take_the_others_export_for_its_own(
    tmp_path: Path, place: Place
) -> None:
    place.export()
    copied = place.store.get(META_LAST_EXPORT)
    place.now += 30 * MINUTE
    place.export()

    twin = Place(tmp_path / "twin")
    with twin.store:
        twin.store.put(META_LAST_EXPORT, copied)
        twin.now, twin.told = place.now, place.told
        refused(twin)


def test_without_a_state_the_status_remembers(place: Place) -> None:
    place.told = NOW
    place.inputs["last_export"] = LastExport(time="2026-03-14T15:09:27Z", tenant_time=None)
    place.watch().require_alone()

    place.somebody_else()
    refused(place)


def test_a_sync_that_wrote_meanwhile_from_here_is_no_foreign_engine(
    tmp_path: Path, place: Place
) -> None:
    place.export()
    other = Place(tmp_path / "other")
    with other.store:
        other.now, other.told = place.now + 30 * MINUTE, place.told
        other.inputs["last_export"] = place.outcome.last_export
        other.export()

    place.now, place.told = other.now + 30 * MINUTE, other.told
    refused(place)
    place.inputs["last_export"] = other.outcome.last_export
    place.watch().require_alone()


@pytest.mark.parametrize("takeover", list(TenantTakeover))
def test_a_tenant_of_another_engine(place: Place, takeover: TenantTakeover) -> None:
    place.inputs["takeover"] = takeover
    place.told = NOW
    place.now = NOW + SILENCE - MINUTE
    refused(place)
    place.now = NOW + SILENCE
    if takeover is TenantTakeover.REFUSE:
        refused(place)
        return
    place.watch().require_alone()
    # and only then: what was said is used up
    place.somebody_else()
    place.now += 2 * SILENCE
    refused(place)


def test_a_tenant_that_cannot_be_asked(place: Place) -> None:
    place.told = NOW
    place.readable = False
    place.watch().require_alone()
    place.export(tells=False)
    assert place.memory().told == ""

    place.readable = True
    place.told = place.now
    place.watch().require_alone()
    place.export()

    place.broken = True
    with pytest.raises(TransientError):
        place.watch().require_alone()


def test_a_preview_asks_nothing(place: Place) -> None:
    place.export()
    place.somebody_else()
    place.inputs["mode"] = SyncMode.PREVIEW

    place.watch().require_alone()


TIMES = st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2027, 1, 1)).map(  # noqa: DTZ001  - the zone follows
    lambda each: each.replace(tzinfo=dt.UTC, microsecond=0)
)


@given(told=TIMES, before=TIMES, ended=TIMES, late=st.booleans(), opened=st.booleans())
def test_nothing_long_after_our_own_end_is_ours(
    *, told: dt.datetime, before: dt.datetime, ended: dt.datetime, late: bool, opened: bool
) -> None:
    began = (ended - MINUTE).isoformat() if opened else ""
    memory = Memory(told=before.isoformat(), ended=ended.isoformat(), began=began, late=late)
    if told > max(before, ended + LATENESS + SKEW):
        assert not is_ours(told, memory)
    assert is_ours(before, memory)


@given(TIMES, TIMES)
def test_a_digest_names_one_time_of_one_tenant(one: dt.datetime, other: dt.datetime) -> None:
    same = foreign_digest(TENANT, one) == foreign_digest(TENANT, other)
    assert same == (one == other)
    assert foreign_digest(TENANT, one) != foreign_digest(TENANT.replace("3", "4"), one)


@pytest.mark.parametrize("asked", ["first", "second"])
@pytest.mark.parametrize("ended", ["first", "second"])
def test_a_replica_that_is_behind_an_export_makes_nobody_a_stranger(
    place: Place, asked: str, ended: str
) -> None:
    times = {}
    for which in ("first", "second"):
        place.export()
        times[which] = place.told
        place.now += 30 * MINUTE

    place.told = times[asked]
    watch = place.watch()
    watch.begin()
    place.now += MINUTE
    place.told = times[ended]
    watch.end()

    place.told = place.now  # what we did ourselves
    place.now += 30 * MINUTE
    place.watch().require_alone()
    place.somebody_else()
    refused(place)
