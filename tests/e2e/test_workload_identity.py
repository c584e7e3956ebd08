"""A tenant synced without any Secret for it: the application trusts a ServiceAccount's token."""

from __future__ import annotations

import pytest

from tests.support.stage import (
    CLIENT_ID,
    IDENTITY_PLACE,
    IDENTITY_TENANT,
    NAME,
    READER,
    RUNNER_ACCOUNT,
    Place,
)

pytestmark = pytest.mark.cluster

APPLICATION = {
    "clientId": CLIENT_ID,
    "workloadIdentity": {"serviceAccountName": RUNNER_ACCOUNT},
}


@pytest.mark.parametrize("place", [(IDENTITY_PLACE, IDENTITY_TENANT)], indirect=True)
def test_a_marked_service_account_is_all_a_tenant_needs(place: Place) -> None:
    place.apply(place.tenant(application=APPLICATION))
    missing = place.until_ready("etenant", status="False", reason="ReferenceNotFound")
    assert f"ServiceAccount {RUNNER_ACCOUNT} does not exist" in missing["message"]

    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": RUNNER_ACCOUNT, "namespace": place.name},
    }
    place.apply(account)
    unmarked = place.until_ready("etenant", status="False", reason="ServiceAccountNotAllowed")
    assert 'entrasync.dev/runner: "true"' in unmarked["message"]
    assert place.condition("etenant", wanted="Stalled")["status"] == "True"
    assert place.kubectl.get("jobs", "-n", place.name)["items"] == []

    labels = ["entrasync.dev/runner=true"]
    place.kubectl.run("label", "serviceaccount", RUNNER_ACCOUNT, "-n", place.name, *labels)
    place.until_ready("etenant")
    assert place.condition("etenant", wanted="CredentialsValid")["status"] == "True"

    place.apply(
        place.secret(f"{NAME}-reader", **READER),
        place.directory(),
        place.sync(),
    )
    status = place.until_synchronized()
    assert status["objects"]["users"] > 0

    (job, *_) = place.kubectl.get("jobs", "-n", place.name)["items"]
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == RUNNER_ACCOUNT
    assert pod["automountServiceAccountToken"] is False
    secrets = {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    assert secrets <= {f"{NAME}-reader"}
