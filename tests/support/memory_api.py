"""A small Kubernetes API in memory, with the calls of the operator's gateway.

What it has of the real one: uids, resourceVersions that move with every change and refuse stale
writers, generations that move with a spec, the status as a part of its own, deletion by
finalizers, foreground deletion and garbage collection by owner, label and field selectors, and
namespaces that are being deleted. What it does not have: schemas, defaults, admission, watches.
A running pod that is deleted stays until its kubelet says that it has ended (`pod_gone`).
"""

from __future__ import annotations

import copy
import datetime as dt
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from entrasync.api.common import API_VERSION
from entrasync.controller.durations import format_time
from entrasync.controller.gateway import ApiError, Manifest
from tests.support.memory_selectors import has_fields, has_labels
from tests.support.samples import NOW

FOREGROUND: Final = "foregroundDeletion"
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404

Watcher = Callable[[str, str, Manifest | None], None]
"""Sees each call before it happens: verb, path and body. What it raises is what the caller gets."""


class MemoryApi:
    """Objects by their path, and the calls a `Gateway` has.

    Attributes:
        objects: what is stored. A test may put objects in, or change them, as somebody else would.
        now: what the clock of the API server says.
        logs: logs of pods by `namespace/name`.
        calls: verb and path of each call, in order.
        watchers: see each call before it happens.
        terminating: namespaces that are being deleted.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.now: dt.datetime = NOW
        self.logs: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.watchers: list[Watcher] = []
        self.terminating: set[str] = set()
        self._numbers = itertools.count(1)
        self._made: Counter[str] = Counter()

    # --- the calls of a gateway ------------------------------------------------------------

    def get(self, path: str) -> Manifest | None:
        self._called("get", path)
        return copy.deepcopy(self._stored(path))

    def list(
        self, path: str, selector: str = "", *, fields: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        self._called("list", path)
        found = (self._stored(at) for at in self._paths(path))
        return [
            copy.deepcopy(each)
            for each in found
            if each is not None and has_labels(each, selector) and has_fields(each, fields)
        ]

    def create(self, path: str, manifest: Manifest) -> bool:
        self._called("create", path, manifest)
        namespace = namespace_of(path)
        if namespace in self.terminating:
            raise ApiError(
                FORBIDDEN,
                f"{path.rpartition('/')[2]} is forbidden: unable to create new content in"
                f" namespace {namespace} because it is being terminated",
                reason="Forbidden",
                causes=("NamespaceTerminating",),
            )
        made = copy.deepcopy(manifest)
        metadata = made["metadata"]
        if not metadata.get("name"):
            metadata["name"] = f"{metadata['generateName']}{next(self._numbers)}"
        at = f"{path}/{metadata['name']}"
        if at in self.objects:
            return False
        if _is_ours(path):
            made["status"] = {"observedGeneration": -1}
        for name in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"):
            metadata.pop(name, None)
        self.objects[at] = made
        self._stored(at)
        self.collect_garbage()
        return True

    def replace(self, path: str, manifest: Manifest) -> bool:
        self._called("replace", path, manifest)
        before = self._fresh(path, manifest["metadata"].get("resourceVersion", ""))
        if before is None:
            return False
        after = copy.deepcopy(manifest)
        if _is_ours(path):
            after["status"] = before.get("status", {})
        self._store(path, before, after)
        return True

    def patch(self, path: str, patch: Manifest, resource_version: str | None = None) -> bool:
        self._called("patch", path, patch)
        before = self._fresh(path, resource_version or "")
        if before is None:
            return False
        patch = {key: value for key, value in patch.items() if key != "status"}
        self._store(path, before, merged(before, patch))
        return True

    def patch_status(self, path: str, status: Manifest, resource_version: str) -> bool:
        self._called("patch_status", path, status)
        before = self._fresh(path, resource_version)
        if before is None:
            return False
        self._store(path, before, merged(before, {"status": status}))
        return True

    def apply(self, path: str, manifest: Manifest, manager: str) -> bool:
        del manager
        if path not in self.objects:
            return self.create(path.rpartition("/")[0], manifest)
        return self.patch(path, manifest)

    def delete(
        self, path: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> None:
        self._called("delete", path)
        found = self._fresh(path, resource_version or "")
        if found is None or (uid is not None and found["metadata"]["uid"] != uid):
            return
        if found["metadata"].get("deletionTimestamp"):
            return
        found["metadata"]["deletionTimestamp"] = format_time(self.now)
        found["metadata"].setdefault("finalizers", []).append(FOREGROUND)
        self._moved(found)
        self.collect_garbage()

    def log_of(self, namespace: str, pod: str, lines: int) -> str:
        self._called("log", f"/api/v1/namespaces/{namespace}/pods/{pod}")
        log = self.logs.get(f"{namespace}/{pod}", "")
        return "\n".join(log.splitlines()[-lines:])

    # --- what others do --------------------------------------------------------------------

    def put(self, path: str, manifest: Manifest) -> Manifest:
        """Somebody stores an object as it is, its status included."""
        self.objects[path] = manifest
        found = self._stored(path)
        assert found is not None
        self._moved(found)
        return found

    def change(self, path: str, patch: Manifest) -> None:
        """Somebody merges something into an object, its status included."""
        before = self._stored(path)
        assert before is not None, path
        self._store(path, before, merged(before, patch))

    def remove(self, path: str) -> None:
        """An object is gone at once, whatever holds it; its dependents follow."""
        self.objects.pop(path, None)
        self.collect_garbage()

    def take_from(self, other: MemoryApi) -> None:
        """Becomes what another one is, and is changed apart from it."""
        self.objects = copy.deepcopy(other.objects)
        self.now, self.logs, self.terminating = other.now, dict(other.logs), set(other.terminating)
        self._numbers, self._made = copy.copy(other._numbers), Counter(other._made)

    def pod_gone(self, namespace: str, name: str) -> None:
        """The kubelet says that nothing of a pod is left, or somebody deleted it by force."""
        self.remove(f"/api/v1/namespaces/{namespace}/pods/{name}")

    def collect_garbage(self) -> None:
        """What the garbage collector does, until it has nothing to do."""
        while self._collect_once():
            pass

    # --- inside ----------------------------------------------------------------------------

    def _called(self, verb: str, path: str, body: Manifest | None = None) -> None:
        self.calls.append((verb, path))
        for watcher in tuple(self.watchers):
            watcher(verb, path, body)

    def _paths(self, path: str) -> tuple[str, ...]:
        """Paths of a collection; without a namespace those of all namespaces."""
        root, _, plural = path.rpartition("/")
        everywhere = "/namespaces/" not in path
        return tuple(
            at
            for at in self.objects
            if at.rpartition("/")[0] == path
            or (everywhere and at.startswith(f"{root}/namespaces/") and at.split("/")[-2] == plural)
        )

    def _stored(self, path: str) -> Manifest | None:
        """What is stored; an object that a test put in gets what the API server would give it."""
        found = self.objects.get(path)
        if found is None:
            return None
        metadata = found.setdefault("metadata", {})
        metadata.setdefault("name", path.rpartition("/")[2])
        namespace = namespace_of(path)
        if namespace:
            metadata.setdefault("namespace", namespace)
        number = next(self._numbers) if "resourceVersion" not in metadata else 0
        if "uid" not in metadata:
            # the same in every telling of a story, however many writes came before
            self._made[path] += 1
            metadata["uid"] = f"uid-{self._made[path]}-of-{path}"
        metadata.setdefault("resourceVersion", str(number))
        metadata.setdefault("generation", 1)
        metadata.setdefault("creationTimestamp", format_time(self.now))
        return found

    def _fresh(self, path: str, resource_version: str) -> Manifest | None:
        found = self._stored(path)
        if found is None or resource_version not in {"", found["metadata"]["resourceVersion"]}:
            return None
        return found

    def _store(self, path: str, before: Manifest, after: Manifest) -> None:
        for name in ("uid", "creationTimestamp", "generation", "resourceVersion", "name"):
            after["metadata"][name] = before["metadata"][name]
        if before["metadata"].get("deletionTimestamp"):
            after["metadata"]["deletionTimestamp"] = before["metadata"]["deletionTimestamp"]
        if after == before:
            return
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        self.objects[path] = after
        self._moved(after)
        self.collect_garbage()

    def _moved(self, manifest: Manifest) -> None:
        manifest["metadata"]["resourceVersion"] = str(next(self._numbers))

    def _collect_once(self) -> bool:
        uids = {each["metadata"]["uid"] for each in self._all()}
        for path in tuple(self.objects):
            found = self.objects[path]
            metadata = found["metadata"]
            owners = {owner["uid"] for owner in metadata.get("ownerReferences", [])}
            if not metadata.get("deletionTimestamp"):
                if owners and not owners & uids:
                    metadata["deletionTimestamp"] = format_time(self.now)
                    self._moved(found)
                    return True
                continue
            if FOREGROUND in metadata.get("finalizers", []):
                if self._collect_dependents(metadata["uid"]):
                    return True
                if self._has_dependents(metadata["uid"]):
                    continue
                metadata["finalizers"].remove(FOREGROUND)
            if not metadata.get("finalizers") and not _is_alive(path, found):
                del self.objects[path]
                return True
        return False

    def _collect_dependents(self, uid: str) -> bool:
        """Marks what belongs to an owner that goes in the foreground."""
        for each in self._dependents(uid):
            metadata = each["metadata"]
            if not metadata.get("deletionTimestamp"):
                metadata["deletionTimestamp"] = format_time(self.now)
                metadata.setdefault("finalizers", []).append(FOREGROUND)
                self._moved(each)
                return True
        return False

    def _has_dependents(self, uid: str) -> bool:
        return any(
            owner.get("blockOwnerDeletion")
            for each in self._dependents(uid)
            for owner in each["metadata"]["ownerReferences"]
            if owner["uid"] == uid
        )

    def _dependents(self, uid: str) -> Iterator[Manifest]:
        for each in self._all():
            if any(own["uid"] == uid for own in each["metadata"].get("ownerReferences", [])):
                yield each

    def _all(self) -> Iterator[Manifest]:
        for path in tuple(self.objects):
            found = self._stored(path)
            if found is not None:
                yield found


def merged(target: Any, patch: Any) -> Any:
    """What a server makes of a merge patch (RFC 7386, section 2)."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = copy.deepcopy(dict(target)) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def namespace_of(path: str) -> str:
    """The namespace in a path; empty where there is none."""
    parts = path.split("/")
    return parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""


def _is_ours(path: str) -> bool:
    return path.startswith(f"/apis/{API_VERSION}/")


def _is_alive(path: str, manifest: Manifest) -> bool:
    """Whether a kubelet still has a pod: it goes when that says that it has ended."""
    if path.split("/")[-2] != "pods":
        return False
    phase = manifest.get("status", {}).get("phase")
    return phase in {"Running", "Unknown"}
