"""A plain client of the Kubernetes API for tests: objects in, objects out, as any user."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

Manifest = dict[str, Any]


class RefusedError(AssertionError):
    """The API server said no.

    Args:
        status: HTTP status.
        message: what it said.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Kube:
    """Calls of one user.

    Args:
        server: address of the API server.
        ca: file of its CA.
        pair: certificate and key files of the user.
        headers: sent with every call.
    """

    def __init__(
        self,
        server: str,
        ca: Path,
        pair: tuple[Path, Path],
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    ) -> None:
        self._at = (server, ca, pair)
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(*map(str, pair))
        self._http = httpx.Client(
            base_url=server, verify=context, headers=headers or None, timeout=30, trust_env=False
        )
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}
        self._others: list[Kube] = []

    def close(self) -> None:
        """Closes its connections, and those of all it became by `as_user`."""
        for other in self._others:
            other.close()
        self._http.close()

    def as_user(self, name: str, *groups: str) -> Kube:
        """The same API as somebody else, by impersonation."""
        headers = [("Impersonate-User", name)]
        headers += [("Impersonate-Group", group) for group in (*groups, "system:authenticated")]
        other = Kube(*self._at, headers=headers)
        self._others.append(other)
        return other

    def call(self, method: str, path: str, body: object = None, **more: Any) -> Manifest:
        """One call; more is `content_type` and the query."""
        content = more.pop("content_type", "application/json")
        answer = self._http.request(
            method,
            path,
            params=more,
            content=None if body is None else json.dumps(body),
            headers={"Content-Type": content},
        )
        found: Manifest = _json(answer.text)
        if not answer.is_success:
            raise RefusedError(answer.status_code, str(found.get("message", answer.text)))
        return found

    def text(self, path: str) -> str:
        """What a path answers that speaks no JSON, such as `/metrics`."""
        answer = self._http.get(path)
        answer.raise_for_status()
        return answer.text

    def ready(self) -> bool:
        """Whether the API server serves."""
        try:
            return self._http.get("/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """One object; `None` when there is none."""
        try:
            return self.call("GET", f"{self._collection(kind, namespace)}/{name}")
        except RefusedError as refused:
            if refused.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def list(self, kind: str, namespace: str | None = None, **query: str) -> list[Manifest]:
        """All objects of a kind, in one namespace or in all; query such as `labelSelector`."""
        found: list[Manifest] = []
        path = self._collection(kind, namespace)
        proceed = ""
        while True:
            more = {"continue": proceed} if proceed else {}
            page = self.call("GET", path, limit="500", **query, **more)
            # members of a list do not say themselves what they are
            told = {"apiVersion": page["apiVersion"], "kind": kind.partition(".")[0]}
            found += [told | each for each in page["items"]]
            proceed = page["metadata"].get("continue", "")
            if not proceed:
                return found

    def create(self, manifest: Manifest) -> Manifest:
        """Creates an object."""
        return self.call("POST", self._collection_of(manifest), manifest)

    def apply(self, *manifests: Manifest, manager: str = "test") -> None:
        """Server-side apply, by force."""
        for manifest in manifests:
            path = f"{self._collection_of(manifest)}/{manifest['metadata']['name']}"
            self.call(
                "PATCH",
                path,
                manifest,
                content_type="application/apply-patch+yaml",
                fieldManager=manager,
                force="true",
            )

    def patch(
        self, kind: str, name: str, namespace: str | None, change: Manifest, part: str = ""
    ) -> Manifest:
        """Merges a change into an object, or into a part of it such as `status`."""
        path = f"{self._collection(kind, namespace)}/{name}" + (f"/{part}" if part else "")
        return self.call("PATCH", path, change, content_type="application/merge-patch+json")

    def delete(
        self, kind: str, name: str, namespace: str | None = None, policy: str = "Background"
    ) -> None:
        """Deletes an object; fine when there is none."""
        try:
            self.call(
                "DELETE",
                f"{self._collection(kind, namespace)}/{name}",
                {"propagationPolicy": policy},
            )
        except RefusedError as refused:
            if refused.status != httpx.codes.NOT_FOUND:
                raise

    def watch(
        self, kind: str, namespace: str | None = None, seconds: int = 60, **query: str
    ) -> Iterator[tuple[str, Manifest]]:
        """Events of a kind: their types and objects, until the server ends the watch."""
        parameters = query | {"watch": "true", "timeoutSeconds": str(seconds)}
        path = self._collection(kind, namespace)
        with self._http.stream("GET", path, params=parameters, timeout=seconds + 5) as answer:
            for line in answer.iter_lines():
                event = json.loads(line)
                yield event["type"], event["object"]

    def _collection_of(self, manifest: Manifest) -> str:
        return self._collection(
            f"{manifest['kind']}.{manifest['apiVersion']}", manifest["metadata"].get("namespace")
        )

    def _collection(self, kind: str, namespace: str | None) -> str:
        """Path of a collection; a kind is `Pod`, or `Job.batch/v1`, or one of ours."""
        name, _, version = kind.partition(".")
        version = version or _KNOWN.get(name, "v1")
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        if name not in self._plurals.get(version, {}):
            self._plurals[version] = {
                each["kind"]: (each["name"], each["namespaced"])
                for each in self.call("GET", root)["resources"]
                if "/" not in each["name"]
            }
        plural, namespaced = self._plurals[version][name]
        return (
            f"{root}/namespaces/{namespace}/{plural}"
            if namespaced and namespace
            else (f"{root}/{plural}")
        )


_OURS = "entrasync.dev/v1alpha1"
_KNOWN = {
    "AzureCloud": _OURS,
    "EntraTenant": _OURS,
    "ActiveDirectory": _OURS,
    "DirectorySync": _OURS,
    "SyncRun": _OURS,
    "Job": "batch/v1",
    "Lease": "coordination.k8s.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
}


def _json(text: str) -> Manifest:
    try:
        found: Manifest = json.loads(text)
    except ValueError:
        return {"message": text[:500]}
    return found
