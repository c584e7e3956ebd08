"""An installation from its first day to its last: an earlier release, clusters that come and go.

What pages of the documentation tell people to do is done by the commands that stand there.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev import cluster, images
from dev.demo import setup
from dev.demo.cloud_view import CloudView
from dev.demo.kubectl import Kubectl, KubectlError
from dev.demo.waiting import wait_for
from entrasync.api.common import GROUP
from entrasync.emulator.certificates import Authority
from tests.support.documentation import ROOT

NAMESPACE = setup.SYNC_NAMESPACE
OPERATOR_NAMESPACE = setup.OPERATOR_NAMESPACE
NAME = "contoso"
EARLIER = images.EARLIER_VERSION
EARLIER_CHART = images.RELEASES / EARLIER / f"entrasync-{EARLIER}.tgz"
EXPORT = "ProvisionAzureADSyncObjects2"
DEMO_CLOUD = f"{setup.CLOUD_NAMESPACE}/azure"
CHART_CLOUD = f"{OPERATOR_NAMESPACE}/entrasync-emulator"
ENDED = {"Succeeded", "Blocked", "Failed", "Cancelled"}
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_DATA = "/var/lib/emulator/tenants.db"
_TAKE = f"""
import base64, sqlite3
with sqlite3.connect("{_DATA}") as held, sqlite3.connect("/tmp/copy.db") as copy:
    held.backup(copy)
print(base64.b64encode(open("/tmp/copy.db", "rb").read()).decode())
"""
_PUT = f"""
import base64, os, pathlib, signal, sys
new = pathlib.Path("{_DATA}.new")
new.write_bytes(base64.b64decode(sys.stdin.read()))
for left in ("-wal", "-shm"):
    pathlib.Path("{_DATA}" + left).unlink(missing_ok=True)
new.rename("{_DATA}")
os.kill(1, signal.SIGTERM)
"""
"""The container starts anew, on what lies there now."""


def commands(page: str, heading: str, number: int = 0) -> str:
    """A block of commands of a page of the documentation, by the heading above it."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found: list[str] = _BLOCK.findall(section)
    return found[number]


