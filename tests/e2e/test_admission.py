"""What one look at a resource can refuse is refused at admission, with the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from dev.demo import setup
from tests.support.stage import CLIENT_ID, Manifest, Place

pytestmark = pytest.mark.cluster

TWO_CREDENTIALS = {
    "clientId": CLIENT_ID,
    "certificateSecretRef": {"name": "one"},
    "clientSecretSecretRef": {"name": "two", "key": "secret"},
}
IDENTITY_AND_SECRET = {
    "clientId": CLIENT_ID,
    "certificateSecretRef": {"name": "one"},
    "workloadIdentity": {"serviceAccountName": "two"},
}
SCHEDULE = {"interval": "30m", "cron": "*/30 * * * *"}


def _where(**clause: str) -> dict[str, Any]:
    return {"objects": {"users": {"where": {"anyOf": [{"allOf": [clause]}]}}}}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("tenant", {"application": TWO_CREDENTIALS}, "exactly one of `certificateSecretRef`"),
    ("tenant", {"application": IDENTITY_AND_SECRET}, "`workloadIdentity` must be specified"),
    ("tenant", {"application": {"clientId": CLIENT_ID}}, "exactly one of `certificateSecretRef`"),
    ("tenant", {"tenantId": "contoso"}, "spec.tenantId"),
    ("tenant", {"transport": "MicrosoftGraph"}, "spec.transport"),
    ("directory", {"servers": ["ldap://dc1.contoso.test"]}, "nothing is read in clear"),
    ("directory", {"servers": ["https://dc1.contoso.test"]}, "spec.servers[0]"),
    ("directory", {"domain": "contoso.test"}, "exactly one of `servers` and `domain`"),
    ("directory", {"baseDN": "contoso.test"}, "spec.baseDN"),
    ("sync", {"schedule": SCHEDULE}, "`interval` may not be specified when `cron` is"),
    ("sync", {"schedule": {"interval": "1s"}}, "`interval` must be at least 10s"),
    ("sync", {"schedule": {"timeZone": "Europe/Berlin"}}, "together with `cron`"),
    ("sync", {"sources": []}, "spec.sources"),
    ("sync", {"mode": "Whatever"}, "spec.mode"),
    ("sync", {"objects": {"groups": {"maxMembers": 250_001}}}, "spec.objects.groups.maxMembers"),
    ("sync", {"objects": {"users": {"memberOf": {"group": "Pilot"}}}}, "memberOf.group"),
    ("sync", _where(operator="Equal", value="x"), "`attribute` must be specified"),
    ("sync", _where(attribute="title", operator="Equal"), "`value` must be specified"),
    ("sync", _where(attribute="title", operator="IsNull", value="x"), "`value` must be specified"),
    ("sync", _where(attribute="title", operator="Like", value="x"), "allOf[0].operator"),
    ("sync", _where(attribute="a*)(b", operator="IsNull"), "allOf[0].attribute"),
    ("sync", _where(attribute="title", operator="IsBitSet", value="two"), "a whole number"),
    ("sync", _where(operator="IsMemberOf", value="Pilot"), "the distinguished name of a group"),
    ("run", {"entraTenantRef": {"name": "contoso"}}, "exactly one of `directorySyncRef`"),
]


@pytest.mark.parametrize(("which", "spec", "told"), REFUSED)
def test_bad_fields_are_refused(place: Place, which: str, spec: dict[str, Any], told: str) -> None:
    makers = {"tenant": place.tenant, "directory": place.directory, "sync": place.sync}
    manifest = place.run("manual", **spec) if which == "run" else makers[which](**spec)

    assert told in place.refused(manifest)


def test_v2_in_azure_germany_is_refused_with_the_clouds_that_offer_it(place: Place) -> None:
    told = place.refused(place.tenant(cloudRef={"name": "azure-germany"}))

    assert "`spec.transport` SyncServiceV2 is not offered by AzureCloud azure-germany" in told
    assert "azure-us-government" in told


def test_v1_in_azure_germany_is_refused_because_it_was_closed(place: Place) -> None:
    germany = {"name": "azure-germany"}

    told = place.refused(place.tenant(cloudRef=germany, transport="SyncServiceV1"))

    assert "AzureCloud azure-germany was closed at 2021-10-29" in told


def test_a_tenant_may_ask_for_what_its_cloud_offers_and_for_nothing_else(place: Place) -> None:
    versions = {"V1": f"{place.name}-v1", "V2": f"{place.name}-v2"}
    for version, name in versions.items():
        cloud = setup.cloud_resource(place.stage.authority, name)
        cloud["spec"]["syncService"]["endpoints"] = [
            {"version": version, "maxGroupMembers": 50_000}
        ]
        place.apply(cloud)

    for version, other in (("V1", "V2"), ("V2", "V1")):
        cloud_ref = {"name": versions[version]}
        place.apply(
            place.tenant(
                f"{version.lower()}", cloudRef=cloud_ref, transport=f"SyncService{version}"
            )
        )
        told = place.refused(place.tenant(cloudRef=cloud_ref, transport=f"SyncService{other}"))
        assert f"SyncService{other} is not offered by AzureCloud {cloud_ref['name']}" in told
        assert f"(it offers {version})" in told
    place.kubectl.run("delete", "azurecloud", *versions.values(), "--wait=false")


def test_what_ties_a_sync_to_its_tenant_is_immutable(place: Place) -> None:
    place.apply(place.tenant(), place.sync(suspend=True))

    for changed, field in (
        (place.tenant(cloudRef={"name": "azure-china"}), "cloudRef"),
        (place.tenant(tenantId="00000000-1111-2222-3333-444444444444"), "tenantId"),
        (place.sync(target={"entraTenantRef": {"name": "other"}}), "target"),
    ):
        told = _apply_refused(place, changed)
        assert f"`{field}` must not change" in told


def test_the_shipped_clouds_are_there(place: Place) -> None:
    clouds = {c["metadata"]["name"]: c for c in place.kubectl.get("azurecloud")["items"]}

    for name in ("commercial", "us-government", "us-government-dod", "china"):
        found = clouds[f"azure-{name}"]["status"]
        assert found["endpointVersions"] == "V2,V1"
        assert _conditions(found) == {"Ready": "True", "Available": "True"}
    germany = clouds["azure-germany"]["status"]
    assert germany["endpointVersions"] == "V1"
    assert _conditions(germany) == {"Ready": "True", "Available": "False"}


def test_columns_and_explanations_are_what_the_documentation_says(place: Place) -> None:
    headers = {
        "azc": "NAME READY ENDPOINTS AGE",
        "etenant": "NAME CLOUD ENDPOINT READY REASON AGE",
        "ad": "NAME DOMAIN DELTA READY REASON AGE",
        "dsync": "NAME READY STATUS LAST SUCCESS NEXT USERS GROUPS AGE",
        "srun": "NAME SYNC MODE SCOPE PHASE ADDED UPDATED DELETED FAILED DURATION AGE",
    }
    place.apply(place.tenant(), place.directory(), place.sync(suspend=True), place.run("manual"))

    for kind, wanted in headers.items():
        table = place.kubectl.run("get", kind, "-n", place.name)
        assert table.splitlines()[0].split() == wanted.split()
    told = place.kubectl.run("explain", "dsync.spec.schedule.interval")
    assert "Default `30m`" in " ".join(told.split())


def _apply_refused(place: Place, manifest: Manifest) -> str:
    try:
        place.apply(manifest)
    except Exception as error:  # noqa: BLE001  - its text is what is looked at
        return str(error)
    raise AssertionError(f"{manifest['kind']} was changed")


def _conditions(status: Manifest) -> dict[str, str]:
    return {each["type"]: each["status"] for each in status["conditions"]}
