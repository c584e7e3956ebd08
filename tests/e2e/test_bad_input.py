"""Each mistake ends in `Ready=False` with reason, field and remedy; mending it is enough.

All of them are made at once, each with a tenant of its own, and later mended at once: so they cost
little more than one.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dev.demo import setup
from dev.demo.cloud_view import CloudView
from entrasync.emulator.certificates import Authority, KeyPair, make_application_pair
from tests.support.stage import CLIENT_ID, READER, Manifest, Place, Stage

pytestmark = pytest.mark.cluster

LONG_AGO = dt.datetime.now(dt.UTC) - dt.timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mistake.

    Attributes:
        kind: the resource that tells of it first.
        reason: its reason there, which the DirectorySync repeats.
        told: what the message names.
        spoil: changes the manifests, by kind, before they are applied.
        mend: puts right what no manifest can, before the good manifests are applied.
        ask: whether the next check is asked for by the annotation, lest it comes in minutes only.
    """

    kind: str
    reason: str
    told: str
    spoil: Callable[[Spoiled], None]
    mend: Callable[[Spoiled], None] = lambda _: None
    ask: bool = False


@dataclass(kw_only=True)
class Spoiled:
    """A sync that something is wrong with.

    Attributes:
        place: where it lies.
        name: of each of its resources.
        tenant_id: of its own.
        cloud: name of the AzureCloud its tenant lives in.
        manifests: by kind; Secrets as `application` and `reader`.
    """

    place: Place
    name: str
    tenant_id: str
    cloud: str
    manifests: dict[str, Manifest]

    def spec(self, kind: str) -> dict[str, Any]:
        """A spec, to be changed."""
        found: dict[str, Any] = self.manifests[kind]["spec"]
        return found

    def apply(self) -> None:
        """Applies what there is."""
        self.place.apply(*self.manifests.values())


def _wrong_password(spoiled: Spoiled) -> None:
    spoiled.manifests["reader"]["stringData"]["password"] = "Wrong-Passw0rd"


def _unreachable(spoiled: Spoiled) -> None:
    spoiled.spec("ad")["servers"] = [f"ldaps://gone.{setup.DIRECTORY_NAMESPACE}.svc"]


def _untrusted(spoiled: Spoiled) -> None:
    other = Authority("somebody else's CA", dt.datetime.now(dt.UTC))
    del spoiled.spec("ad")["caProvider"]
    spoiled.spec("ad")["caBundle"] = other.certificate


def _wrong_base(spoiled: Spoiled) -> None:
    spoiled.spec("ad")["baseDN"] = "DC=fabrikam,DC=test"


def _wrong_container(spoiled: Spoiled) -> None:
    spoiled.spec("dsync")["sources"][0]["include"] = ["OU=Nowhere,DC=contoso,DC=test"]


def _put_pair(spoiled: Spoiled, pair: KeyPair) -> None:
    spoiled.manifests["application"]["stringData"] = {
        "tls.crt": pair.certificate,
        "tls.key": pair.key,
    }


def _wrong_certificate(spoiled: Spoiled) -> None:
    _put_pair(spoiled, make_application_pair(CLIENT_ID, dt.datetime.now(dt.UTC)))


def _expired_certificate(spoiled: Spoiled) -> None:
    _put_pair(spoiled, make_application_pair(CLIENT_ID, LONG_AGO))


def _wrong_tenant(spoiled: Spoiled) -> None:
    spoiled.spec("etenant")["tenantId"] = "00000000-1111-2222-3333-444444444444"


def _another_tenant_id(spoiled: Spoiled) -> None:
    # the tenant id is immutable, so that a sync never changes tenants by an edit
    spoiled.place.delete("etenant", spoiled.name)


def _without(*kinds: str) -> Callable[[Spoiled], None]:
    def leave_out(spoiled: Spoiled) -> None:
        for kind in kinds:
            del spoiled.manifests[kind]

    return leave_out


