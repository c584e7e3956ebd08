"""Only one engine writes a tenant: copies of a state, Entra Connect beside it, a lost volume."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.api.directory_sync import DELETION_FINALIZER
from entrasync.entra.requests import FinalizeExportRequest, encode_finalize_export_request
from tests.support.emulator import CLIENT_ID, CLIENT_SECRET, EmulatorServer
from tests.support.hand import Hand
from tests.support.rig import Calendar, Clockwork, Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

STAFF = "OU=Staff,OU=Contoso,DC=contoso,DC=test"
REASON = "ForeignEngineActive"
CYCLE_SECONDS = 1800


@pytest.fixture
def time() -> Clockwork:
    """The time of the cloud, which a test lets pass."""
    return Clockwork()


@pytest.fixture
def cloud(time: Clockwork) -> Iterator[EmulatorServer]:
    with EmulatorServer(clock=time.now) as server:
        yield server


@pytest.fixture
def rig(rig: Rig) -> Rig:
    return by_secret(rig)


@pytest.fixture
def fresh(fresh: Rig) -> Rig:
    return by_secret(fresh)


def by_secret(rig: Rig) -> Rig:
    """Signs in by a secret: an assertion of ours would be of another time than the cloud's."""
    rig.put_secret("entra-secret", **{"client-secret": rig.cloud.client_secret})
    rig.tenant["spec"]["application"] = {
        "clientId": rig.cloud.client_id,
        "clientSecretSecretRef": {"name": "entra-secret", "key": "client-secret"},
    }
    return rig


def entra_connect_syncs(cloud: EmulatorServer) -> None:
    """Another engine ends an export of its own."""
    request = FinalizeExportRequest(total_exported=1, successful_export_count=1)
    body = encode_finalize_export_request(cloud.header(), request)
    cloud.post(body).raise_for_status()


def restored(rig: Rig, folder: Path) -> Rig:
    """A second cluster, restored from a backup of everything: resources, Secrets and state."""
    folder.mkdir()
    other = Rig(folder, rig.directory, rig.cloud)
    other.sync = copy.deepcopy(rig.sync)
    other.tenant = copy.deepcopy(rig.tenant)
    other.remembered = copy.deepcopy(rig.remembered)
    shutil.rmtree(other.secrets)
    shutil.copytree(rig.secrets, other.secrets)
    shutil.copytree(rig.state, other.state)
    return other


def test_of_two_clusters_restored_from_one_backup_exactly_one_writes(
    fresh: Rig, hand: Hand, time: Clockwork, tmp_path: Path
) -> None:
    fresh.run()
    twin = restored(fresh, tmp_path / "twin")
    hand.add(f"CN=New,{STAFF}", "user", sAMAccountName="new", userPrincipalName="new@contoso.test")

    time.sleep(CYCLE_SECONDS)
    assert fresh.run().message == "1 user added"
    written = fresh.writes()
    hand.replace(f"CN=New,{STAFF}", "title", "Chair")
    time.sleep(CYCLE_SECONDS)
    blocked = twin.run(code=3)

    assert blocked.reason == REASON
    assert "restored from the same backup" in blocked.message
    assert blocked.blocked_plan is not None
    assert fresh.writes() == written
    # the one that writes goes on, time and again
    for title in ("Head", "Lead"):
        time.sleep(CYCLE_SECONDS)
        hand.replace(f"CN=New,{STAFF}", "title", title)
        assert fresh.run().message == "1 user updated"
        assert twin.run(code=3).reason == REASON


def test_an_approval_names_one_sync_of_somebody_else_and_no_other(
    fresh: Rig, hand: Hand, time: Clockwork
) -> None:
    fresh.run()
    time.sleep(CYCLE_SECONDS)
    entra_connect_syncs(fresh.cloud)
    first = fresh.run(code=3)
    assert first.blocked_plan is not None
    digest = first.blocked_plan.digest
    assert f"set `spec.approvedPlan` to {digest}" in first.message

    # it is still at work: what was approved is not what happened since
    time.sleep(CYCLE_SECONDS)
    entra_connect_syncs(fresh.cloud)
    fresh.sync["spec"]["approvedPlan"] = digest
    second = fresh.run(code=3)
    assert second.blocked_plan is not None
    assert second.blocked_plan.digest != digest

    fresh.sync["spec"]["approvedPlan"] = second.blocked_plan.digest
    done = fresh.run()
    assert done.approval_used == second.blocked_plan.digest
    hand.replace(f"CN={_somebody(hand)},{STAFF}", "title", "Chair")
    assert fresh.run().message == "1 user added"


