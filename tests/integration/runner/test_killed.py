"""Runs that are killed at every step, in a loop: nothing is lost and nothing doubled.

In each round everything changes that is delicate: names swap, somebody new comes, somebody leaves,
members come and go, a value is cleared. A run is killed, another one finishes, and the tenant is
what the directory is, by exactly as many changes as it takes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from entrasync.api.result import RunResult
from tests.support.branch import Branch
from tests.support.mortal import ANSWERED, COMMIT, COMMITTED, SENT, STATEMENT, Mortals
from tests.support.rig import Rig

pytestmark = pytest.mark.integration

POINTS = 4
"""Steps of a sort at which runs are killed, where there are more."""
EXPORT = "ProvisionAzureADSyncObjects2"


class Life:
    """A small company in which all that is delicate changes in every round."""

    def __init__(self, rig: Rig, branch: Branch) -> None:
        self.rig = rig
        self.branch = branch
        self.round = 0
        self.dns = {name: branch.person(name) for name in ("ann", "bob", "carl", "dan")}
        self.team = branch.group("team", self.dns["ann"], self.dns["bob"])
        branch.group("outer", self.team)
        self.dns["new0"] = branch.person("new0", manager=self.dns["ann"])
        branch.hand.link(self.team, self.dns["new0"])
        self.upns = {name: branch.upn(name) for name in self.dns}

    def go_on(self) -> None:
        """The next round."""
        hand, before = self.branch.hand, f"new{self.round}"
        self.round += 1
        odd, new = self.round % 2, f"new{self.round}"
        self.upns["ann"], self.upns["bob"] = self.upns["bob"], self.upns["ann"]
        for name, upn in (("ann", self.branch.upn("x")), ("bob", None), ("ann", None)):
            hand.replace(self.dns[name], "userPrincipalName", upn or self.upns[name])
        hand.replace(self.dns["carl"], "title", f"Title {self.round}")
        hand.replace(self.dns["carl"], "department", *(["Sales"] if odd else []))
        (hand.link if odd else hand.unlink)(self.team, self.dns["dan"])
        self.dns[new] = self.branch.person(new, manager=self.dns["carl"])
        self.upns[new] = self.branch.upn(new)
        hand.link(self.team, self.dns[new])
        hand.delete(self.dns.pop(before))
        del self.upns[before]

    def assert_equal(self) -> None:
        """The tenant is what the directory is."""
        cloud = self.rig.cloud
        users = {each["attributes"]["displayName"]: each for each in cloud.objects("User")}
        assert {name: each["userPrincipalName"] for name, each in users.items()} == self.upns
        assert not any(each["quarantined"] for each in users.values())
        anchors = {name: each["sourceAnchor"] for name, each in users.items()}
        carl = users["carl"]["attributes"]
        odd = self.round % 2
        assert carl.get("department") == ("Sales" if odd else None)
        assert carl["title"] == (f"Title {self.round}" if self.round else "Clerk")
        new = f"new{self.round}"
        manager = anchors["carl" if self.round else "ann"]
        assert users[new]["attributes"]["manager"] == manager
        members = {"ann", "bob", new, *(["dan"] if odd else [])}
        assert set(cloud.links(self.rig.group("team"))) == {anchors[name] for name in members}
        assert cloud.links(self.rig.group("outer")) == [self.rig.group("team")]

    def written(self) -> Counter[str]:
        """What the tenant took so far."""
        found: Counter[str] = Counter()
        for each in self.rig.cloud.requests(EXPORT):
            found.update(each["counts"])
        return found

    def spent(self) -> dict[str, int]:
        """What counts against the window."""
        with closing(sqlite3.connect(self.rig.state / "entrasync.db")) as file:
            return dict(file.execute("SELECT sort, SUM(count) FROM spent GROUP BY sort"))

    def result(self) -> RunResult:
        """What the last run said."""
        found = RunResult.from_message(self.rig.message.read_text())
        assert found is not None
        return found


@pytest.fixture
def life(local: Rig, branch: Branch) -> Life:
    return Life(local, branch)


@pytest.fixture
def mortals(local: Rig) -> Iterator[Mortals]:
    with Mortals(local) as found:
        yield found


def points(count: int) -> list[int]:
    """Steps from the first to the last, not more than `POINTS`."""
    if count <= POINTS:
        return list(range(1, count + 1))
    return sorted({1 + round(n * (count - 1) / (POINTS - 1)) for n in range(POINTS)})


@pytest.mark.parametrize("sort", [SENT, ANSWERED, COMMIT, COMMITTED, STATEMENT])
def test_killed_at_every_step_of_a_sort(life: Life, mortals: Mortals, sort: str) -> None:
    assert mortals.run().code == 0
    life.assert_equal()
    life.go_on()
    before = life.written()
    whole = mortals.run()
    assert whole.code == 0
    usual = life.written() - before
    removals = usual["linkRemovals"]
    killed = 0
    for at in points(whole.steps[sort]):
        life.go_on()
        before = life.written()
        killed += mortals.run(sort, at).killed

        assert mortals.run().code == 0, (sort, at, life.result())

        life.assert_equal()
        now = life.written() - before
        where = f"{sort} {at} of {whole.steps[sort]}"
        # a swap that was interrupted is begun again: whoever let go does so once more
        assert now["deletions"] == usual["deletions"], where
        assert usual["objects"] <= now["objects"] <= usual["objects"] + 2, (where, usual, now)
        told = life.result()
        assert told.objects is not None
        odd = life.round % 2
        assert told.objects.model_dump() == {
            "users": 5,
            "groups": 2,
            "contacts": 0,
            "links": 4 + odd,
        }, where
        assert told.orphans is not None
        assert not any(told.orphans.model_dump().values()), where
    assert killed >= min(POINTS, whole.steps[sort]) - 1
    quiet = mortals.run()
    assert (quiet.code, life.result().message) == (0, "nothing had changed")
    spent = life.spent()
    assert spent["deletions:User"] == life.round
    assert spent["identity-changes"] == 2 * life.round
    assert spent["link-removals"] == life.round // 2, removals
    assert spent["clears"] == life.round // 2
    full: dict[str, Any] = {"scope": "Full"}
    assert life.rig.run(**full).message == "nothing had changed"


@pytest.mark.parametrize("sort", [SENT, ANSWERED])
def test_killed_again_and_again(life: Life, mortals: Mortals, sort: str) -> None:
    """Each run comes one step further than the one before, and none of them ends well."""
    assert mortals.run().code == 0
    life.go_on()
    before = life.written()
    at = 1
    while mortals.run(sort, at).killed:
        at += 1

    assert at > 5
    life.assert_equal()
    assert (life.written() - before)["deletions"] == 1
    spent = life.spent()
    assert (spent["deletions:User"], spent["identity-changes"]) == (1, 2)
    assert mortals.run().code == 0
    assert life.result().message == "nothing had changed"


@pytest.mark.parametrize(
    ("sort", "before_the_end"), [(SENT, 2), (ANSWERED, 2), (ANSWERED, 1), (ANSWERED, 0)]
)
def test_killed_while_an_approval_is_used(
    local: Rig, branch: Branch, mortals: Mortals, sort: str, before_the_end: int
) -> None:
    """What it lets through is done once, whether or not the service was heard to have done it."""
    leaving = branch.unit("leaving")
    branch.people(2)
    gone = branch.people(2, unit=leaving)
    local.run()
    local.sync["spec"]["safety"] = {"users": {"count": 0}}
    for each in gone:
        branch.hand.delete(each)
    blocked = local.run(code=3).blocked_plan
    assert blocked is not None
    local.sync["spec"]["approvedPlan"] = blocked.digest
    # an export, its end, and when the tenant was synced last are the last three requests
    probe = mortals.run("none")
    assert probe.code == 0
    again = branch.people(2, unit=leaving)
    del local.sync["spec"]["approvedPlan"]
    assert mortals.run().code == 0
    for each in again:
        branch.hand.delete(each)
    assert mortals.run().code == 3
    second = local.run(code=3).blocked_plan
    assert second is not None
    assert second.digest != blocked.digest
    local.sync["spec"]["approvedPlan"] = second.digest
    before = len(local.cloud.requests(EXPORT))

    assert mortals.run(sort, probe.steps[sort] - before_the_end).killed
    assert mortals.run().code == 0

    assert len(local.anchors("User")) == 2
    counts = [each["counts"]["deletions"] for each in local.cloud.requests(EXPORT)[before:]]
    assert sum(counts) == 2
    with closing(sqlite3.connect(local.state / "entrasync.db")) as file:
        assert file.execute("SELECT * FROM spent WHERE sort LIKE 'deletions%'").fetchall() == []
        assert file.execute("SELECT * FROM approved").fetchall() == []
    third = branch.person("third", unit=leaving)
    assert mortals.run().code == 0
    branch.hand.delete(third)
    assert mortals.run().code == 3
