"""Approvals: exactly what was braked, only what is still pending, once, and not for ever."""

from __future__ import annotations

import datetime as dt

import pytest

from entrasync.api.common import API_VERSION
from tests.support.branch import Branch
from tests.support.rig import Calendar, Rig

pytestmark = pytest.mark.integration

EXPORT = "ProvisionAzureADSyncObjects2"
PEOPLE = 4


@pytest.fixture
def staff(local: Rig, branch: Branch) -> Rig:
    """Some people who may leave, one by one and all together, and none may be deleted."""
    for number in range(PEOPLE):
        branch.person(f"p{number}", unit=branch.unit(f"u{number}"))
    local.run()
    local.sync["spec"]["safety"] = {"users": {"count": 0}}
    return local


def leave(rig: Rig, branch: Branch, *numbers: int) -> None:
    """These are in scope no longer, all others are."""
    rig.source["exclude"] = [f"OU=u{number},{branch.dn}" for number in numbers]


def braked(rig: Rig) -> str:
    """Digest of what a run finds braked."""
    found = rig.run(code=3).blocked_plan
    assert found is not None
    return found.digest


def approve(rig: Rig, digest: str) -> None:
    rig.sync["spec"]["approvedPlan"] = digest


def people(rig: Rig) -> int:
    return len(rig.anchors("User"))


@pytest.mark.parametrize("where", ["sync", "run"])
def test_an_approval_works_once_from_either_place(staff: Rig, branch: Branch, where: str) -> None:
    leave(staff, branch, 0, 1)
    digest = braked(staff)
    if where == "sync":
        approve(staff, digest)
    else:
        spec = {"directorySyncRef": {"name": "contoso"}, "approvedPlan": digest}
        metadata = {"name": "by-hand", "namespace": "identity"}
        run = {"apiVersion": API_VERSION, "kind": "SyncRun", "metadata": metadata, "spec": spec}
        staff.further = [run]

    done = staff.run()

    assert (done.outcome, done.approval_used) == ("Succeeded", digest)
    assert people(staff) == PEOPLE - 2
    # what an approval covered is no part of the window: the next is measured by itself
    assert staff.run().approval_used is None
    # the same people again, and the digest is still in git
    leave(staff, branch)
    staff.run()
    assert people(staff) == PEOPLE
    leave(staff, branch, 0, 1)
    again = staff.run(code=3)
    assert again.approval_used is None
    assert people(staff) == PEOPLE


def test_a_preview_uses_nothing_up(staff: Rig, branch: Branch) -> None:
    leave(staff, branch, 0)
    digest = braked(staff)
    approve(staff, digest)

    preview = staff.run(mode="Preview")

    assert (preview.outcome, preview.approval_used) == ("Succeeded", None)
    assert people(staff) == PEOPLE
    assert staff.run().approval_used == digest


def test_a_digest_nobody_was_ever_shown_lets_nothing_through(staff: Rig, branch: Branch) -> None:
    approve(staff, f"sha256:{'0' * 64}")
    leave(staff, branch, 0)

    assert staff.run(code=3).approval_used is None
    assert people(staff) == PEOPLE


def test_what_is_braked_in_addition_needs_another_one(staff: Rig, branch: Branch) -> None:
    leave(staff, branch, 0)
    first = braked(staff)
    leave(staff, branch, 0, 1)
    approve(staff, first)

    stopped = staff.run(code=3)

    # the approval is taken; what it covers is no longer braked, but nothing at all is exported
    assert stopped.approval_used == first
    assert stopped.blocked_plan is not None
    assert stopped.blocked_plan.users == {"delete": 1}
    assert stopped.blocked_plan.digest != first
    assert people(staff) == PEOPLE
    # the other one goes back: what was approved is still good
    leave(staff, branch, 0)
    assert staff.run().outcome == "Succeeded"
    assert people(staff) == PEOPLE - 1


def test_one_after_the_other(staff: Rig, branch: Branch) -> None:
    leave(staff, branch, 0)
    approve(staff, braked(staff))
    leave(staff, branch, 0, 1)
    second = staff.run(code=3).blocked_plan
    assert second is not None
    approve(staff, second.digest)

    done = staff.run()

    assert (done.outcome, done.approval_used) == ("Succeeded", second.digest)
    assert people(staff) == PEOPLE - 2