def _somebody(hand: Hand) -> str:
    hand.add(
        f"CN=Somebody,{STAFF}",
        "user",
        sAMAccountName="somebody",
        userPrincipalName="somebody@contoso.test",
    )
    return "Somebody"


def test_a_previewing_run_is_not_stopped(rig: Rig, time: Clockwork) -> None:
    rig.run()
    time.sleep(CYCLE_SECONDS)
    entra_connect_syncs(rig.cloud)

    assert rig.run(mode="Preview").reason == "Synchronized"
    assert rig.run(code=3).reason == REASON


def test_a_tenant_of_entra_connect_is_refused_and_taken_over_once_it_is_silent(
    rig: Rig, time: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = Calendar(monkeypatch)
    entra_connect_syncs(rig.cloud)

    refused = rig.run(code=3)
    assert refused.reason == REASON
    assert refused.resource == "EntraTenant/contoso"
    assert "`spec.takeover`" in refused.message
    assert rig.writes() == 0

    rig.tenant["spec"]["takeover"] = "FromEntraConnect"
    for _ in range(3):  # its scheduler is still on
        time.sleep(CYCLE_SECONDS)
        calendar.ahead += calendar.ahead.__class__(seconds=CYCLE_SECONDS)
        entra_connect_syncs(rig.cloud)
        active = rig.run(code=3)
        assert active.reason == REASON
        assert "staging mode" in active.message
    calendar.ahead += calendar.ahead.__class__(minutes=59)
    assert rig.run(code=3).reason == REASON
    calendar.ahead += calendar.ahead.__class__(minutes=2)
    time.sleep(61 * 60)

    taken = rig.run()
    assert taken.objects is not None
    assert taken.objects.users == 48
    # it comes back: what was said of the time before does not let it go on
    time.sleep(CYCLE_SECONDS)
    entra_connect_syncs(rig.cloud)
    assert rig.run(code=3).reason == REASON


def test_a_lost_volume_goes_on_by_what_the_status_remembers(fresh: Rig, time: Clockwork) -> None:
    first = fresh.run()
    assert first.last_export is not None
    assert first.last_export.tenant_time is not None
    shutil.rmtree(fresh.state)
    time.sleep(CYCLE_SECONDS)

    again = fresh.run()

    assert again.objects is not None
    assert again.objects.users == 48


def test_a_lost_volume_and_a_lost_status_need_a_word(fresh: Rig, time: Clockwork) -> None:
    fresh.run()
    shutil.rmtree(fresh.state)
    fresh.remembered.clear()
    time.sleep(CYCLE_SECONDS)

    refused = fresh.run(code=3)
    assert refused.reason == REASON
    assert refused.blocked_plan is not None
    fresh.sync["spec"]["approvedPlan"] = refused.blocked_plan.digest
    again = fresh.run()

    assert again.objects is not None
    assert again.objects.users == 48


def test_a_tenant_that_may_not_be_asked_is_synced_all_the_same(
    tmp_path: Path, samba_small: SambaServer
) -> None:
    with EmulatorServer() as server:
        rig = Rig(tmp_path, samba_small, server)
        del rig.azure["spec"]["microsoftGraph"]
        entra_connect_syncs(server)
        result = rig.run()

    assert result.last_export is not None
    assert result.last_export.tenant_time is None


@pytest.mark.parametrize(
    ("role", "told"), [("User.Read.All", True), ("Organization.Read.All", False)]
)
def test_a_check_says_where_nobody_would_be_noticed(
    tmp_path: Path, samba_small: SambaServer, *, role: str, told: bool
) -> None:
    application = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "graphRoles": [role]}
    with EmulatorServer({"applications": [application]}) as server:
        result = by_secret(Rig(tmp_path, samba_small, server)).run(mode="Check")

    assert result.tenant_check is not None
    assert result.tenant_check.ok
    assert ("Organization.Read.All" in result.tenant_check.message) is told


def test_a_last_run_is_stopped_as_well(rig: Rig, time: Clockwork) -> None:
    rig.run()
    time.sleep(CYCLE_SECONDS)
    entra_connect_syncs(rig.cloud)
    rig.sync["metadata"] |= {
        "deletionTimestamp": "2026-03-14T15:00:00Z",
        "finalizers": [DELETION_FINALIZER],
    }
    rig.sync["spec"]["deletionPolicy"] = "Delete"
    rig.further = [
        {
            "apiVersion": rig.sync["apiVersion"],
            "kind": "SyncRun",
            "metadata": {"name": "last", "labels": {"entrasync.dev/trigger": "Deletion"}},
            "spec": {"directorySyncRef": {"name": "contoso"}},
        }
    ]

    assert rig.run(code=3).reason == REASON
    assert len(rig.anchors("User")) == 48
