"""The chart's emulated cloud: configured as the emulator reads it, trusted by its AzureCloud."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from entrasync.controller.brought_clouds import read_clouds
from entrasync.emulator.certificates import KeyPair
from entrasync.emulator.config import EmulatorConfig, load_config
from entrasync.emulator.manifests import cloud_manifest
from entrasync.emulator.preparation import public_url
from entrasync.emulator.server import server_context
from tests.support.chart import render

VALUES = Path(__file__).parent / "values"
HOST = "entrasync-emulator.ns.svc"
MADE = "emulator"
GIVEN = "emulator-own-certificate"
OBJECTS = {
    name: render("--set=crds.install=false", f"--values={VALUES / name}.yaml")
    for name in (MADE, GIVEN)
}


def one(file: str, kind: str, name: str = "entrasync-emulator") -> dict[str, Any]:
    (found,) = [
        each for each in OBJECTS[file] if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def secret(file: str) -> dict[str, str]:
    found: dict[str, str] = one(file, "Secret")["stringData"]
    return found


def config(file: str, folder: Path) -> EmulatorConfig:
    written = folder / "config.yaml"
    written.write_text(secret(file)["config.yaml"])
    return load_config(written)


def volumes(file: str, kind: str = "entrasync-emulator") -> dict[str, dict[str, Any]]:
    pod = one(file, "Deployment", kind)["spec"]["template"]["spec"]
    return {each["name"]: each for each in pod["volumes"]}


def test_it_is_left_out_by_default() -> None:
    names = {each["metadata"]["name"] for each in render("--set=crds.install=false")}
    assert not [name for name in names if "emulator" in name or "clouds" in name]


@pytest.mark.parametrize("file", [MADE, GIVEN])
def test_the_cloud_is_the_one_the_emulator_would_print(file: str, tmp_path: Path) -> None:
    (tmp_path / "emulator.yaml").write_text(
        one(file, "ConfigMap", "entrasync-clouds")["data"]["emulator.yaml"]
    )
    (cloud,) = read_clouds(tmp_path)
    served = config(file, tmp_path)
    ca = cloud.spec.ca_bundle or ""
    assert ca.startswith("-----BEGIN CERTIFICATE-----")
    assert cloud.to_manifest() == cloud_manifest(served, served, public_url(served, 443), ca)


@pytest.mark.parametrize("file", [MADE, GIVEN])
def test_everything_it_reads_is_mounted(file: str, tmp_path: Path) -> None:
    (container,) = one(file, "Deployment")["spec"]["template"]["spec"]["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    options = dict(each.partition("=")[::2] for each in container["args"])
    files = {
        f"{mounts[name]}/{item['path']}"
        for name, volume in volumes(file).items()
        for item in volume.get("secret", {}).get("items", ())
    }
    tls = config(file, tmp_path).tls
    wanted = {options["--config"], *map(str, filter(None, (tls.cert_file, tls.key_file)))}
    assert wanted | ({str(tls.ca_file)} if tls.ca_file else set()) == files
    assert options["--data"].startswith(mounts["data"])
    assert options["--listen"].endswith(":8443")
    (port,) = container["ports"]
    assert port == {"name": "https", "containerPort": 8443}


def test_its_certificate_is_for_its_service_and_signed_by_the_ca() -> None:
    made = secret(MADE)
    certificate = x509.load_pem_x509_certificate(made["tls.crt"].encode())
    ca = x509.load_pem_x509_certificate(made["ca.crt"].encode())
    certificate.verify_directly_issued_by(ca)
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    assert isinstance(names.value, x509.SubjectAlternativeName)
    assert {HOST, "localhost"} <= set(names.value.get_values_for_type(x509.DNSName))
    context = server_context(KeyPair(certificate=made["tls.crt"], key=made["tls.key"]))
    assert context.protocol is ssl.PROTOCOL_TLS_SERVER


def test_all_parts_see_the_same_certificate() -> None:
    text = one(MADE, "ConfigMap", "entrasync-clouds")["data"]["emulator.yaml"]
    for line in secret(MADE)["ca.crt"].splitlines():
        assert line in text


def test_a_certificate_of_ones_own_is_used_as_it_is() -> None:
    assert set(secret(GIVEN)) == {"config.yaml"}
    assert volumes(GIVEN)["tls"]["secret"]["secretName"] == "azure-tls"


def test_the_operator_reads_the_cloud_and_starts_anew_when_it_changes() -> None:
    operator = one(MADE, "Deployment", "entrasync")["spec"]["template"]
    (container,) = operator["spec"]["containers"]
    (folder,) = [each["value"] for each in container["env"] if each["name"] == "ENTRASYNC_CLOUDS"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "clouds"]
    assert mount == {"name": "clouds", "mountPath": folder, "readOnly": True}
    assert volumes(MADE, "entrasync")["clouds"]["configMap"]["name"] == "entrasync-clouds"
    assert operator["metadata"]["annotations"].keys() == {"a", "checksum/clouds"}


def test_it_has_no_rights_and_asks_nobody() -> None:
    pod = one(MADE, "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    policy = one(MADE, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    assert policy["ingress"] == [{"ports": [{"port": "https", "protocol": "TCP"}]}]


def test_syncs_reach_it_past_the_proxy() -> None:
    (container,) = one(MADE, "Deployment", "entrasync")["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["ENTRASYNC_RUNNER_NO_PROXY"] == HOST
