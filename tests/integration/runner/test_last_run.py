"""The last run of a sync that is deleted together with what it owns: no directory is asked."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from entrasync.api.common import API_VERSION
from entrasync.api.directory_sync import DELETION_FINALIZER
from entrasync.api.result import RunResult
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from tests.support.mortal import ANSWERED, SENT, Mortals
from tests.support.rig import Rig

pytestmark = pytest.mark.integration

EXPORT = "ProvisionAzureADSyncObjects2"


def end(rig: Rig, **spec: Any) -> None:
    """The sync is being deleted, its directory and the Secret of that gone, and this is the run."""
    rig.sync["metadata"] |= {
        "deletionTimestamp": "2026-03-14T15:00:00Z",
        "finalizers": [DELETION_FINALIZER],
    }
    rig.sync["spec"] |= {"deletionPolicy": "Delete"} | spec
    rig.active_directory = {"kind": "None"}
    shutil.rmtree(rig.secrets / "reader", ignore_errors=True)
    rig.further = [
        {
            "apiVersion": API_VERSION,
            "kind": "SyncRun",
            "metadata": {"name": "last", "labels": {"entrasync.dev/trigger": "Deletion"}},
            "spec": {"directorySyncRef": {"name": "contoso"}},
        }
    ]


def held(rig: Rig) -> tuple[int, int, int]:
    users, groups, contacts = (len(rig.anchors(each)) for each in ("User", "Group", "Contact"))
    return users, groups, contacts


def counts(result: RunResult) -> dict[str, int]:
    assert result.changes is not None
    changes = result.changes
    return {
        "users": changes.users.delete,
        "groups": changes.groups.delete,
        "contacts": changes.contacts.delete,
    }


def somebody_elses(rig: Rig) -> None:
    """Another engine left a user in the tenant."""
    other = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor="b3RoZXI=",
        properties={"userPrincipalName": "other@contoso.com", "displayName": "Other"},
    )
    rig.cloud.post(rig.cloud.export([other])).raise_for_status()


def test_it_stops_at_the_brakes_and_removes_exactly_what_is_owned_once_approved(rig: Rig) -> None:
    rig.run()
    somebody_elses(rig)
    end(rig)

    blocked = rig.run(code=3)

    assert blocked.reason == "DeletionThresholdExceeded"
    assert blocked.blocked_plan is not None
    assert blocked.blocked_plan.users == {"delete": 48}
    assert held(rig) == (49, 12, 6)

    rig.sync["spec"]["approvedPlan"] = blocked.blocked_plan.digest
    done = rig.run()

    assert counts(done) == {"users": 48, "groups": 12, "contacts": 6}
    assert held(rig) == (1, 0, 0)
    assert done.objects is not None
    assert done.objects.model_dump() == {"users": 0, "groups": 0, "contacts": 0, "links": 0}
    assert done.orphans is not None
    assert done.orphans.users == 1
    assert rig.run().message == "nothing had changed"


def test_what_is_to_be_kept_or_disabled_is(rig: Rig) -> None:
    rig.run()
    limits = {kind: {"count": 100, "percent": 100} for kind in ("users", "groups", "contacts")}
    end(
        rig,
        objects={"users": {"onRemoval": "Disable"}, "groups": {"onRemoval": "Keep"}},
        safety=limits | {"disables": {"count": 100, "percent": 100}},
    )

    rig.run()

    assert held(rig) == (48, 12, 0)
    users = rig.cloud.objects("User")
    assert {each["attributes"]["accountEnabled"] for each in users} == {False}


def test_a_preview_only_shows_it(rig: Rig) -> None:
    rig.run()
    end(rig)

    result = rig.run(code=3, mode="Preview")

    assert counts(result) == {"users": 48, "groups": 12, "contacts": 6}
    assert held(rig) == (48, 12, 6)


@pytest.mark.parametrize("what", ["retain", "not deleted", "no finalizer", "no label"])
def test_nothing_else_makes_it_a_last_run(rig: Rig, what: str) -> None:
    rig.run()
    before = rig.active_directory
    secrets = rig.snapshot().files
    end(rig)
    rig.active_directory = before
    for path, text in secrets.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    if what == "retain":
        rig.sync["spec"]["deletionPolicy"] = "Retain"
    elif what == "not deleted":
        del rig.sync["metadata"]["deletionTimestamp"]
    elif what == "no finalizer":
        rig.sync["metadata"]["finalizers"] = ["somebody.else/finalizer"]
    else:
        rig.further[0]["metadata"]["labels"] = {"entrasync.dev/trigger": "Schedule"}

    result = rig.run()

    assert counts(result) == {"users": 0, "groups": 0, "contacts": 0}
    assert held(rig) == (48, 12, 6)


@pytest.mark.parametrize("sort", [SENT, ANSWERED])
def test_killed_at_every_request_it_removes_what_is_owned_and_nothing_else(
    rig: Rig, sort: str
) -> None:
    limits = {kind: {"count": 100, "percent": 100} for kind in ("users", "groups", "contacts")}
    rig.run()
    somebody_elses(rig)
    end(rig, safety=limits)
    with Mortals(rig) as mortals:
        at = 1
        while mortals.run(sort, at).killed:
            at += 1

    assert at > 5
    assert held(rig) == (1, 0, 0)
    deletions = [each["counts"]["deletions"] for each in rig.cloud.requests(EXPORT)]
    assert sum(deletions) >= 66  # a request that was not heard to be done may be sent again
    assert rig.run().message == "nothing had changed"


def test_a_lost_volume_leaves_everything(rig: Rig) -> None:
    rig.run()
    shutil.rmtree(rig.state)
    end(rig)

    result = rig.run()

    assert held(rig) == (48, 12, 6)
    assert result.orphans is not None
    assert result.orphans.users == 48
