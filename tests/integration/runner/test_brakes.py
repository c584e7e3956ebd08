"""Brakes: each limit stops a run before anything is written, and says what to do."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from entrasync.api.result import RunResult
from entrasync.engine.report import NO_CHANGES
from tests.support.branch import Branch
from tests.support.rig import Calendar, Rig

pytestmark = pytest.mark.integration

ENABLED = {"userAccountControl": "544"}
DISABLED = "546"


@pytest.fixture
def staff(local: Rig, branch: Branch) -> Rig:
    """Four people and a contact in a unit of their own, two more and two groups elsewhere."""
    leaving = branch.unit("leaving")
    people = branch.people(4, unit=leaving, department="Sales", **ENABLED)
    branch.contact("partner", unit=leaving)
    branch.group("team", *people)
    branch.group("spare")
    branch.people(2, department="Sales", **ENABLED)
    local.run()
    return local


def dn(branch: Branch, number: int) -> str:
    """One of those who may leave."""
    return f"CN=leaving{number},OU=leaving,{branch.dn}"


def limit(rig: Rig, **limits: Any) -> None:
    rig.sync["spec"]["safety"] = limits


def leave(rig: Rig, branch: Branch) -> None:
    """The whole unit is in scope no longer."""
    rig.source["exclude"] = [f"OU=leaving,{branch.dn}"]


def assert_blocked(rig: Rig, reason: str, words: str, **counts: dict[str, int]) -> RunResult:
    """A run writes nothing and says why; a second one says the same."""
    written = rig.writes()
    result = rig.run(code=3)
    assert (result.outcome, result.reason) == ("Blocked", reason)
    assert words in result.message
    blocked = result.blocked_plan
    assert blocked is not None
    told = blocked.model_dump(exclude_none=True)
    kinds = ("users", "groups", "contacts", "links", "changes")
    assert {kind: told[kind] for kind in kinds if kind in told} == counts
    assert blocked.reason == reason
    assert blocked.digest in result.message
    assert blocked.sample
    assert not blocked.held
    again = rig.run(code=3).blocked_plan
    assert again == blocked
    assert rig.writes() == written
    assert result.changes == NO_CHANGES
    return result


# --- each brake ------------------------------------------------------------------------------


def test_deletions_of_users(staff: Rig, branch: Branch) -> None:
    limit(staff, users={"count": 3})
    leave(staff, branch)

    words = "4 users would be deleted, 3 are allowed (`spec.safety.users`)"
    result = assert_blocked(staff, "DeletionThresholdExceeded", words, users={"delete": 4})

    assert result.blocked_plan is not None
    assert len(result.blocked_plan.sample) == 4
    limit(staff, users={"count": 4})
    assert staff.run().outcome == "Succeeded"


def test_deletions_of_groups(staff: Rig, branch: Branch) -> None:
    limit(staff, groups={"count": 0})
    branch.hand.delete(f"CN=spare,{branch.dn}")

    words = "1 groups would be deleted, 0 are allowed"
    assert_blocked(staff, "DeletionThresholdExceeded", words, groups={"delete": 1})


def test_deletions_of_contacts(staff: Rig, branch: Branch) -> None:
    limit(staff, contacts={"count": 0})
    leave(staff, branch)

    words = "1 contacts would be deleted, 0 are allowed"
    assert_blocked(staff, "DeletionThresholdExceeded", words, contacts={"delete": 1})


def test_accounts_that_are_disabled(staff: Rig, branch: Branch) -> None:
    limit(staff, disables={"count": 1})
    for number in range(2):
        branch.hand.replace(dn(branch, number), "userAccountControl", DISABLED)

    words = "2 users would be disabled, 1 are allowed (`spec.safety.disables`)"
    assert_blocked(
        staff, "DisableThresholdExceeded", words, users={"update": 2}, changes={"disables": 2}
    )
    # one of them less, and it goes on; what is disabled already does not count again
    branch.hand.replace(dn(branch, 0), "userAccountControl", ENABLED["userAccountControl"])
    staff.run()
    branch.hand.replace(dn(branch, 1), "title", "Chair")
    assert staff.run().outcome == "Succeeded"


def test_accounts_that_are_disabled_because_they_left(staff: Rig, branch: Branch) -> None:
    staff.sync["spec"]["objects"] = {"users": {"onRemoval": "Disable"}}
    limit(staff, disables={"count": 3})
    leave(staff, branch)

    result = assert_blocked(
        staff,
        "DisableThresholdExceeded",
        "4 users would be disabled",
        users={"disable": 4},
        changes={"disables": 4},
    )
    assert result.objects is not None
    assert result.objects.users == 6


@pytest.mark.parametrize("attribute", ["userPrincipalName", "proxyAddresses"])
def test_changes_of_identity(staff: Rig, branch: Branch, attribute: str) -> None:
    old, new = (f"{name}-{branch.name}@contoso.test" for name in ("old", "new"))
    if attribute == "proxyAddresses":
        branch.hand.replace(dn(branch, 0), attribute, f"SMTP:{old}", f"smtp:{new}")
        staff.run()
    limit(staff, identityChanges={"count": 0})
    values = [new] if attribute == "userPrincipalName" else [f"smtp:{old}", f"SMTP:{new}"]
    branch.hand.replace(dn(branch, 0), attribute, *values)

    assert_blocked(
        staff,
        "IdentityChangeThresholdExceeded",
        "1 objects would change userPrincipalName or primary address, 0 are allowed",
        users={"update": 1},
        changes={"identityChanges": 1},
    )


def test_values_that_are_cleared(staff: Rig, branch: Branch) -> None:
    limit(staff, clears={"count": 2})
    for number in range(3):
        branch.hand.replace(dn(branch, number), "department")

    assert_blocked(
        staff,
        "ClearThresholdExceeded",
        "3 properties would lose their value, 2 are allowed (`spec.safety.clears`)",
        users={"update": 3},
        changes={"clears": 3},
    )


def test_members_that_are_removed(staff: Rig, branch: Branch) -> None:
    limit(staff, linkRemovals={"count": 1})
    branch.hand.unlink(f"CN=team,{branch.dn}", dn(branch, 0), dn(branch, 1))

    words = "2 members would be removed, 1 are allowed (`spec.safety.linkRemovals`)"
    assert_blocked(staff, "LinkRemovalThresholdExceeded", words, links={"remove": 2})


def test_a_source_that_shrinks(local: Rig, branch: Branch) -> None:
    people = branch.people(21)
    local.run()
    written = local.writes()
    for each in people[:7]:
        branch.hand.delete(each)

    for scope in (None, "Full"):
        result = local.run(code=3, scope=scope)
        assert (result.outcome, result.reason) == ("Blocked", "SourceShrank")
        assert "14 objects in scope after 21" in result.message
    assert local.writes() == written
    # whatever else is let through: it may be a right that is missing
    limit(local, users={"count": 500, "percent": 100}, onBlocked="HoldBraked")
    assert local.run(code=3).reason == "SourceShrank"
    limit(local, users={"count": 500, "percent": 100}, sourceShrink={"percent": 34})
    assert local.run().outcome == "Succeeded"
    assert len(local.anchors("User")) == 14


def test_the_tenants_own_threshold_where_it_is_smaller(staff: Rig, branch: Branch) -> None:
    guard = {"synchronizationPreventionType": "enabledForCount", "alertThreshold": 3}
    path = f"directory/onPremisesSynchronization/{staff.cloud.tenant_id}"
    change = {"configuration": {"accidentalDeletionPrevention": guard}}
    staff.cloud.graph("PATCH", path, json=change).raise_for_status()
    leave(staff, branch)

    words = "5 objects would be deleted, the tenant's own threshold allows 3 in one export"
    counts = {"users": {"delete": 4}, "contacts": {"delete": 1}}
    assert_blocked(staff, "DeletionThresholdExceeded", words, **counts)


def test_per_cent_count_from_twenty_objects_up(local: Rig, branch: Branch) -> None:
    leaving = branch.unit("leaving")
    branch.people(5, unit=leaving)
    people = branch.people(14)
    local.run()
    leave(local, branch)
    preview = local.run(mode="Preview")
    assert preview.outcome == "Succeeded"

    del local.source["exclude"]
    people.append(branch.person("twentieth"))
    local.run()
    leave(local, branch)

    words = "5 users would be deleted, 20 % of 20 are allowed"
    assert_blocked(local, "DeletionThresholdExceeded", words, users={"delete": 5})


# --- together --------------------------------------------------------------------------------


def test_limits_are_sums_over_the_window(
    staff: Rig, branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = Calendar(monkeypatch)
    limit(staff, users={"count": 2}, linkRemovals={"count": 2})
    hand, team = branch.hand, f"CN=team,{branch.dn}"
    for number in (2, 3):
        hand.delete(dn(branch, number))
        hand.unlink(team, dn(branch, number - 2))
        assert staff.run().outcome == "Succeeded"
        calendar.ahead += dt.timedelta(hours=1)
    hand.link(team, dn(branch, 0))
    staff.run()
    hand.unlink(team, dn(branch, 0))
    hand.delete(f"CN=p0,{branch.dn}")

    result = staff.run(code=3)

    assert "1 users would be deleted, 2 are allowed with 2 before in the window" in result.message
    removed = "1 members would be removed, 2 are allowed with 2 before in the window"
    assert removed in result.message
    assert result.blocked_plan is not None
    counts = result.blocked_plan.model_dump(exclude_none=True)
    assert (counts["users"], counts["links"]) == ({"delete": 1}, {"remove": 1})
    # the first of them is outside the window by now, the other is not
    calendar.ahead = dt.timedelta(hours=24, minutes=30)
    assert staff.run().outcome == "Succeeded"
    hand.delete(f"CN=p1,{branch.dn}")
    assert staff.run(code=3).reason == "DeletionThresholdExceeded"


def test_what_is_not_braked_goes_on_if_so_wished(staff: Rig, branch: Branch) -> None:
    limit(staff, users={"count": 3}, onBlocked="HoldBraked")
    leave(staff, branch)
    branch.hand.replace(f"CN=p0,{branch.dn}", "title", "Chair")
    branch.person("new")

    result = staff.run(code=3)

    assert (result.outcome, result.reason) == ("Blocked", "DeletionThresholdExceeded")
    assert "Everything else is exported" in result.message
    assert result.blocked_plan is not None
    assert result.blocked_plan.held
    assert result.changes is not None
    told = result.changes.model_dump()
    assert told["users"] == {"add": 1, "update": 1, "delete": 0, "failed": 0}
    assert told["contacts"]["delete"] == 1
    assert len(staff.anchors("User")) == 7
    # it stays so, and an approval of what is held is all it takes
    written = staff.writes()
    again = staff.run(code=3)
    assert again.blocked_plan == result.blocked_plan
    assert staff.writes() == written
    staff.sync["spec"]["approvedPlan"] = result.blocked_plan.digest
    assert staff.run().outcome == "Succeeded"
    assert len(staff.anchors("User")) == 3


def test_a_re_creation_counts_as_a_deletion_and_says_what_is_lost(
    staff: Rig, branch: Branch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = staff.anchors("User")
    limit(staff, users={"count": 0})
    branch.hand.delete(dn(branch, 0))
    branch.person("leaving0")
    capsys.readouterr()

    result = assert_blocked(
        staff, "DeletionThresholdExceeded", "1 users would be deleted", users={"delete": 1}
    )

    assert result.plan is not None
    assert result.plan.outcomes == {"recreate": 1}
    # whoever only lets the addition go on would lose the account all the same
    limit(staff, users={"count": 0}, onBlocked="HoldBraked")
    assert staff.run(code=3).outcome == "Blocked"
    assert staff.anchors("User") == before
    limit(staff)
    assert staff.run().outcome == "Succeeded"
    assert len(staff.anchors("User")) == 6
    assert len(staff.anchors("User") - before) == 1


def test_orphans_are_deleted_only_by_approval(staff: Rig, branch: Branch) -> None:
    # a lost volume, and people who left meanwhile
    leaving = f"OU=leaving,{branch.dn}"
    (staff.state / "entrasync.db").unlink()
    staff.source["exclude"] = [leaving]
    orphaned = staff.run()
    assert orphaned.orphans is not None
    assert (orphaned.orphans.users, orphaned.orphans.contacts) == (4, 1)

    staff.sync["spec"]["orphans"] = "Delete"
    words = "5 objects that are not owned would be deleted (`spec.orphans`)"
    counts = {"users": {"delete": 4}, "contacts": {"delete": 1}}
    result = assert_blocked(staff, "OrphansNeedApproval", words, **counts)

    assert result.blocked_plan is not None
    staff.sync["spec"]["approvedPlan"] = result.blocked_plan.digest
    done = staff.run()
    assert done.orphans is not None
    assert not any(done.orphans.model_dump().values())
    assert len(staff.anchors("User")) == 2
