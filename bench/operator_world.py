"""Many copies of one sync that has really run, for the benchmark of the operator.

One sync lives on the control plane until it has all that a sync of some age has: a tenant and a
directory that were checked, runs that ended, each with its Job, pod and snapshot. Everything it
left is then copied under other names, so that nothing here knows how the operator's objects look.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.support.control_plane import ControlPlane, eventually, namespaced
from tests.support.kube import Kube, Manifest
from tests.support.kubelet import Kubelet

PER_NAMESPACE = 10
RUNS = 4
"""Of the sync; with the checks of its tenant and its directory there are six."""
INTERVAL = dt.timedelta(minutes=30)
PROTOTYPE = "prototype"
WORKERS = 8

_KINDS = ("EntraTenant", "ActiveDirectory", "DirectorySync", "SyncRun", "Job", "Pod")
_BESIDE = ("ConfigMap", "PersistentVolumeClaim")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_SERVER_SET = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
)


def tenant(name: str, namespace: str, number: int) -> Manifest:
    """A tenant of its own for each sync: one tenant has one owner."""
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "EntraTenant",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "cloudRef": {"name": "azure-commercial"},
            "tenantId": f"00000000-0000-4000-8000-{number:012x}",
            "application": {
                "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
                "certificateSecretRef": {"name": "entra-app"},
            },
        },
    }


def directory(name: str, namespace: str) -> Manifest:
    """A directory; nobody ever asks it."""
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "ActiveDirectory",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "servers": ["ldaps://dc1.contoso.test"],
            "baseDN": "DC=contoso,DC=test",
            "bindSecretRef": {"name": "ad-reader"},
            "caProvider": {"type": "ConfigMap", "name": "ad-ca"},
        },
    }


def sync(name: str, namespace: str) -> Manifest:
    """A sync every half hour that keeps as many runs as there are."""
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "DirectorySync",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "sources": [{"name": "ad", "activeDirectoryRef": {"name": name}}],
            "target": {"entraTenantRef": {"name": name}},
            "schedule": {"interval": "30m"},
            "successfulRunsHistoryLimit": RUNS,
        },
    }


@dataclass(slots=True, frozen=True, kw_only=True)
class Template:
    """What one sync left, owners first.

    Attributes:
        objects: everything.
    """

    objects: tuple[Manifest, ...]


def live_one(plane: ControlPlane) -> Template:
    """Lets one sync live until it has all its runs, and takes what it left; an operator runs."""
    kube, name = plane.kube, PROTOTYPE
    plane.namespace(name)
    kube.apply(tenant(name, name, 0), directory(name, name), sync(name, name))
    with Kubelet(kube, namespace=name):
        for count in range(1, RUNS + 1):
            if count > 1:
                asked = {"metadata": {"annotations": {_REQUEST: str(count)}}}
                kube.patch("DirectorySync", name, name, asked)
            eventually(
                lambda count=count: len(_ended_runs(kube)) >= count,  # type: ignore[misc]  # bound at once
                f"run {count} of the template does not end",
                seconds=120,
            )
    return Template(
        objects=tuple(
            each
            for kind in (*_KINDS, *_BESIDE)
            for each in kube.list(kind, name)
            if each["metadata"]["name"] != "kube-root-ca.crt"
        ),
    )


def remove_template(plane: ControlPlane) -> None:
    """Takes the template away, so that it does not count."""
    plane.kube.delete("Namespace", PROTOTYPE)


def place_of(number: int) -> tuple[str, str]:
    """Namespace and name of a copy."""
    return f"team-{number // PER_NAMESPACE:03}", f"sync-{number:04}"


def populate(plane: ControlPlane, template: Template, numbers: range) -> None:
    """Makes copies, their last runs spread evenly over one interval before now."""
    kube = plane.kube
    for namespace in dict.fromkeys(place_of(number)[0] for number in numbers):
        kube.apply(namespaced(namespace))
    for namespace in dict.fromkeys(place_of(number)[0] for number in numbers):
        plane.namespace(namespace)
    with ThreadPoolExecutor(WORKERS) as threads:
        for _ in threads.map(lambda number: _copy(kube, template, number), numbers):
            pass


def spread(plane: ControlPlane, size: int, lead: dt.timedelta) -> None:
    """Moves the last runs so that the next ones are due evenly over an interval from now on.

    Args:
        plane: where; no operator runs.
        size: how many copies there are.
        lead: time until the first is due.
    """
    first = dt.datetime.now(dt.UTC) + lead - INTERVAL
    step = (INTERVAL - lead) / size

    def move(number: int) -> None:
        namespace, name = place_of(number)
        there = plane.kube.get("DirectorySync", name, namespace)
        if there is None:
            raise RuntimeError(f"{namespace}/{name} is gone")
        ended = _read(there["status"]["lastRun"]["completionTime"])
        later = first + step * number - ended
        status = _moved(there["status"], later)
        plane.kube.patch("DirectorySync", name, namespace, {"status": status}, "status")

    with ThreadPoolExecutor(WORKERS) as threads:
        for _ in threads.map(move, range(size)):
            pass


def _copy(kube: Kube, template: Template, number: int) -> None:
    namespace, name = place_of(number)
    uids: dict[str, str] = {}
    for original in template.objects:
        made = _renamed(original, namespace, name)
        _hold_back(made, number)
        status = made.pop("status", None)
        old = original["metadata"]["uid"]
        for server_set in _SERVER_SET:
            made["metadata"].pop(server_set, None)
        owners = made["metadata"].get("ownerReferences", ())
        if any(owner["uid"] not in uids for owner in owners):
            continue
        for owner in owners:
            owner["uid"] = uids[owner["uid"]]
        created = kube.create(made)
        uids[old] = created["metadata"]["uid"]
        if status and made["kind"] not in _BESIDE:
            kind, its_name = made["kind"], created["metadata"]["name"]
            kube.patch(kind, its_name, namespace, {"status": status}, "status")


def _hold_back(made: Manifest, number: int) -> None:
    """Keeps the controllers' hands off what has ended, and gives each tenant its own id."""
    if made["kind"] == "Job":
        made["spec"]["managedBy"] = "bench.entrasync.dev/held-back"
        made["spec"].pop("selector", None)
        for labels in (made["metadata"]["labels"], made["spec"]["template"]["metadata"]["labels"]):
            for label in [each for each in labels if each.endswith(("controller-uid", "job-name"))]:
                del labels[label]
    elif made["kind"] == "Pod":
        made["metadata"].pop("finalizers", None)
        made["spec"].pop("nodeName", None)
    elif made["kind"] == "DirectorySync":
        # a digest over names, which are others now: as if an older operator had not written it
        for summary in (made["status"]["lastRun"], *made["status"]["history"]):
            summary.pop("inputs", None)
    elif made["kind"] == "EntraTenant":
        made["spec"]["tenantId"] = f"00000000-0000-4000-8000-{number:012x}"


def _renamed(original: Manifest, namespace: str, name: str) -> Manifest:
    """An object under other names."""
    text = json.dumps(original)
    text = text.replace(f'"namespace": "{PROTOTYPE}"', f'"namespace": "{namespace}"')
    renamed: Manifest = json.loads(text.replace(PROTOTYPE, name))
    return renamed


def _moved(status: Manifest, later: dt.timedelta) -> Manifest:
    """A status with all its times moved."""
    text = _MOMENT.sub(lambda found: _write(_read(found[0]) + later), json.dumps(status))
    moved: Manifest = json.loads(text)
    return moved


def _ended_runs(kube: Kube) -> list[Manifest]:
    return [
        run
        for run in kube.list("SyncRun", PROTOTYPE)
        if "directorySyncRef" in run["spec"]
        and run.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    ]


def _read(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _write(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


_REQUEST = "entrasync.dev/run-requested-at"


def counts(kube: Kube, kinds: Sequence[str] = _KINDS) -> Iterator[tuple[str, int]]:
    """How many objects of each kind there are."""
    for kind in kinds:
        yield kind, len(kube.list(kind))