class Story:
    """One installation in clusters that follow each other.

    Args:
        folder: where a person keeps files: the charts, a repository, backups.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "helm").symlink_to(ROOT / "helm")
        (folder / "examples").symlink_to(ROOT / "examples")
        self._authority = Authority("entrasync story CA", dt.datetime.now(dt.UTC))
        self._changes: list[tuple[str, ...]] = []
        self._cloud = DEMO_CLOUD
        self.kubectl: Kubectl

    # --- clusters and what stands beside the operator -----------------------------------------

    def begin_cluster(self) -> None:
        """A new cluster: nothing of another one is in it but images."""
        cluster.down()
        self.kubectl = setup.start_cluster()

    def begin_directory(self) -> None:
        """The company's directory as it is: in a new cluster what changed is done once more.

        Its people keep their GUIDs: it comes from the same image.
        """
        setup.start_directory(self.kubectl, self._authority, "dc1", "small", outlives_pod=True)
        setup.wait_ready(self.kubectl, setup.DIRECTORY_NAMESPACE, "dc1")
        for change in self._changes:
            self._change(*change)

    def begin_cloud(self) -> None:
        """The emulated Azure cloud, and what trusts it and the directory."""
        home = ROOT / "examples" / NAME / "00-namespace.yaml"
        self.kubectl.run("apply", "-f", str(home))
        self.kubectl.apply(
            setup.trust(self._authority, NAMESPACE), setup.cloud_resource(self._authority)
        )
        setup.start_cloud(self.kubectl, self._authority, [setup.DEMO_TENANT], outlives_pod=True)
        setup.wait_ready(self.kubectl, setup.CLOUD_NAMESPACE, "azure")

    def install_earlier(self) -> None:
        """The release before this one, with its own operator."""
        images.load(images.EARLIER_IMAGE)
        setup.install_operator(self.kubectl, f"image.tag={EARLIER}", chart=EARLIER_CHART)

    def install_with_cloud(self) -> None:
        """This release, which brings the emulated cloud as well."""
        name = f"emulator.cloudName={setup.CLOUD_NAME}"
        setup.install_operator(self.kubectl, "emulator.enabled=true", name)
        self._cloud = CHART_CLOUD

    def take_cloud(self) -> str:
        """What the cloud holds: it outlives every cluster of ours."""
        return self._in_cloud(_TAKE).strip()

    def put_cloud(self, held: str) -> None:
        """Makes the cloud of this cluster the one that outlived the other."""
        namespace, _, name = self._cloud.partition("/")
        self._in_cloud(_PUT, stdin=held)
        self.until(
            "the cloud to start anew",
            lambda: self._restarts(namespace, name) and self._is_available(namespace, name),
        )

    def _in_cloud(self, script: str, stdin: str | None = None) -> str:
        namespace, _, name = self._cloud.partition("/")
        python = "/opt/entrasync/bin/python"
        return self.kubectl.run(
            *("exec", "-i", "-n", namespace, f"deploy/{name}", "--", python, "-c", script),
            stdin=stdin,
        )

    def _restarts(self, namespace: str, name: str) -> int:
        label = "app.kubernetes.io/component=emulator"
        pods = self.kubectl.get("pods", "-n", namespace, "-l", label)["items"]
        assert pods, f"no pod of {name}"
        return int(pods[0]["status"]["containerStatuses"][0]["restartCount"])

    def _is_available(self, namespace: str, name: str) -> bool:
        status = self.kubectl.get("deployment", name, "-n", namespace).get("status", {})
        return int(status.get("availableReplicas", 0)) > 0

    def rejoin(self) -> None:
        """Brings the node back after it was deleted, and waits for what runs on it."""
        subprocess.run([sys.executable, "-m", "dev.cluster", "rejoin"], check=True, cwd=ROOT)
        for namespace, name in (
            (OPERATOR_NAMESPACE, "entrasync"),
            (setup.DIRECTORY_NAMESPACE, "dc1"),
            (setup.CLOUD_NAMESPACE, "azure"),
        ):
            setup.wait_ready(self.kubectl, namespace, name)

    # --- doing --------------------------------------------------------------------------------

    def shell(self, script: str, folder: Path | None = None) -> str:
        """Runs commands as somebody would copy them; gives what they print."""
        environment = os.environ | {
            "KUBECONFIG": str(self.kubectl.kubeconfig),
            "PATH": f"{self.kubectl.program.parent}:{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def change_directory(self, *arguments: str) -> dict[str, Any]:
        """Changes the directory while it is served, see dev/ad/change.py."""
        self._changes.append(arguments)
        return self._change(*arguments)

    def _change(self, *arguments: str) -> dict[str, Any]:
        place = ["-n", setup.DIRECTORY_NAMESPACE, "deploy/dc1"]
        told = self.kubectl.run("exec", *place, "--", "change-directory", *arguments)
        found: dict[str, Any] = json.loads(told.strip().splitlines()[-1])
        return found

    def slow_exports(self, seconds: float) -> None:
        """Lets the service do at once what is exported, and tell so after a while."""
        with self.cloud() as cloud:
            cloud.set_faults(delaySeconds=seconds, operations=[EXPORT])

    def quick_exports(self) -> None:
        """Lets the service do what it can."""
        with self.cloud() as cloud:
            cloud.set_faults()

    # --- seeing -------------------------------------------------------------------------------

    def cloud(self) -> CloudView:
        """The tenant; a context manager."""
        return CloudView(self.kubectl, service=self._cloud)

    def exports(self) -> int:
        """Requests by which something was written to the tenant, in this cluster."""
        with self.cloud() as cloud:
            return sum(each["operation"] == EXPORT for each in cloud.requests())

    def holdings(self) -> dict[str, Any]:
        """Everything the tenant holds: objects by anchor, members by group."""
        with self.cloud() as cloud:
            objects = {
                each["sourceAnchor"]: each["attributes"]
                for kind in ("User", "Group", "Contact")
                for each in cloud.objects(kind)
            }
            groups = [each["sourceAnchor"] for each in cloud.objects("Group")]
            return objects | {f"members {group}": sorted(cloud.links(group)) for group in groups}

    def pods(self) -> set[str]:
        """Ids of all pods of the cluster."""
        items = self.kubectl.get("pods", "--all-namespaces")["items"]
        return {each["metadata"]["uid"] for each in items}

    def sync(self) -> dict[str, Any]:
        """The DirectorySync."""
        return self.kubectl.get("dsync", NAME, "-n", NAMESPACE)

    def condition(self, wanted: str) -> dict[str, Any]:
        """A condition of it; empty when it is not there."""
        conditions = self.sync().get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == wanted), {})

    def runs(self) -> list[dict[str, Any]]:
        """Runs of the sync that have ended, the oldest first."""
        found = [
            run
            for run in self.kubectl.get("syncruns", "-n", NAMESPACE)["items"]
            if run["spec"].get("directorySyncRef", {}).get("name") == NAME
            and run.get("status", {}).get("phase") in ENDED
        ]
        return sorted(found, key=lambda run: (run["status"]["startTime"], run["metadata"]["name"]))

    def until(self, what: str, probe: Callable[[], Any], seconds: float = 180) -> Any:
        """Waits until something is true."""
        return wait_for(
            what,
            probe,
            usually="seconds",
            seconds=seconds,
            hint=f"Look at `kubectl -n {NAMESPACE} get dsync,etenant,ad,srun,pods`.",
            state=self._readiness,
        )

    def _readiness(self) -> str:
        try:
            found = self.condition("Ready")
        except KubectlError:
            return ""  # the sync is not there
        return " ".join(str(found.get(key, "")) for key in ("status", "reason", "message"))

    def everything_of(self, selector: str) -> set[str]:
        """`kind namespace/name` of all objects in the cluster with a label."""
        kinds = self.kubectl.run("api-resources", "--verbs=list", "-o", "name").split()
        found: set[str] = set()
        for kind in kinds:
            listed = self.kubectl.get(kind, "--all-namespaces", "-l", selector)
            for each in listed["items"]:
                metadata = each["metadata"]
                found.add(f"{kind} {metadata.get('namespace', '')}/{metadata['name']}")
        return found

    def definitions(self) -> list[str]:
        """Resource definitions and admission policies of ours."""
        kinds = (
            "crd,validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,"
            "clusterrolebindings"
        )
        listed = self.kubectl.run("get", kinds, "-o", "name").split()
        return sorted(each for each in listed if GROUP in each or "entrasync" in each)
