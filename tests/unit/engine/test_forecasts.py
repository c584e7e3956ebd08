"""Forecasts of a whole plan: what is read of the tenant, and what is said when it cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from entrasync.api.choices import Takeover
from entrasync.engine import forecasts
from entrasync.engine.forecasts import Foresight, forecast
from entrasync.engine.matching import MatchFeatures, Outcome
from entrasync.entra.contracts import PropertyValue, SyncObjectType
from entrasync.entra.graph import Account, Collection, GraphFacts, GraphRefusedError, Names
from entrasync.errors import TransientError
from entrasync.state.database import Database
from entrasync.state.forecasts import MetAccounts
from entrasync.state.plan import PlanSpace
from entrasync.state.rows import encode_properties

USER, GROUP, CONTACT = SyncObjectType.USER, SyncObjectType.GROUP, SyncObjectType.CONTACT
Row = tuple[SyncObjectType, str, Mapping[str, PropertyValue]]
USUAL = MatchFeatures()
CLOSED = MatchFeatures(block_soft_match=True, block_hard_match=True)
ANN = Account(id="1", object_type=USER, immutable_id="ann")
BOB = Account(id="2", object_type=USER, addresses=("bob@contoso.test",))
GONE = Account(id="3", object_type=USER, immutable_id="gone", deleted=True)
TEAM = Account(id="4", object_type=GROUP, addresses=("team@contoso.test",))
HELD = {
    Collection.USERS: [ANN, BOB],
    Collection.DELETED_USERS: [GONE],
    Collection.GROUPS: [TEAM],
    Collection.CONTACTS: [],
}
ROWS: list[Row] = [
    (USER, "ann", {}),
    (USER, "bob", {"mail": "BOB@contoso.test"}),
    (USER, "gone", {}),
    (USER, "new", {"mail": "team@contoso.test"}),
    (USER, "free", {"mail": "free@contoso.test"}),
    (GROUP, "team", {"mail": "team@contoso.test"}),
    (GROUP, "quiet", {}),
]
FORESEEN = {
    "ann": "hardMatch",
    "bob": "softMatch",
    "gone": "restore",
    "new": "blocked (ObjectTypeMismatch)",
    "free": "create",
    "team": "softMatch",
    "quiet": "create",
}


@dataclass
class Rules:
    soft: Takeover = Takeover.REFUSE
    hard: Takeover = Takeover.REFUSE


ALLOWED = Rules(Takeover.ALLOW, Takeover.ALLOW)


@dataclass
class Plan:
    rows: list[Row]
    outcomes: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def additions(
        self,
    ) -> Iterator[tuple[int, SyncObjectType, str, Mapping[str, PropertyValue]]]:
        for position, row in enumerate(self.rows):
            yield position, *row

    def set_outcomes(self, rows: Iterable[tuple[int, str, int]]) -> None:
        for position, outcome, takeovers in rows:
            self.outcomes[self.rows[position][1]] = outcome
            if takeovers:
                self.taken.add(self.rows[position][1])


@dataclass
class Held:
    """The state, as far as the forecast goes."""

    database: Database
    plan: Plan | PlanSpace


@dataclass
class Finder:
    """A Graph in memory."""

    held: Mapping[Collection, list[Account]] = field(default_factory=lambda: HELD)
    unreadable: frozenset[Collection] = frozenset()
    failure: Exception | None = None
    refused: bool = False
    tied: dict[str, bytes | None] = field(default_factory=dict)
    asked: list[tuple[Collection, bool]] = field(default_factory=list)
    facts: GraphFacts = field(default_factory=GraphFacts)

    def accounts_by(self, collection: Collection, names: Names) -> Iterator[Account]:
        self.asked.append((collection, False))
        if self.refused:
            raise GraphRefusedError(400, "")
        assert "" not in names.anchors | names.addresses | names.user_principal_names
        for each in self._all(collection):
            if each.immutable_id in names.anchors or names.addresses & set(each.addresses):
                yield each

    def all_accounts(self, collection: Collection) -> Iterator[list[Account]]:
        self.asked.append((collection, True))
        for each in self._all(collection):
            yield [each]

    def identifiers(self, accounts: Iterable[Account]) -> dict[str, bytes | None]:
        if self.failure is not None:
            raise self.failure
        return {each.id: self.tied[each.id] for each in accounts if each.id in self.tied}

    def _all(self, collection: Collection) -> list[Account]:
        if self.failure is not None:
            raise self.failure
        if collection in self.unreadable:
            unreadable = self.facts.unreadable | {collection}
            self.facts = replace(self.facts, unreadable=unreadable)
            return []
        return self.held[collection]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


def foresee(
    database: Database,
    finder: Finder | None,
    *,
    rows: list[Row] | None = None,
    features: MatchFeatures = USUAL,
    rules: Rules | None = None,
) -> tuple[Foresight, Plan]:
    plan = Plan(ROWS if rows is None else rows)
    connection = database.connection
    connection.execute("DELETE FROM plan")
    for position, (kind, _, _) in enumerate(plan.rows):
        connection.execute(
            "INSERT INTO plan (position, anchor, part, action, type, phase, fingerprint)"
            " VALUES (?, ?, 0, 'add', ?, 2, x'00')",
            (position, position, kind),
        )
    told: list[tuple[int, int | None]] = []
    found = forecast(
        Held(database, plan), finder, features, rules or Rules(), lambda *each: told.append(each)
    )
    assert not plan.rows or told[-1] == (len(plan.rows), len(plan.rows))
    return found, plan


@pytest.mark.parametrize("few", [0, 500])
def test_few_names_are_looked_up_and_for_many_all_is_read(
    database: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(forecasts, "FEW", few)
    monkeypatch.setattr(forecasts, "_PAGE", 2)
    finder = Finder()
    found, plan = foresee(database, finder)

    assert plan.outcomes == FORESEEN
    assert plan.taken == {"ann", "bob", "team"}
    assert found.warning is None
    assert found.counts[Outcome.SOFT_MATCH] == 2
    assert finder.asked == [
        (Collection.GROUPS, not few),
        (Collection.USERS, not few),
        (Collection.DELETED_USERS, True),
    ]


def test_a_name_that_graph_does_not_take_makes_all_be_read(database: Database) -> None:
    finder = Finder(refused=True)
    _, plan = foresee(database, finder)

    assert plan.outcomes == FORESEEN
    assert (Collection.USERS, True) in finder.asked


def test_nothing_is_asked_when_nothing_is_added(database: Database) -> None:
    finder = Finder(failure=AssertionError())
    found, _ = foresee(database, finder, rows=[])

    assert found == Foresight(counts={})


def test_only_the_kinds_that_are_added_need_a_permission(database: Database) -> None:
    finder = Finder(unreadable=frozenset({Collection.GROUPS, Collection.CONTACTS}))
    found, plan = foresee(database, finder, rows=ROWS[:3])

    assert found.warning is None
    assert list(plan.outcomes.values()) == ["hardMatch", "softMatch", "restore"]


def test_what_cannot_be_read_is_unknown_and_said_once(database: Database) -> None:
    finder = Finder(unreadable=frozenset({Collection.USERS, Collection.DELETED_USERS}))
    found, plan = foresee(database, finder)

    assert plan.outcomes == {
        **dict.fromkeys(("ann", "bob", "gone", "free"), "unknown"),
        "new": "blocked (ObjectTypeMismatch)",
        "team": "softMatch",
        "quiet": "create",
    }
    assert plan.taken == {"team"}
    assert found.warning is not None
    assert found.warning.startswith("whether 4 additions take over")
    assert "grant the application User.Read.All (or Directory.Read.All)" in found.warning
    assert "blockSoftMatch and blockCloudObjectTakeoverThroughHardMatch" in found.warning


def test_without_graph_nothing_is_known(database: Database) -> None:
    found, plan = foresee(database, None)

    # a group without an address can meet nobody
    assert {name for name, told in plan.outcomes.items() if told == "create"} == {"quiet"}
    assert found.warning is not None
    assert "set `spec.microsoftGraph` of the cloud" in found.warning


def test_a_tenant_that_lets_nobody_be_taken_over_needs_no_graph(database: Database) -> None:
    for finder in (None, Finder(failure=TransientError("ServerUnreachable", "x"))):
        found, plan = foresee(database, finder, features=CLOSED)

        assert set(plan.outcomes.values()) == {"create"}
        assert found.warning is None


def test_a_graph_that_does_not_answer_ends_the_run_unless_all_is_allowed(
    database: Database,
) -> None:
    finder = Finder(failure=TransientError("Throttled", "x"))
    with pytest.raises(TransientError):
        foresee(database, finder)
    found, plan = foresee(database, finder, rules=ALLOWED)

    assert plan.outcomes["ann"] == "unknown"
    assert found.warning is None


@pytest.mark.parametrize(
    ("tied", "expected"),
    [
        ({}, "hardMatch"),
        ({"1": None}, "hardMatch"),
        ({"1": b"\x01" * 16}, "hardMatch"),
        ({"1": b"\x02" * 16}, "blocked (AttributeUpdateNotAllowed)"),
    ],
)
def test_an_account_tied_to_another_object_is_not_taken_over(
    database: Database, tied: dict[str, Any], expected: str
) -> None:
    rows: list[Row] = [(USER, "ann", {"onPremisesObjectIdentifier": b"\x01" * 16})]
    _, plan = foresee(database, Finder(tied=tied), rows=rows)

    assert plan.outcomes == {"ann": expected}


def test_accounts_come_back_as_they_were_kept(database: Database) -> None:
    met = MetAccounts(database)
    many = [replace(ANN, id=str(number), addresses=("ä@x", "b@x")) for number in range(1200)]
    met.add((each, [f"k{number}", "all"]) for number, each in enumerate(many))
    met.add([(many[0], ["k0"])])

    found = met.found([f"k{number}" for number in range(-5, 1200)])
    assert [each for (each,) in found.values()] == sorted(many, key=lambda each: int(each.id))
    assert len(met.found(["all"])["all"]) == 1200
    met.close()
    assert MetAccounts(database).found(["all"]) == {}


def test_the_plan_itself_keeps_what_was_foreseen(database: Database) -> None:
    connection = database.connection
    for position, (kind, anchor, properties) in enumerate(ROWS, 1):
        number = database.anchor_number(anchor)
        connection.execute(
            "INSERT INTO plan (position, anchor, part, action, type, phase, fingerprint)"
            " VALUES (?, ?, 0, 'add', ?, 2, x'00')",
            (position, number, kind),
        )
        connection.execute(
            "INSERT INTO pending (anchor, part, action, type, properties, previous)"
            " VALUES (?, 0, 'add', ?, ?, '{}')",
            (number, kind, encode_properties(properties)),
        )
    # neither an update nor a deletion meets anybody
    connection.execute(
        "INSERT INTO plan (position, anchor, part, action, type, phase, fingerprint)"
        " SELECT 100 + position, anchor, 0, 'update', type, phase, fingerprint FROM plan"
    )
    plan = PlanSpace(database)
    forecast(Held(database, plan), Finder(), USUAL, Rules(), lambda *_: None)

    rows = connection.execute(
        "SELECT anchors.anchor, outcome, takeovers FROM plan JOIN anchors ON id = plan.anchor"
        " WHERE outcome IS NOT NULL ORDER BY position"
    ).fetchall()
    assert {anchor: outcome for anchor, outcome, _ in rows} == FORESEEN
    assert {anchor for anchor, _, taken in rows if taken} == {"ann", "bob", "team"}
    assert len(rows) == len(ROWS)
