"""`entrasync lint` finds what the API server and a run would, and says where."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from entrasync.api import schema_rules
from entrasync.api.directory_sync import DirectorySync
from entrasync.cli.main import main
from entrasync.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
TENANT = """
apiVersion: entrasync.dev/v1alpha1
kind: EntraTenant
metadata: {name: contoso, namespace: identity}
spec:
  cloudRef: {name: azure-commercial}
  tenantId: 3f2504e0-4f89-41d3-9a0c-0305e82c3301
  application:
    clientId: 7d444840-9dc0-11d1-b245-5ffdce74fad2
    certificateSecretRef: {name: contoso-entra-app}
"""
DIRECTORY = """
apiVersion: entrasync.dev/v1alpha1
kind: ActiveDirectory
metadata: {name: contoso, namespace: identity}
spec:
  domain: contoso.test
  bindSecretRef: {name: reader}
"""
SYNC = """
apiVersion: entrasync.dev/v1alpha1
kind: DirectorySync
metadata: {name: contoso, namespace: identity}
spec:
  sources: [{name: contoso, activeDirectoryRef: {name: contoso}}]
  target: {entraTenantRef: {name: contoso}}
"""
Lint = Callable[..., tuple[int, str]]


@pytest.fixture
def lint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lint:
    def call(*documents: str) -> tuple[int, str]:
        (tmp_path / "all.yaml").write_text("---\n".join(map(textwrap.dedent, documents)))
        return main(["lint", str(tmp_path)]), capsys.readouterr().out

    return call


@pytest.mark.parametrize("folder", ["careful", "contoso", "two-forests"])
def test_the_examples_have_nothing_to_mend(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["lint", str(ROOT / "examples" / folder)])
    assert (code, " 0 errors," in capsys.readouterr().out) == (0, True)


def test_a_whole_configuration_is_clean(lint: Lint) -> None:
    code, told = lint(TENANT, DIRECTORY, SYNC)
    assert (code, told) == (0, "1 files, 3 resources of entrasync.dev: 0 errors, 0 notices\n")


def test_what_is_not_ours_is_passed_over(lint: Lint) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: reader}\n"
    assert lint(secret, TENANT)[0] == 0


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (SYNC + "  schedule: {interval: 30m, cron: '0 2 * * *'}", "choose one"),
        (
            SYNC + "  schedule: {interval: 5s}",
            "`spec.schedule.interval`: `interval` must be at least",
        ),
        (SYNC + "  schedule: {cron: '0 2 * * *', timeZone: Europe/Berln}", "no IANA time zone"),
        (
            SYNC + "  schedule: {windows: [{kind: Deny, cron: '0 * * * *', duration: 1h}]}",
            "`spec.schedule.windows`: the windows let no run start",
        ),
        (
            SYNC + "  objects: {users: {flows: [{target: manager, source: company}]}}",
            "`spec.objects.users.flows`: The target manager names objects",
        ),
        (SYNC + "  unheardOf: 1", "`spec.unheardOf`: Extra inputs are not permitted"),
        (SYNC.replace("name: contoso, n", f"name: {'a' * 41}, n"), "at most 40 characters"),
        (SYNC.replace("DirectorySync", "DirSync"), "`kind` DirSync is not known"),
        (TENANT.replace("-commercial", "-germany"), "was closed at 2021-10-29"),
        (TENANT + "    clientSecretSecretRef: {name: a, key: b}", "exactly one of"),
        (TENANT + "  transport: SyncServiceV1\n  takover: Refuse", "`spec.takover`"),
        ("apiVersion: [", "it cannot be read"),
    ],
)
def test_what_must_be_mended(lint: Lint, document: str, words: str) -> None:
    code, told = lint(document)
    assert code == 2
    (line,) = [each for each in told.splitlines() if ": error:" in each]
    assert words in line


def test_what_is_named_and_not_there_is_a_notice(lint: Lint) -> None:
    code, told = lint(SYNC)
    assert code == 0
    assert "notice: DirectorySync/contoso `spec.target`: EntraTenant contoso is not" in told
    assert "notice: DirectorySync/contoso `spec.sources[0]`: ActiveDirectory contoso" in told


def test_two_syncs_of_one_tenant(lint: Lint) -> None:
    other = SYNC.replace("name: contoso, n", "name: second, n")
    code, told = lint(TENANT, DIRECTORY, SYNC, other)
    assert code == 2
    assert "DirectorySync/second `spec.target`: DirectorySync/contoso in namespace identity" in told
    assert lint(TENANT, DIRECTORY, SYNC, other + "  mode: Preview")[0] == 0


def test_one_object_twice_in_a_file(lint: Lint) -> None:
    code, told = lint(TENANT, TENANT)
    assert (code, "it stands in" in told) == (2, True)


def test_no_file_at_all_is_a_mistake(tmp_path: Path) -> None:
    assert main(["lint", str(tmp_path)]) == 2


def test_without_the_cel_engine_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, lint: Lint, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(_kind: object, _manifest: object) -> None:
        raise ConfigurationError("ConfigurationInvalid", "install entrasync[lint]")

    monkeypatch.setattr("entrasync.cli.lint.broken_rules", missing)
    assert lint(SYNC)[0] == 2
    assert schema_rules.broken_rules(DirectorySync, {"metadata": {"name": "a"}, "spec": {}}) == []
    assert capsys.readouterr().out == ""
