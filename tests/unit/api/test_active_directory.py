"""Whom an ActiveDirectory is bound as: a password or a keytab."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from entrasync.api.active_directory import ActiveDirectory, ActiveDirectorySpec
from entrasync.api.crds import build_crd
from entrasync.api.snapshot import dump_snapshot, load_snapshot
from tests.support import samples

KEYTAB: dict[str, Any] = {
    "bindSecretRef": None,
    "keytabSecretRef": {"name": "key"},
    "principal": "reader@CONTOSO.TEST",
}


def test_a_keytab_has_its_default_in_code_and_none_in_the_schema() -> None:
    written = samples.directory(**KEYTAB).spec

    assert written.bind_secret_ref is None
    assert written.keytab_secret_ref is not None
    assert (written.keytab_secret_ref.name, written.keytab_secret_ref.key) == ("key", "keytab")
    spec = build_crd(ActiveDirectory)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema = spec["properties"]["spec"]["properties"]["keytabSecretRef"]
    assert "default" not in schema["properties"]["key"]


@pytest.mark.parametrize(
    "message",
    [
        "exactly one of `bindSecretRef` and `keytabSecretRef` must be specified",
        "`principal` must be specified together with `keytabSecretRef`, and only then",
    ],
)
def test_rules_of_credentials_are_told_by_the_schema(message: str) -> None:
    assert message in [rule["message"] for rule in ActiveDirectorySpec.validations]


@pytest.mark.parametrize("principal", ["reader", "@X", "a b@X", "reader@", "reader@X/Y"])
def test_a_principal_has_a_realm(principal: str) -> None:
    with pytest.raises(ValidationError):
        samples.directory(**KEYTAB | {"principal": principal})


def test_a_snapshot_keeps_the_keytab(tmp_path: Any) -> None:
    written = samples.directory(**KEYTAB)
    (tmp_path / "run.yaml").write_text(dump_snapshot([written]))

    assert load_snapshot([tmp_path]).directories["contoso"].spec == written.spec
