"""What a cycle does about brakes, a source that shrank, and what earlier runs left behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import pytest
from typing_extensions import override

from entrasync.api.choices import OnBlocked, OrphanPolicy
from entrasync.api.directory_sync import SyncMode
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.cycle import run_cycle
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.letting_go import META_TEMPORARY
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.report import NO_CHANGES
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncObjectType
from entrasync.entra.graph import SyncSettings
from entrasync.errors import BlockedError, EntrasyncError, TransientError
from entrasync.state.checkpoints import META_BATCH_SIZE
from entrasync.state.store import Store
from tests.support.model_scene import Config, Cycle
from tests.support.model_tenant import Faults, Killed
from tests.support.model_world import World

NONE = Limit(count=0)
LIMITS = (
    *("users", "groups", "contacts"),
    *("disables", "identity_changes", "clears", "link_removals"),
)
DELETIONS = "DeletionThresholdExceeded"


class Runs(World):
    """Cycles of a sync that is told something else now and then."""

    changes: Mapping[str, Any] = MappingProxyType({})

    @override
    def _inputs(self) -> CycleInputs:
        return dataclasses.replace(super()._inputs(), **self.changes)

    def run(self, outcome: CycleOutcome | None = None, **changes: Any) -> CycleOutcome:
        """One cycle, told these things."""
        self.changes = changes
        outcome = outcome or CycleOutcome()
        self.tenant.calls = 0
        with Store(self.folder) as store:
            store.put(META_BATCH_SIZE, str(self.config.batch))
            self._run(store, Cycle(), lambda *_: None, outcome)
        self.remembered = outcome.scopes
        return outcome

    def fails(self, **changes: Any) -> tuple[EntrasyncError, CycleOutcome]:
        """One cycle that ends with an error."""
        outcome = CycleOutcome()
        with pytest.raises(EntrasyncError) as ended:
            self.run(outcome, **changes)
        return ended.value, outcome

    @property
    def users(self) -> list[str]:
        """ObjectGUIDs of users who can be deleted, in order."""
        directory = self.directories[0]
        return [each.guid for each in directory.alive("user") if each.parent != directory.base]

    def upn(self, guid: str) -> object:
        """What the tenant has for the name of a user."""
        thing = self.directories[0].things[guid]
        return self.tenant.alive()[self.anchor(thing)].properties["userprincipalname"]

    def swap(self, one: str, other: str) -> tuple[str, str]:
        """Two users change names; gives what they had."""
        directory = self.directories[0]
        names = [directory.things[each].text("userPrincipalName") or "" for each in (one, other)]
        for guid, name in zip((one, other), reversed(names), strict=True):
            directory.set(guid, "userPrincipalName", name.encode())
        return names[0], names[1]


@pytest.fixture
def world(tmp_path: Path) -> Runs:
    return Runs(tmp_path, Config(users=6, groups=1, contacts=1, batch=1))


def limits(**changed: Any) -> dict[str, Any]:
    return {"limits": SafetyLimits(**dict.fromkeys(LIMITS, Limit(count=10**6)) | changed)}


# --- temporary names ---------------------------------------------------------------------------


@pytest.fixture
def killed(world: Runs) -> tuple[Runs, tuple[str, str], tuple[str, str]]:
    """A run was killed once somebody had let go of a name."""
    world.run()
    one, other = world.users[:2]
    names = world.swap(one, other)
    world.tenant.faults = Faults(call=1, how="killed before")
    with pytest.raises(Killed):
        world.run()
    world.tenant.faults = Faults()
    assert {world.upn(one), world.upn(other)} != set(names)
    return world, (one, other), names


def test_a_blocked_run_gives_back_what_a_killed_one_took(
    killed: tuple[Runs, tuple[str, str], tuple[str, str]],
) -> None:
    world, users, names = killed
    world.directories[0].delete(world.users[-1])

    outcome = world.run(**limits(users=NONE))

    assert (outcome.outcome, outcome.reason) == ("Blocked", DELETIONS)
    assert outcome.changes == NO_CHANGES
    assert tuple(map(world.upn, users)) == names
    with Store(world.folder) as store:
        assert store.get(META_TEMPORARY) is None
    world.run()
    assert tuple(map(world.upn, users)) == names[::-1]


def test_who_changed_their_mind_meanwhile_is_not_written_again(
    killed: tuple[Runs, tuple[str, str], tuple[str, str]],
) -> None:
    world, users, names = killed
    world.swap(*users)
    world.directories[0].delete(world.users[-1])
    world.run(**limits(users=NONE))
    assert tuple(map(world.upn, users)) == names

    outcome = world.run(**limits(identity_changes=NONE))

    assert outcome.changes is not None
    assert (outcome.outcome, outcome.changes.users.update) == ("Succeeded", 0)


def test_a_preview_gives_back_nothing(
    killed: tuple[Runs, tuple[str, str], tuple[str, str]],
) -> None:
    world, users, _ = killed
    before = tuple(map(world.upn, users))

    world.run(mode=SyncMode.PREVIEW)

    assert world.tenant.calls == 0
    assert tuple(map(world.upn, users)) == before


# --- what was refused --------------------------------------------------------------------------


def test_what_was_refused_is_told_by_whatever_run(world: Runs) -> None:
    refused = world.anchor(world.directories[0].things[world.users[0]])
    world.tenant.faults = Faults(refused=frozenset({refused}))
    assert world.run().outcome == "SucceededWithErrors"

    preview = world.run(mode=SyncMode.PREVIEW)

    assert (preview.outcome, preview.reason) == ("SucceededWithErrors", "ExportErrors")
    assert preview.message.endswith("; 1 change was refused by an earlier run, see errors")
    assert [each.code for each in preview.errors] == ["LargeObject"]

    world.directories[0].set(world.users[1], "title", b"Another")
    world.tenant.faults = Faults(call=0, how="before")
    error, failed = world.fails()

    assert isinstance(error, TransientError)
    assert (failed.error_count, [each.code for each in failed.errors]) == (1, ["LargeObject"])


# --- a source that shrank ----------------------------------------------------------------------


@pytest.fixture
def shrunken(tmp_path: Path) -> Runs:
    world = Runs(tmp_path, Config(users=30, groups=1, contacts=1, batch=5))
    world.run()
    for guid in world.users[:12]:
        world.directories[0].delete(guid)
    return world


def test_a_source_that_shrank_stops_all_and_says_what_to_approve(shrunken: Runs) -> None:
    shrunken.directories[0].set(shrunken.users[0], "title", b"Another")

    error, outcome = shrunken.fails(on_blocked=OnBlocked.HOLD_BRAKED, **limits(users=NONE))

    assert isinstance(error, BlockedError)
    assert error.reason == "SourceShrank"
    assert shrunken.tenant.calls == 0
    assert outcome.changes == NO_CHANGES
    assert outcome.blocked_plan is not None
    assert not outcome.blocked_plan.held
    assert outcome.blocked_plan.digest in error.message
    assert len(shrunken.users) == 18

    done = shrunken.run(approved=(outcome.blocked_plan.digest,), **limits(users=NONE))

    assert done.outcome == "Succeeded"
    assert done.changes is not None
    assert done.changes.users.delete == 12
    assert shrunken.run(**limits(users=NONE)).outcome == "Succeeded"


def test_an_approval_of_something_else_lets_no_source_shrink(shrunken: Runs) -> None:
    directory = shrunken.directories[0]
    (group,) = (each.guid for each in directory.alive("group"))
    directory.link(group, shrunken.users[0])
    with mock.patch("entrasync.engine.cycle.check_shrinking"):
        shrunken.run(on_removal={}, **limits())
    directory.unlink(group, shrunken.users[0])
    blocked = shrunken.run(on_removal={}, **limits(link_removals=NONE))
    assert blocked.blocked_plan is not None
    for guid in shrunken.users[:8]:
        directory.delete(guid)

    error, _ = shrunken.fails(approved=(blocked.blocked_plan.digest,), **limits(link_removals=NONE))

    assert error.reason == "SourceShrank"
    assert shrunken.tenant.calls == 0


def test_what_was_let_through_goes_on_after_a_killed_run(shrunken: Runs) -> None:
    _, outcome = shrunken.fails(**limits(users=NONE))
    assert outcome.blocked_plan is not None
    shrunken.tenant.faults = Faults(call=1, how="killed after")
    with pytest.raises(Killed):
        shrunken.run(approved=(outcome.blocked_plan.digest,), **limits(users=NONE))
    shrunken.tenant.faults = Faults()

    done = shrunken.run(**limits(users=NONE))

    assert done.outcome == "Succeeded"
    assert len(shrunken.tenant.alive()) == len(shrunken.wanted())


# --- kinds that are not synced, orphans --------------------------------------------------------


def test_orphans_of_a_kind_that_is_not_synced_stay(world: Runs) -> None:
    world.run()
    for kind in (SyncObjectType.USER, SyncObjectType.CONTACT):
        world.tenant.put(kind, f"orphan {kind}", {"displayName": "Orphan"})
    only = SelectionRules(
        kinds={SourceKind.CONTACT: KindRules(enabled=False)}, resource="DirectorySync/contoso"
    )

    outcome = world.run(orphans=OrphanPolicy.DELETE, selection=only)

    assert outcome.blocked_plan is not None
    assert outcome.blocked_plan.sample == ["orphan User"]


# --- the tenant's own threshold ----------------------------------------------------------------


class Graph:
    """Microsoft Graph, of which only the settings matter."""

    def __init__(self, settings: Callable[[], SyncSettings | None]) -> None:
        self.settings = settings
        self.facts = mock.Mock(unreadable=frozenset())
        self.accounts_by = self.all_accounts = lambda *_: iter(())
        self.identifiers = mock.Mock(return_value={})


def unreachable() -> SyncSettings | None:
    raise TransientError("ServiceUnreachable", "The connection was refused.")


@pytest.mark.parametrize(
    ("settings", "outcome"),
    [
        (lambda: SyncSettings(deletion_threshold=1, features={}), "Blocked"),
        (lambda: SyncSettings(deletion_threshold=2, features={}), "Succeeded"),
        (lambda: SyncSettings(deletion_threshold=None, features={}), "Succeeded"),
        (lambda: None, "Succeeded"),
        (unreachable, "Succeeded"),
    ],
)
def test_the_threshold_that_graph_tells(
    world: Runs, settings: Callable[[], SyncSettings | None], outcome: str
) -> None:
    world.run()
    for guid in world.users[:2]:
        world.directories[0].delete(guid)

    def run_with_graph(inputs: CycleInputs, parts: CycleParts, *more: Any) -> CycleOutcome:
        return run_cycle(inputs, dataclasses.replace(parts, accounts=Graph(settings)), *more)

    with mock.patch("tests.support.model_world.run_cycle", run_with_graph):
        assert world.run(**limits()).outcome == outcome