def _missing_cloud(spoiled: Spoiled) -> None:
    spoiled.cloud = f"e2e-{spoiled.name}"
    spoiled.spec("etenant")["cloudRef"] = {"name": spoiled.cloud}


def _bring_cloud(spoiled: Spoiled) -> None:
    spoiled.place.apply(setup.cloud_resource(spoiled.place.stage.authority, spoiled.cloud))


def _cloud_that_loses(version: str) -> Callable[[Spoiled], None]:
    def lose(spoiled: Spoiled) -> None:
        # admission looks at the cloud first, and would refuse a tenant of what it does not offer
        _missing_cloud(spoiled)
        _bring_cloud(spoiled)
        spoiled.spec("etenant")["transport"] = f"SyncService{version}"
        spoiled.place.apply(spoiled.manifests["etenant"])
        left = {"version": "V1" if version == "V2" else "V2", "maxGroupMembers": 50_000}
        patch = json.dumps({"spec": {"syncService": {"endpoints": [left]}}})
        spoiled.place.kubectl.run("patch", "azc", spoiled.cloud, "--type=merge", "-p", patch)

    return lose


def _sync_switched_off(spoiled: Spoiled) -> None:
    with CloudView(spoiled.place.kubectl, spoiled.tenant_id) as cloud:
        cloud.set_faults(syncOff=True)


def _switch_sync_on(spoiled: Spoiled) -> None:
    with CloudView(spoiled.place.kubectl, spoiled.tenant_id) as cloud:
        cloud.set_faults()


CASES: dict[str, Case] = {
    "wrong-password": Case(
        kind="ad",
        reason="BindRejected",
        told="`spec.bindSecretRef`",
        spoil=_wrong_password,
        ask=True,
    ),
    "unreachable": Case(
        kind="ad", reason="ServerUnreachable", told="`spec.servers`", spoil=_unreachable
    ),
    "untrusted": Case(kind="ad", reason="CertificateNotTrusted", told="`spec.ca", spoil=_untrusted),
    "wrong-base": Case(kind="ad", reason="BaseNotFound", told="`spec.baseDN`", spoil=_wrong_base),
    "wrong-container": Case(
        kind="dsync",
        reason="BaseNotFound",
        told="`spec.sources[contoso].include`",
        spoil=_wrong_container,
    ),
    "wrong-certificate": Case(
        kind="etenant",
        reason="CredentialsRejected",
        told="certificateSecretRef",
        spoil=_wrong_certificate,
        ask=True,
    ),
    "expired-certificate": Case(
        kind="etenant",
        reason="CredentialsRejected",
        told="certificateSecretRef",
        spoil=_expired_certificate,
        ask=True,
    ),
    "wrong-tenant": Case(
        kind="etenant",
        reason="TenantNotFound",
        told="`spec.tenantId`",
        spoil=_wrong_tenant,
        mend=_another_tenant_id,
    ),
    "no-application-secret": Case(
        kind="etenant",
        reason="SecretNotFound",
        told="certificateSecretRef",
        spoil=_without("application"),
    ),
    "no-reader-secret": Case(
        kind="ad", reason="SecretNotFound", told="`spec.bindSecretRef`", spoil=_without("reader")
    ),
    "no-directory": Case(
        kind="dsync",
        reason="ReferenceNotFound",
        told="`spec.sources[0].activeDirectoryRef`",
        spoil=_without("ad"),
    ),
    "no-tenant": Case(
        kind="dsync",
        reason="ReferenceNotFound",
        told="`spec.target.entraTenantRef`",
        spoil=_without("etenant"),
    ),
    "no-cloud": Case(
        kind="etenant",
        reason="ReferenceNotFound",
        told="`spec.cloudRef`",
        spoil=_missing_cloud,
        mend=_bring_cloud,
    ),
    "cloud-loses-v2": Case(
        kind="etenant",
        reason="EndpointNotOffered",
        told="does not offer SyncServiceV2 (it offers V1)",
        spoil=_cloud_that_loses("V2"),
        mend=_bring_cloud,
    ),
    "cloud-loses-v1": Case(
        kind="etenant",
        reason="EndpointNotOffered",
        told="does not offer SyncServiceV1 (it offers V2)",
        spoil=_cloud_that_loses("V1"),
        mend=_bring_cloud,
    ),
    "sync-switched-off": Case(
        kind="etenant",
        reason="SyncDisabledInTenant",
        told="`spec.tenantId`",
        spoil=_sync_switched_off,
        mend=_switch_sync_on,
        ask=True,
    ),
}


