"""Each mistake gets its reason, writes nothing, and mending it is all that is needed."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable

import pytest

from entrasync.emulator.certificates import make_application_pair
from tests.support.forwarder import forwarding
from tests.support.rig import Rig

pytestmark = pytest.mark.integration

Mistake = Callable[[Rig], None]


def wrong_base(rig: Rig) -> None:
    rig.active_directory["spec"]["baseDN"] = "OU=Nowhere,DC=contoso,DC=test"


def wrong_container(rig: Rig) -> None:
    rig.source["include"] = ["OU=Nowhere,DC=contoso,DC=test"]


def untrusted_directory(rig: Rig) -> None:
    rig.active_directory["spec"]["caBundle"] = rig.cloud.ca_pem


def untrusted_cloud(rig: Rig) -> None:
    rig.azure["spec"]["caBundle"] = rig.directory.ca_pem


def expired_certificate(rig: Rig) -> None:
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=3650)
    pair = make_application_pair(rig.cloud.client_id, long_ago)
    rig.put_secret("entra-app", **{"tls.crt": pair.certificate, "tls.key": pair.key})


def wrong_certificate(rig: Rig) -> None:
    pair = make_application_pair(rig.cloud.client_id, dt.datetime.now(dt.UTC))
    rig.put_secret("entra-app", **{"tls.crt": pair.certificate, "tls.key": pair.key})


def wrong_client_secret(rig: Rig) -> None:
    rig.put_secret("other", key="wrong")
    application = rig.tenant["spec"]["application"]
    del application["certificateSecretRef"]
    application["clientSecretSecretRef"] = {"name": "other", "key": "key"}


def wrong_tenant(rig: Rig) -> None:
    rig.tenant["spec"]["tenantId"] = "00000000-1111-2222-3333-444444444444"


def missing_tenant_secret(rig: Rig) -> None:
    shutil.rmtree(rig.secrets / "entra-app")


def missing_bind_key(rig: Rig) -> None:
    (rig.secrets / "reader" / "password").unlink()


def missing_directory(rig: Rig) -> None:
    rig.source["activeDirectoryRef"]["name"] = "gone"


def missing_cloud(rig: Rig) -> None:
    rig.tenant["spec"]["cloudRef"]["name"] = "gone"


def cloud_without_v2(rig: Rig) -> None:
    rig.tenant["spec"]["cloudRef"]["name"] = "old"
    rig.azure["metadata"]["name"] = "old"
    rig.azure["spec"]["syncService"]["endpoints"] = [{"version": "V1", "maxGroupMembers": 50000}]


def azure_germany(rig: Rig) -> None:
    rig.tenant["spec"]["cloudRef"]["name"] = "azure-germany"


def sync_switched_off(rig: Rig) -> None:
    rig.cloud.set_faults(syncOff=True)


def service_without_v2(rig: Rig) -> None:
    rig.cloud.set_faults(v2Off=True)


SYNC, TENANT = "DirectorySync/contoso", "EntraTenant/contoso"
DIRECTORY, CLOUD = "ActiveDirectory/contoso", "AzureCloud/emulator"

MISTAKES: list[tuple[Mistake, str, str, str]] = [
    (wrong_base, "BaseNotFound", DIRECTORY, "spec.baseDN"),
    (wrong_container, "BaseNotFound", SYNC, "spec.sources[contoso].include"),
    (untrusted_directory, "CertificateNotTrusted", DIRECTORY, ""),
    (untrusted_cloud, "CertificateNotTrusted", CLOUD, "spec.caBundle"),
    (expired_certificate, "CredentialsRejected", TENANT, "certificateSecretRef"),
    (wrong_certificate, "CredentialsRejected", TENANT, "certificateSecretRef"),
    (wrong_client_secret, "CredentialsRejected", TENANT, "clientSecretSecretRef"),
    (wrong_tenant, "TenantNotFound", TENANT, "spec.tenantId"),
    (missing_tenant_secret, "SecretNotFound", TENANT, "certificateSecretRef"),
    (missing_bind_key, "SecretNotFound", DIRECTORY, "spec.bindSecretRef"),
    (missing_directory, "ReferenceNotFound", SYNC, "spec.sources"),
    (missing_cloud, "ReferenceNotFound", TENANT, "spec.cloudRef"),
    (cloud_without_v2, "EndpointNotOffered", TENANT, "spec.transport"),
    (azure_germany, "CloudClosed", TENANT, "spec.cloudRef"),
    (sync_switched_off, "SyncDisabledInTenant", TENANT, "spec.tenantId"),
    (service_without_v2, "EndpointNotOffered", TENANT, "spec.transport"),
]


@pytest.mark.parametrize(
    ("mistake", "reason", "resource", "field"),
    MISTAKES,
    ids=[mistake.__name__ for mistake, *_ in MISTAKES],
)
def test_a_person_is_told_what_to_mend(
    rig: Rig, mistake: Mistake, reason: str, resource: str, field: str
) -> None:
    mistake(rig)

    result = rig.run(code=2, in_job=True)

    assert (result.outcome, result.permanent) == ("Failed", True)
    assert (result.reason, result.resource) == (reason, resource)
    assert field in result.message
    assert rig.cloud.objects("User") == []
    assert rig.writes() == 0


@pytest.mark.parametrize("mistake", [wrong_base, wrong_certificate, sync_switched_off])
def test_mending_the_cause_is_enough(rig: Rig, mistake: Mistake) -> None:
    good = rig.snapshot()
    rig.run()
    mistake(rig)
    rig.run(code=2)

    rig.restore(good)

    assert rig.run().outcome == "Succeeded"


def test_a_wrong_password_is_tried_once_at_one_server(rig: Rig) -> None:
    host = rig.directory.host
    rig.put_secret("reader", password="wrong")
    with forwarding(host, (host, 636)) as first, forwarding(host, (host, 636)) as second:
        rig.active_directory["spec"]["servers"] = [
            f"ldaps://{host}:{first.port}",
            f"ldaps://{host}:{second.port}",
        ]
        result = rig.run(code=2)
        tried = (first.connections, second.connections)

    assert (result.reason, result.resource) == ("BindRejected", DIRECTORY)
    assert "spec.bindSecretRef" in result.message
    assert tried == (1, 0)
    assert rig.writes() == 0


def test_an_unreachable_directory_may_come_back(rig: Rig) -> None:
    servers = rig.active_directory["spec"]["servers"]
    rig.active_directory["spec"]["servers"] = [f"ldaps://{rig.directory.host}:9"]

    result = rig.run(code=1, in_job=True)

    assert (result.outcome, result.permanent) == ("Failed", False)
    assert (result.reason, result.resource) == ("ServerUnreachable", DIRECTORY)
    assert rig.writes() == 0
    rig.active_directory["spec"]["servers"] = servers
    assert rig.run().outcome == "Succeeded"


def test_a_directory_that_goes_away_while_it_is_read_changes_nothing(rig: Rig) -> None:
    host = rig.directory.host
    with forwarding(host, (host, 636)) as line:
        rig.active_directory["spec"]["servers"] = [f"ldaps://{host}:{line.port}"]
        line.cut_after = 60_000
        result = rig.run(code=1)
        assert result.outcome == "Failed"
        assert result.reason == "ServerUnreachable"
        assert rig.writes() == 0

        line.cut_after = None
        assert rig.run().outcome == "Succeeded"

        # in the next full read too, with much to lose
        line.cut_after = line.received + 60_000
        rig.run(code=1, scope="Full")
        line.cut_after = None
        after = rig.run()
        assert after.objects is not None
        assert (after.scope, after.objects.users) == ("Delta", 48)
    assert len(rig.anchors("User")) == 48


def test_a_check_reports_both_halves_when_both_fail(rig: Rig) -> None:
    wrong_certificate(rig)
    rig.put_secret("reader", password="wrong")

    result = rig.run(code=2, in_job=True, mode="Check")

    assert result.tenant_check is not None
    check = result.check_of("contoso")
    assert check is not None
    assert result.tenant_check.reason == "CredentialsRejected"
    assert check.reason == "BindRejected"
    assert result.permanent


def test_a_client_secret_does_as_well(rig: Rig) -> None:
    rig.put_secret("other", key=f"{rig.cloud.client_secret}\n")
    application = rig.tenant["spec"]["application"]
    del application["certificateSecretRef"]
    application["clientSecretSecretRef"] = {"name": "other", "key": "key"}

    assert rig.run().outcome == "Succeeded"


def test_state_of_another_tenant_is_refused(rig: Rig) -> None:
    rig.run()
    rig.tenant["spec"]["tenantId"] = "00000000-1111-2222-3333-444444444444"

    result = rig.run(code=2)

    assert result.reason == "StateVolumeUnsuitable"
