"""Configuration, data file and what is printed."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrasync.api.azure_cloud import AzureCloud, EndpointVersion
from entrasync.api.entra_tenant import EntraTenant
from entrasync.emulator.app import EmulatorApp, split_listen
from entrasync.emulator.config import EmulatorConfig, load_config
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.preparation import Prepared, describe, prepare, public_url
from entrasync.emulator.server import server_context
from entrasync.emulator.switches import Switches
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.errors import ConfigurationError

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CLIENT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"


def write(folder: Path, text: str) -> Path:
    file = folder / "emulator.yaml"
    file.write_text(text)
    return file


def config(**tenant: Any) -> EmulatorConfig:
    members = {"tenantId": TENANT, "applications": [{"clientId": CLIENT, "clientSecret": "s"}]}
    return EmulatorConfig.model_validate({"tenants": [members | tenant]})


def printed(prepared: Prepared) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(describe(prepared, 8443)))


def test_a_file_is_read_with_defaults(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        f"""
        tls: {{hostnames: [azure.test]}}
        faults: {{maxGroupMembers: {{V2: 10}}, busyEvery: 3}}
        tenants:
          - tenantId: {TENANT}
            verifiedDomains: [contoso.test]
            seed: {{users: 600}}
            applications: [{{clientId: {CLIENT}, clientSecret: demo}}]
        """,
    )

    loaded = load_config(file)

    assert loaded.faults.group_limit(EndpointVersion.V2) == 10
    assert loaded.faults.group_limit(EndpointVersion.V1) == 50_000
    assert loaded.tenants[0].seed.users == 600
    assert public_url(loaded, 443) == "https://azure.test"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("tenants: []", "tenants"),
        ("{tenants: [{tenantId: x}]}", "tenants.0.tenantId"),
        ("- 1", ""),
        ("{a: [", ""),
    ],
)
def test_a_bad_file_is_named_with_its_field(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(write(tmp_path, text))

    assert caught.value.field == field
    assert "emulator.yaml" in caught.value.message


def test_secrets_of_a_bad_file_stay_in_it(tmp_path: Path) -> None:
    text = f"{{tenants: [{{tenantId: {TENANT}, applications: [{{clientSecret: hidden-value}}]}}]}}"
    with pytest.raises(ConfigurationError) as caught:
        load_config(write(tmp_path, text))

    assert "hidden-value" not in str(caught.value)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        load_config(tmp_path / "none.yaml")


def test_what_is_printed_fits_the_api() -> None:
    with DataFile(None) as data:
        cloud, tenant, secret = printed(prepare(None, data, (), NOW))

    spec = AzureCloud.model_validate(cloud).spec
    application = EntraTenant.model_validate(tenant).spec.application
    assert spec.environment == "Custom"
    assert spec.ca_bundle is not None
    assert [each.max_group_members for each in spec.sync_service.endpoints] == [250_000, 50_000]
    assert application.certificate_secret_ref is not None
    assert application.certificate_secret_ref.name == secret["metadata"]["name"]
    assert secret["type"] == "kubernetes.io/tls"
    assert "PRIVATE KEY" in secret["stringData"]["tls.key"]


def test_a_client_secret_is_printed_as_its_secret() -> None:
    with DataFile(None) as data:
        _, tenant, secret = printed(prepare(config(), data, (), NOW))

    reference = EntraTenant.model_validate(tenant).spec.application.client_secret_secret_ref
    assert reference is not None
    assert secret["stringData"] == {reference.key: "s"}


def test_a_restart_with_a_data_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "data.sqlite"
    with DataFile(file) as data:
        first = describe(prepare(None, data, (), NOW), 1)
    with DataFile(file) as data:
        second = describe(prepare(None, data, (), NOW), 1)

    assert first == second
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_objects_and_links_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "data.sqlite"
    start = config(objects=[{"type": "User", "sourceAnchor": "a"}], verifiedDomains=["x.test"])
    values: dict[str, PropertyValue] = {
        "userPrincipalName": "ann@x.test",
        "binary": b"\x00\x01",
        "list": ("1", "2"),
    }
    with DataFile(file) as data:
        store = EmulatorApp(start, data).tenants[TENANT].store
        for change in (
            SyncObject(
                object_type=SyncObjectType.USER,
                operation=SyncOperation.SET,
                source_anchor="a",
                properties=values,
            ),
            SyncObject(
                object_type=SyncObjectType.GROUP,
                operation=SyncOperation.SET,
                source_anchor="g",
                links=(LinkChange(anchor="a", add=True),),
            ),
        ):
            assert store.apply(change, max_members=1).success
        version = store.version
        data.write(TENANT, store.writes())
    with DataFile(file) as data:
        again = EmulatorApp(start, data).tenants[TENANT].store

    user, group = again.find("a"), again.find("g")
    assert user is not None
    assert group is not None
    assert dict(user.attributes.items()) == values
    assert user.user_principal_name == "ann@x.test"
    assert list(again.members(group)) == [user]
    assert again.version == version


def test_somebody_elses_objects_are_there_before() -> None:
    start = config(seed={"users": 600}, objects=[{"type": "Group", "attributes": {"mail": "m"}}])
    with DataFile(None) as data:
        store = EmulatorApp(start, data).tenants[TENANT].store

    users = list(store.objects(SyncObjectType.USER))
    assert len({each.source_anchor for each in users}) == 600
    assert all(each.source_anchor for each in users)
    (group,) = store.objects(SyncObjectType.GROUP)
    assert group.source_anchor == ""


def test_an_object_the_tenant_refuses_is_a_configuration_error() -> None:
    start = config(objects=[{"type": "Group", "sourceAnchor": "g", "members": ["nobody"]}])
    with DataFile(None) as data, pytest.raises(ConfigurationError, match="ReferenceNotFound"):
        EmulatorApp(start, data)


def test_a_data_file_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("this is no database, and long enough to be seen as none" * 10)
    with pytest.raises(ConfigurationError):
        DataFile(file)


def test_given_certificates_are_used(tmp_path: Path) -> None:
    with DataFile(None) as data:
        made = prepare(config(), data, (), NOW).tls
    (tmp_path / "tls.crt").write_text(made.server.certificate)
    (tmp_path / "tls.key").write_text(made.server.key)
    (tmp_path / "ca.crt").write_text(made.ca)
    files = {"certFile": "tls.crt", "keyFile": "tls.key", "caFile": "ca.crt"}
    tls = {name: str(tmp_path / file) for name, file in files.items()}
    given = EmulatorConfig.model_validate(config().model_dump(by_alias=True) | {"tls": tls})

    with DataFile(None) as data:
        assert prepare(given, data, (), NOW).tls == made
    assert server_context(made.server).minimum_version.name == "TLSv1_2"


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ValueError, match="`certFile` and `keyFile`"):
        EmulatorConfig.model_validate(
            config().model_dump(by_alias=True) | {"tls": {"certFile": "/x"}}
        )


def test_switches_go_back_to_what_was_configured() -> None:
    with DataFile(None) as data:
        tenant = EmulatorApp(config(faults={"busyEvery": 7}), data).tenants[TENANT]
    tenant.switch({"redirects": 2}, 0)
    assert (tenant.switches.busy_every, tenant.misbehaviour.redirects_left) == (7, 2)

    tenant.switch({}, 0)
    assert tenant.switches == Switches(busy_every=7)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:8443", ("127.0.0.1", 8443)),
        (":8443", ("0.0.0.0", 8443)),  # noqa: S104  - what the short form means
        ("[::1]:0", ("::1", 0)),
    ],
)
def test_listen_is_host_and_port(listen: str, expected: tuple[str, int]) -> None:
    assert split_listen(listen) == expected


@pytest.mark.parametrize("listen", ["8443", "localhost", "localhost:x", "localhost:99999"])
def test_listen_that_is_neither_is_refused(listen: str) -> None:
    with pytest.raises(ConfigurationError):
        split_listen(listen)
