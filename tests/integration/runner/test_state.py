"""What becomes of a state that is lost, damaged, somebody else's, too new, or old."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from entrasync.state.schema import VERSION
from entrasync.state.state_file import FILE_NAME, LOCK_NAME
from tests.support.branch import Branch
from tests.support.rig import Rig
from tests.support.state import downgrade

pytestmark = pytest.mark.integration

READS = {"GetCompanyConfiguration", "ReadBackAzureADSyncObjects2"}


@pytest.fixture
def team(local: Rig, branch: Branch) -> Rig:
    """Some people and groups in the tenant."""
    people = branch.people(3, department="Sales")
    group = branch.group("team", *people)
    branch.group("outer", group)
    branch.contact("partner")
    local.run()
    return local


def file(rig: Rig) -> Path:
    return rig.state / FILE_NAME


def damage_middle(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as found:
        found.seek(size // 4)
        found.write(bytes(range(256)) * (size // 2 // 256))


def truncate(path: Path) -> None:
    with path.open("r+b") as found:
        found.truncate(path.stat().st_size // 2)


def replace_whole(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever it is called" * 100)


DAMAGES = {"in the middle": damage_middle, "cut": truncate, "no database": replace_whole}


def test_a_lost_volume_loses_nothing_and_deletes_nobody(team: Rig, branch: Branch) -> None:
    before = {each["sourceAnchor"]: each for each in team.cloud.objects("User")}
    shutil.rmtree(team.state)
    branch.hand.delete(f"CN=p0,{branch.dn}")
    written = team.writes()

    result = team.run()

    assert (result.outcome, result.scope) == ("Succeeded", "Full")
    assert team.writes() == written
    assert {each["sourceAnchor"]: each for each in team.cloud.objects("User")} == before
    assert result.objects is not None
    # whoever was deleted meanwhile was never known to be ours
    assert (result.objects.users, result.objects.groups) == (2, 2)
    assert result.orphans is not None
    assert result.orphans.model_dump() == {"users": 1, "groups": 0, "contacts": 0}
    # what is adopted is owned in every respect
    branch.hand.delete(f"CN=p1,{branch.dn}")
    branch.hand.replace(f"CN=p2,{branch.dn}", "title", "Chair")
    later = team.run()
    assert later.changes is not None
    assert later.changes.users.model_dump() == {"add": 0, "update": 1, "delete": 1, "failed": 0}


def test_only_what_is_wrong_is_written_after_a_loss(team: Rig, branch: Branch) -> None:
    shutil.rmtree(team.state)
    branch.hand.replace(f"CN=p1,{branch.dn}", "title", "Chair")
    branch.hand.unlink(f"CN=team,{branch.dn}", f"CN=p2,{branch.dn}")

    result = team.run()

    assert result.changes is not None
    assert result.changes.users.model_dump() == {"add": 0, "update": 1, "delete": 0, "failed": 0}
    assert result.changes.links.model_dump() == {"add": 0, "remove": 1, "failed": 0}
    assert team.run().message == "nothing had changed"


def test_brakes_hold_after_a_loss(team: Rig, branch: Branch) -> None:
    """Nothing is owned yet, and limits in per cent are of what is about to be adopted."""
    shutil.rmtree(team.state)
    team.sync["spec"]["safety"] = {"linkRemovals": {"count": 1}}
    branch.hand.replace(f"CN=team,{branch.dn}", "member")
    written = team.writes()

    assert team.run(code=3).reason == "LinkRemovalThresholdExceeded"
    assert team.writes() == written


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("closed", ["closed", "killed"])
def test_a_damaged_file_is_set_aside_and_that_is_said(
    team: Rig, damage: Callable[[Path], None], closed: str
) -> None:
    written = team.writes()
    damage(file(team))
    if closed == "killed":
        (team.state / LOCK_NAME).write_text("open")

    # a file that looks sound is found damaged only where it is read
    results = [team.run_anyhow() for _ in range(2)]
    good = [each for each in results if each.outcome == "Succeeded"]

    assert good, [each.message for each in results]
    rebuilt = good[0]
    assert "The state file was damaged" in rebuilt.message
    assert "is set aside as entrasync.db.corrupt-" in rebuilt.message
    if closed == "killed":
        assert rebuilt is results[0]
    for each in results:
        if each.outcome != "Succeeded":
            assert (each.reason, each.permanent) == ("StateVolumeUnsuitable", False)
            assert "the next run sets it aside" in each.message
    assert rebuilt.objects is not None
    assert rebuilt.objects.model_dump() == {"users": 3, "groups": 2, "contacts": 1, "links": 4}
    assert rebuilt.orphans is not None
    assert not any(rebuilt.orphans.model_dump().values())
    assert team.writes() == written
    assert len(list(team.state.glob("entrasync.db.corrupt-*"))) == 1
    assert team.run().message == "nothing had changed"


def test_a_newer_state_is_refused_and_left_alone(team: Rig) -> None:
    with closing(sqlite3.connect(file(team))) as found:
        found.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = file(team).read_bytes()
    asked = len(team.cloud.requests())

    result = team.run(code=2)

    assert (result.reason, result.permanent) == ("StateVolumeUnsuitable", True)
    assert "run the newer image again" in result.message
    assert file(team).read_bytes() == before
    assert len(team.cloud.requests()) == asked


def test_the_state_of_another_tenant_is_refused(team: Rig) -> None:
    with closing(sqlite3.connect(file(team))) as found, found:
        found.execute("UPDATE meta SET value = 'another-tenant' WHERE key = 'tenant'")
    asked = len(team.cloud.requests())

    result = team.run(code=2)

    assert (result.reason, result.permanent) == ("StateVolumeUnsuitable", True)
    assert "belongs to tenant another-tenant" in result.message
    assert len(team.cloud.requests()) == asked


def test_a_second_run_at_the_same_time_changes_nothing(team: Rig, branch: Branch) -> None:
    branch.hand.replace(f"CN=p0,{branch.dn}", "title", "Chair")
    team.cloud.set_faults(delaySeconds=3, operations=["ProvisionAzureADSyncObjects2"])
    written = team.writes()
    with team.start() as first:
        try:
            # the tenant holds its answer back: the first one is in the middle of its export
            while team.writes() == written:
                assert first.poll() is None, first.communicate()
                time.sleep(0.05)
            asked = len(team.cloud.requests())
            second = team.run(code=1)
            assert len(team.cloud.requests()) == asked
            first.communicate(timeout=60)
        finally:
            first.kill()

    assert (second.reason, second.permanent) == ("RunActive", False)
    assert first.returncode == 0
    assert team.run().message == "nothing had changed"


def test_a_state_of_version_1_is_converted_and_only_read(team: Rig, branch: Branch) -> None:
    downgrade(team.state)
    asked = len(team.cloud.requests())

    result = team.run()

    assert result.message == "nothing had changed"
    assert {each["operation"] for each in team.cloud.requests()[asked:]} <= READS
    assert result.objects is not None
    assert result.objects.model_dump() == {"users": 3, "groups": 2, "contacts": 1, "links": 4}
    assert result.orphans is not None
    assert not any(result.orphans.model_dump().values())
    # what it owned it still owns
    branch.hand.delete(f"CN=p0,{branch.dn}")
    later = team.run()
    assert later.changes is not None
    assert later.changes.users.delete == 1


def test_who_was_deleted_before_a_conversion_is_still_ours(team: Rig, branch: Branch) -> None:
    downgrade(team.state)
    branch.hand.delete(f"CN=p0,{branch.dn}")

    result = team.run()

    assert result.changes is not None
    assert result.changes.users.model_dump() == {"add": 0, "update": 0, "delete": 1, "failed": 0}
    assert json.loads(result.to_message())["objects"]["users"] == 2
