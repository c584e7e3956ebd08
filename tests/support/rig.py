"""A whole sync without a cluster: resources, Secrets and state in folders, and runs over them."""

from __future__ import annotations

import copy
import datetime as dt
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from entrasync.api.common import API_VERSION
from entrasync.api.result import RunResult
from entrasync.entra.client import SyncServiceClient
from entrasync.runner.run import run
from entrasync.runner.target import connect_tenant
from tests.support.emulator import EmulatorServer
from tests.support.samba import SambaServer

Manifest = dict[str, Any]


class Clockwork:
    """A time for a run and its cloud: it passes, and jumps ahead instead of being waited for.

    Given to the emulator as its clock, and to runs with `wind`: a client that backs off for
    minutes, and a cloud whose tokens and limits go by them, agree about it at once.
    """

    def __init__(self) -> None:
        self.waits: list[float] = []
        """Seconds that were asked to be waited for."""

    def now(self) -> dt.datetime:
        """The time of the cloud."""
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=sum(self.waits))

    def sleep(self, seconds: float) -> None:
        """Lets seconds pass."""
        self.waits.append(seconds)

    def wind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lets runs of this process wait by this clock for their tenant."""

        def connect(*arguments: Any, **options: Any) -> AbstractContextManager[SyncServiceClient]:
            return connect_tenant(*arguments, **options | {"sleep": self.sleep})

        monkeypatch.setattr("entrasync.runner.run.connect_tenant", connect)


class Calendar:
    """The day for the runs of this process: `ahead` of the real one.

    Only for the engine; tokens and certificates go by the real time.

    Args:
        monkeypatch: for one test.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = dt.timedelta()
        times = SimpleNamespace(now=lambda zone: dt.datetime.now(zone) + self.ahead)
        module = SimpleNamespace(datetime=times, UTC=dt.UTC, timedelta=dt.timedelta)
        monkeypatch.setattr("entrasync.runner.run.dt", module)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a rig was made of at one time."""

    resources: tuple[Manifest, Manifest, Manifest, Manifest]
    files: dict[Path, str]


class Rig:
    """A directory and a tenant, and the files that tie them.

    Args:
        folder: an empty folder.
        directory: the Active Directory.
        cloud: the emulated Azure cloud.
    """

    def __init__(self, folder: Path, directory: SambaServer, cloud: EmulatorServer) -> None:
        self.config = folder / "config"
        self.secrets = folder / "secrets"
        self.state = folder / "state"
        self.message = folder / "termination-log"
        self.config.mkdir()
        self.cloud = cloud
        self.directory = directory
        self.azure = cloud.cloud_manifest()
        self.tenant = _manifest(
            "EntraTenant",
            cloudRef={"name": self.azure["metadata"]["name"]},
            tenantId=cloud.tenant_id,
            application={
                "clientId": cloud.client_id,
                "certificateSecretRef": {"name": "entra-app"},
            },
        )
        self.active_directory = _manifest(
            "ActiveDirectory",
            servers=[directory.url],
            bindSecretRef={"name": "reader"},
            caBundle=directory.ca_pem,
        )
        self.source: Manifest = {
            "name": "contoso",
            "activeDirectoryRef": {"name": "contoso"},
            "include": [f"OU=Contoso,{directory.base_dn}"],
        }
        self.sync = _manifest(
            "DirectorySync",
            sources=[self.source],
            target={"entraTenantRef": {"name": "contoso"}},
        )
        self.remembered: Manifest = {}
        """What the status of the tenant would keep of earlier runs."""
        self.further: list[Manifest] = []
        """Other resources, such as a SyncRun."""
        self.put_secret(
            "entra-app",
            **{"tls.crt": cloud.certificate.certificate, "tls.key": cloud.certificate.key},
        )
        self.put_secret("reader", username=directory.bind_user, password=directory.bind_password)

    def put_secret(self, name: str, **content: str) -> None:
        """Writes a Secret as a kubelet mounts it."""
        folder = self.secrets / name
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in content.items():
            (folder / key).write_text(value)

    def write(self) -> None:
        """Writes the resources as they are now."""
        tenant = self.tenant
        if self.remembered:
            tenant = tenant | {"status": self.remembered}
        documents = [self.azure, tenant, self.active_directory, self.sync, *self.further]
        (self.config / "run.yaml").write_text(yaml.safe_dump_all(documents))

    def snapshot(self) -> Snapshot:
        """Resources, Secrets and switches as they are now, to be restored."""
        resources = (self.azure, self.tenant, self.active_directory, self.sync)
        files = {p: p.read_text() for p in self.secrets.glob("*/*")}
        return Snapshot(resources=copy.deepcopy(resources), files=files)

    def restore(self, before: Snapshot) -> None:
        """Mends everything a test broke."""
        self.azure, self.tenant, self.active_directory, self.sync = before.resources
        self.source = self.sync["spec"]["sources"][0]
        for path, text in before.files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.cloud.set_faults()

    def run(self, *, code: int = 0, in_job: bool = False, **options: Any) -> RunResult:
        """Makes a run in this process, expects its exit code and gives its result."""
        told, result = self._run(in_job=in_job, **options)
        assert told == code, f"exit code {told}: {result.reason} {result.message}"
        return result

    def run_anyhow(self, **options: Any) -> RunResult:
        """Makes a run in this process, however it ends."""
        return self._run(in_job=False, **options)[1]

    def _run(self, *, in_job: bool, **options: Any) -> tuple[int, RunResult]:
        self.write()
        self.message.unlink(missing_ok=True)
        told = run(
            [self.config],
            secrets=self.secrets,
            state=self.state,
            in_job=in_job,
            termination_log=self.message,
            **options,
        )
        result = RunResult.from_message(self.message.read_text())
        assert result is not None
        if result.last_export is not None:
            self.remembered["lastExport"] = result.last_export.model_dump(by_alias=True)
        return told, result

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a run as a process of its own, to be killed or told to end."""
        self.write()
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "entrasync",
                "run",
                "--config",
                str(self.config),
                "--secrets",
                str(self.secrets),
                "--state",
                str(self.state),
                "--termination-log",
                str(self.message),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )

    def anchors(self, object_type: str) -> set[str]:
        """SourceAnchors of the tenant's live objects of a type."""
        return {each["sourceAnchor"] for each in self.cloud.objects(object_type)}

    def group(self, name: str) -> str:
        """SourceAnchor of the group of this display name or account."""
        keys = ("displayName", "onPremisesSamAccountName")
        (found,) = [
            each["sourceAnchor"]
            for each in self.cloud.objects("Group")
            if name in [each["attributes"].get(key) for key in keys]
        ]
        return str(found)

    def writes(self) -> int:
        """Requests so far that change the tenant."""
        return len(self.cloud.requests("ProvisionAzureADSyncObjects2"))


def _manifest(kind: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": "contoso", "namespace": "identity"},
        "spec": spec,
    }
