"""Four eyes, with the chart as it is installed: one writes the sync, another one approves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dev.demo import setup
from dev.demo.kubectl import KubectlError
from tests.support.stage import NAME, Manifest, Place, Stage

pytestmark = pytest.mark.cluster

DELETED = 3


@pytest.fixture
def four_eyes(stage: Stage, place: Place) -> Iterator[Place]:
    """The policy is in force, eve may edit and ann may approve in the place."""
    setup.install_operator(stage.kubectl, "approval.fourEyes.enabled=true")
    for user, role in (("eve", "edit"), ("ann", "entrasync-approver")):
        place.kubectl.run(
            *("create", "rolebinding", user, f"--user={user}", f"--clusterrole={role}"),
            *("-n", place.name),
        )
    place.until("the policy to be in force", lambda: "approve" in _told(place, "eve"))
    yield place
    setup.install_operator(stage.kubectl)


def test_two_people_let_deletions_through(stage: Stage, four_eyes: Place) -> None:
    place = four_eyes
    with stage.directory("eyes") as host:
        servers = place.directory(servers=[f"ldaps://{host}"])
        place.apply(*place.whole(safety={"users": {"count": DELETED - 1}}), servers)
        users = place.until_synchronized()["objects"]["users"]
        stage.change_directory("eyes", "delete-users", str(DELETED))
        place.ask("dsync")
        place.until_ready("dsync", status="False", reason="DeletionThresholdExceeded")
        digest = place.status("dsync")["blockedPlan"]["digest"]

        refused = _patched(place, "eve", {"approvedPlan": digest})
        assert "eve does not hold it on contoso" in refused
        assert "entrasync-approver" in refused
        _create(place, "ann", place.run("approved", approvedPlan=digest))

        assert place.until_ended("approved")["phase"] == "Succeeded"
        assert place.status("dsync")["objects"]["users"] == users - DELETED


def _told(place: Place, user: str) -> str:
    """What a user who approves a plan of nothing is told."""
    probe = place.run("probe", approvedPlan=f"sha256:{'0' * 64}")
    try:
        _create(place, user, probe, "--dry-run=server")
    except KubectlError as error:
        return str(error)
    return ""


def _patched(place: Place, user: str, spec: Manifest) -> str:
    """What a user is told who may not change a sync so."""
    with pytest.raises(KubectlError) as refused:
        place.kubectl.run(
            *("patch", "dsync", NAME, "-n", place.name, f"--as={user}", "--type=merge"),
            *("-p", json.dumps({"spec": spec})),
        )
    return str(refused.value)


def _create(place: Place, user: str, manifest: Manifest, *options: str) -> None:
    place.kubectl.run("create", f"--as={user}", "-f", "-", *options, stdin=json.dumps(manifest))
