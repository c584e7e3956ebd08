"""Snapshots: what goes in comes out, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.common import Resource
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.api.snapshot import SNAPSHOT_FILE, ca_certificates, dump_snapshot, load_snapshot
from entrasync.api.sync_run import RunMode
from entrasync.errors import ConfigurationError
from tests.support import samples

TENANT = {
    "metadata": {"name": "contoso"},
    "spec": {
        "cloudRef": {"name": "azure-commercial"},
        "tenantId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "application": {
            "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "certificateSecretRef": {"name": "app"},
        },
    },
}
DIRECTORY = {
    "metadata": {"name": "contoso"},
    "spec": {
        "servers": ["ldaps://dc1.contoso.test"],
        "baseDN": "DC=contoso,DC=test",
        "bindSecretRef": {"name": "reader"},
        "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
    },
}
SYNC = {
    "metadata": {"name": "contoso", "namespace": "identity"},
    "spec": {
        "sources": [{"name": "contoso", "activeDirectoryRef": {"name": "contoso"}}],
        "target": {"entraTenantRef": {"name": "contoso"}},
    },
}


def resources() -> list[Resource]:
    return [
        EntraTenant.model_validate(TENANT),
        ActiveDirectory.model_validate(DIRECTORY),
        DirectorySync.model_validate(SYNC),
    ]


def test_a_snapshot_survives_being_written_and_read(tmp_path: Path) -> None:
    (tmp_path / SNAPSHOT_FILE).write_text(dump_snapshot(resources()))
    found = load_snapshot([tmp_path])
    assert found.sync is not None
    assert found.tenant is not None
    assert found.cloud is not None
    assert found.sync.spec == DirectorySync.model_validate(SYNC).spec
    assert found.tenant.spec == EntraTenant.model_validate(TENANT).spec
    assert found.directories["contoso"].spec == ActiveDirectory.model_validate(DIRECTORY).spec
    assert found.cloud.metadata.name == "azure-commercial"


def test_every_shipped_cloud_survives_too(tmp_path: Path) -> None:
    (tmp_path / SNAPSHOT_FILE).write_text(dump_snapshot(list(shipped_clouds())))
    load_snapshot([tmp_path])


@pytest.mark.parametrize("missing", [EntraTenant, ActiveDirectory])
def test_a_missing_reference_names_owner_and_field(missing: type, tmp_path: Path) -> None:
    kept = [resource for resource in resources() if not isinstance(resource, missing)]
    (tmp_path / SNAPSHOT_FILE).write_text(dump_snapshot(kept))
    with pytest.raises(ConfigurationError) as caught:
        load_snapshot([tmp_path])
    assert caught.value.reason == "ReferenceNotFound"
    assert caught.value.resource == "DirectorySync/contoso"
    assert caught.value.field.startswith("spec.")


def test_a_field_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    text = dump_snapshot(resources()).replace("baseDN:", "baseDn:")
    (tmp_path / SNAPSHOT_FILE).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_snapshot([tmp_path])
    assert "baseDn" in caught.value.field


def test_ca_comes_from_a_mounted_config_map_or_is_missed_by_name(tmp_path: Path) -> None:
    (tmp_path / SNAPSHOT_FILE).write_text(dump_snapshot(resources()))
    found = load_snapshot([tmp_path])
    with pytest.raises(ConfigurationError, match="caProvider"):
        ca_certificates(found.directories["contoso"], found, tmp_path)
    mounted = tmp_path / "configmaps" / "ca" / "ca.crt"
    mounted.parent.mkdir(parents=True)
    mounted.write_text("PEM")
    found = load_snapshot([tmp_path])
    assert ca_certificates(found.directories["contoso"], found, tmp_path) == "PEM"


def test_a_report_needs_nothing_but_its_sync(tmp_path: Path) -> None:
    report = samples.run(spec={"mode": "Report", "report": {"run": "contoso-1"}})
    (tmp_path / SNAPSHOT_FILE).write_text(dump_snapshot([samples.sync(), report]))

    found = load_snapshot([tmp_path])

    assert found.sync is not None
    assert found.run is not None
    assert (found.tenant, found.cloud, found.directories) == (None, None, {})


def test_what_is_asked_for_counts_and_not_the_mode_in_the_files(tmp_path: Path) -> None:
    report = samples.run(spec={"mode": "Report", "report": {"run": "contoso-1"}})
    (tmp_path / SNAPSHOT_FILE).write_text(dump_snapshot([samples.sync(), report]))

    with pytest.raises(ConfigurationError, match="does not exist"):
        load_snapshot([tmp_path], RunMode.APPLY)
