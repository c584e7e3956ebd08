"""The rules that hurt nobody, from a real directory to the emulated tenant."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable

import pytest

from entrasync.state.store import Store
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

TOP = "OU=Contoso,DC=contoso,DC=test"
STAFF = f"OU=Staff,{TOP}"
WITHOUT_LEGAL = [f"OU=Legal,{STAFF}"]
LEGAL = 8


def test_over_a_limit_nothing_at_all_is_exported(rig: Rig) -> None:
    rig.run()
    written = rig.writes()
    rig.sync["spec"]["safety"] = {"users": {"count": LEGAL - 1, "percent": 100}}
    rig.source["exclude"] = WITHOUT_LEGAL

    result = rig.run(code=3)

    assert (result.outcome, result.reason) == ("Blocked", "DeletionThresholdExceeded")
    assert "`spec.safety.users`" in result.message
    assert result.blocked_plan is not None
    assert result.blocked_plan.users == {"delete": LEGAL}
    assert len(result.blocked_plan.sample) == LEGAL
    assert rig.writes() == written
    # a limit raised is all it takes
    rig.sync["spec"]["safety"]["users"]["count"] = LEGAL
    assert rig.run().outcome == "Succeeded"
    assert len(rig.anchors("User")) == 48 - LEGAL


def test_an_approval_lets_exactly_its_changes_through_and_works_once(rig: Rig) -> None:
    rig.run()
    everybody = rig.anchors("User")
    rig.sync["spec"]["safety"] = {"users": {"count": 0, "percent": 0}}
    rig.source["exclude"] = WITHOUT_LEGAL
    blocked = rig.run(code=3).blocked_plan
    assert blocked is not None

    # what is braked has become more: the approval is taken, and names only a part of it
    rig.source["exclude"] = [*WITHOUT_LEGAL, f"OU=Sales,{STAFF}"]
    rig.sync["spec"]["approvedPlan"] = blocked.digest
    stopped = rig.run(code=3)
    assert stopped.approval_used == blocked.digest
    assert rig.anchors("User") == everybody

    rig.source["exclude"] = WITHOUT_LEGAL
    result = rig.run()
    assert (result.outcome, result.approval_used) == ("Succeeded", None)
    assert len(rig.anchors("User")) == 48 - LEGAL
    # the same people again need somebody's word again
    del rig.source["exclude"]
    rig.run()
    rig.source["exclude"] = WITHOUT_LEGAL
    rig.run(code=3)
    assert rig.anchors("User") == everybody


def test_a_group_over_the_limit_is_frozen_and_goes_on_when_it_fits(rig: Rig) -> None:
    limits = rig.azure["spec"]["syncService"]["endpoints"]
    rig.run()
    group = rig.group("All Employees")
    before = rig.cloud.object(group)

    limits[0]["maxGroupMembers"] = 39
    frozen = rig.run(code=4, scope="Full")

    assert [(e.anchor, e.code) for e in frozen.errors] == [(group, "GroupTooLarge")]
    assert rig.cloud.object(group) == before
    limits[0]["maxGroupMembers"] = 40
    assert rig.run().error_count == 0


def test_an_anchor_that_changes_re_creates_nobody(fresh: Rig, hand: Hand) -> None:
    user = hand.add(
        f"CN=Ann,{STAFF}", "user", sAMAccountName="ann", userPrincipalName="ann@contoso.test"
    )
    fresh.run()
    before = fresh.anchors("User")

    hand.replace(user, "mS-DS-ConsistencyGuid", uuid.UUID(int=7).bytes)
    withheld = fresh.run(code=4)
    # not even when all that this sync knew is lost
    shutil.rmtree(fresh.state)
    again = fresh.run(code=4)

    assert [e.code for e in withheld.errors] == ["AnchorChanged"]
    assert [e.code for e in again.errors] == ["AnchorChanged"]
    assert fresh.anchors("User") == before


def test_a_source_that_shows_nothing_stops_the_run(fresh: Rig, samba_fresh: SambaServer) -> None:
    fresh.run()
    written = fresh.writes()
    samba_fresh.change("delete-all")

    for scope in (None, "Full"):
        result = fresh.run(code=3, scope=scope)
        assert result.reason == "SourceEmpty"
    assert fresh.writes() == written
    assert len(fresh.anchors("User")) == 48


def test_the_state_has_one_holder(rig: Rig) -> None:
    rig.run()

    with Store(rig.state):
        result = rig.run(code=1)

    assert (result.reason, result.permanent) == ("RunActive", False)
    assert rig.run().outcome == "Succeeded"


def test_a_run_killed_anywhere_loses_and_doubles_nothing(big: Rig) -> None:
    # requests grow from 100 objects: among the users three times, then behind them
    for calls in (1, 4, 8, 13):
        process = big.start()
        _until(process, lambda calls=calls: big.writes() >= calls)  # type: ignore[misc]  # bound on purpose
        process.kill()
        process.communicate()

    result = big.run()

    assert result.objects is not None
    assert result.objects.model_dump() == {
        "users": 2060,
        "groups": 12,
        "contacts": 40,
        "links": 4073,
    }
    assert result.orphans is not None
    assert not any(result.orphans.model_dump().values())
    assert len(big.cloud.links(big.group("All Employees"))) == 2000
    full = big.run(scope="Full")
    assert full.message == "nothing had changed"


def test_a_run_told_to_end_ends_after_its_batch_and_goes_on_later(big: Rig) -> None:
    process = big.start()
    _until(process, lambda: big.writes() >= 2)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert told.startswith("Cancelled: Cancelled")
    done = len(big.anchors("User"))
    assert 0 < done < 2060
    assert big.run().outcome == "Succeeded"
    assert len(big.anchors("User")) == 2060


def _until(process: subprocess.Popen[str], probe: Callable[[], bool]) -> None:
    """Looks again and again until something is true; the process must live meanwhile."""
    while not probe():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