@pytest.fixture(scope="module")
def spoiled(stage: Stage) -> Iterator[dict[str, Spoiled]]:
    """Every case, applied."""
    with stage.place("bad-input") as place:
        found = {name: _make(place, name, stage.new_tenant_id()) for name in CASES}
        for name, case in CASES.items():
            case.spoil(found[name])
            found[name].apply()
        yield found
    clouds = ["e2e-no-cloud", "e2e-cloud-loses-v1", "e2e-cloud-loses-v2"]
    place.kubectl.run("delete", "azc", *clouds, "--ignore-not-found")


@pytest.mark.parametrize("name", CASES)
def test_a_person_is_told_what_to_mend(spoiled: dict[str, Spoiled], name: str) -> None:
    case, found = CASES[name], spoiled[name]

    first = found.place.until_ready(case.kind, name, status="False", reason=case.reason)
    sync = found.place.until_ready("dsync", name, status="False", reason=case.reason)

    assert case.told in first["message"]
    assert case.told in sync["message"]
    _wrote_nothing(found)


def test_a_wrong_password_is_tried_once(spoiled: dict[str, Spoiled]) -> None:
    found = spoiled["wrong-password"]
    found.place.until_ready("ad", found.name, status="False", reason="BindRejected")

    checks = [
        run
        for run in found.place.runs(trigger="Check")
        if run["spec"].get("activeDirectoryRef", {}).get("name") == found.name
    ]

    assert len(checks) == 1


@pytest.fixture(scope="module")
def mended(spoiled: dict[str, Spoiled]) -> dict[str, Spoiled]:
    """The same, once each was seen to be wrong and then put right."""
    for name, case in CASES.items():
        spoiled[name].place.until_ready("dsync", name, status="False", reason=case.reason)
    for name, case in CASES.items():
        found = spoiled[name]
        case.mend(found)
        _make(found.place, name, found.tenant_id, found.cloud).apply()
        if case.ask:
            found.place.ask(case.kind, name)
    return spoiled


@pytest.mark.parametrize("name", CASES)
def test_mending_the_cause_is_enough(mended: dict[str, Spoiled], name: str) -> None:
    found = mended[name]

    status = found.place.until_synchronized(name)

    assert status["objects"]["users"] == 48
    assert found.place.condition("dsync", name)["status"] == "True"


def _make(place: Place, name: str, tenant_id: str, cloud: str = setup.CLOUD_NAME) -> Spoiled:
    return Spoiled(
        place=place,
        name=name,
        tenant_id=tenant_id,
        cloud=cloud,
        manifests={
            "application": place.application_secret(f"{name}-app"),
            "reader": place.secret(f"{name}-reader", **READER),
            "etenant": place.tenant(name, tenantId=tenant_id, cloudRef={"name": cloud}),
            "ad": place.directory(name),
            "dsync": place.sync(name, runner={"storage": {"type": "Ephemeral"}}),
        },
    )


def _wrote_nothing(found: Spoiled) -> None:
    with CloudView(found.place.kubectl, found.tenant_id) as cloud:
        assert cloud.objects("User") == []
        assert [r for r in cloud.requests() if r["operation"].startswith("Provision")] == []