def test_only_what_is_still_pending_goes_through(staff: Rig, branch: Branch) -> None:
    leave(staff, branch, 0, 1, 2)
    approve(staff, braked(staff))
    leave(staff, branch, 1, 2)

    done = staff.run()

    assert done.outcome == "Succeeded"
    assert people(staff) == PEOPLE - 2
    # whoever came back meanwhile may not be deleted by it later
    leave(staff, branch, 0, 1, 2)
    later = staff.run(code=3)
    assert later.blocked_plan is not None
    assert later.blocked_plan.users == {"delete": 1}
    assert people(staff) == PEOPLE - 2


def test_other_changes_do_not_alter_it(staff: Rig, branch: Branch) -> None:
    leave(staff, branch, 0)
    digest = braked(staff)
    branch.hand.replace(f"CN=p1,OU=u1,{branch.dn}", "title", "Chair")
    branch.person("new")

    assert braked(staff) == digest
    approve(staff, digest)
    done = staff.run()
    assert done.changes is not None
    assert done.changes.users.model_dump() == {"add": 1, "update": 1, "delete": 1, "failed": 0}


def test_members_one_by_one(local: Rig, branch: Branch) -> None:
    first, second, third = (branch.person(name) for name in ("ann", "bob", "eve"))
    team = branch.group("team", first, second, third)
    local.run()
    local.sync["spec"]["safety"] = {"linkRemovals": {"count": 0}}
    branch.hand.unlink(team, first, second)
    approve(local, braked(local))
    branch.hand.link(team, first)
    branch.hand.unlink(team, third)

    stopped = local.run(code=3)
    assert stopped.blocked_plan is not None
    assert stopped.blocked_plan.links == {"remove": 1}
    branch.hand.link(team, third)
    assert local.run().outcome == "Succeeded"
    assert len(local.cloud.links(local.group("team"))) == 2


def test_an_offer_is_good_for_a_week(
    staff: Rig, branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lay in git, and what it names is braked again much later."""
    calendar = Calendar(monkeypatch)
    leave(staff, branch, 0)
    digest = braked(staff)
    approve(staff, digest)
    leave(staff, branch)
    assert staff.run().approval_used == digest
    calendar.ahead = dt.timedelta(days=7, minutes=5)
    leave(staff, branch, 0)

    again = staff.run(code=3)

    assert again.approval_used is None
    assert again.blocked_plan is not None
    assert again.blocked_plan.digest != digest, "nobody could let it through by the old name"
    assert people(staff) == PEOPLE
    approve(staff, again.blocked_plan.digest)
    assert staff.run().approval_used == again.blocked_plan.digest
    assert people(staff) == PEOPLE - 1


@pytest.mark.parametrize(("days", "outcome"), [(6, "Succeeded"), (8, "Blocked")])
def test_what_is_left_of_it_is_good_for_a_week(
    staff: Rig, branch: Branch, monkeypatch: pytest.MonkeyPatch, days: int, outcome: str
) -> None:
    calendar = Calendar(monkeypatch)
    leave(staff, branch, 0)
    digest = braked(staff)
    approve(staff, digest)
    staff.cloud.set_faults(gatewayEvery=1, gatewayStatus=413, operations=[EXPORT])
    failed = staff.run(code=4)
    assert failed.approval_used == digest
    staff.cloud.set_faults()
    calendar.ahead = dt.timedelta(days=days)

    later = staff.run(code=0 if outcome == "Succeeded" else 3)

    assert later.outcome == outcome
    assert people(staff) == PEOPLE - (outcome == "Succeeded")


def test_a_lost_volume_forgets_approvals(staff: Rig, branch: Branch) -> None:
    leave(staff, branch, 0)
    approve(staff, braked(staff))
    (staff.state / "entrasync.db").unlink()

    result = staff.run()

    # who is gone is nobody's now
    assert result.orphans is not None
    assert result.orphans.users == 1
    assert people(staff) == PEOPLE
