"""The operator's only door to Kubernetes.

Plain JSON objects go in and come out: the typed models of the client library refuse fields of newer
servers. Each call has a timeout.
"""

from __future__ import annotations

import json
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from entrasync.api.common import GROUP, VERSION
from entrasync.errors import EntrasyncError, TransientError

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 30
PAGE: Final = 500

BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
CONFLICT: Final = 409

Manifest = dict[str, Any]


class ApiError(EntrasyncError):
    """The API server refused a call.

    Args:
        status: HTTP status.
        message: what it said.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__("RunFailed", message)
        self.status = status


class Gateway:
    """Calls of the Kubernetes API, synchronous.

    Args:
        api: a configured client.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    def get(self, path: str) -> Manifest | None:
        """One object; `None` when there is none."""
        try:
            return self._call("GET", path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def list(self, path: str, selector: str = "") -> list[Manifest]:
        """All objects of a collection, page by page."""
        found: list[Manifest] = []
        proceed = ""
        while True:
            query = {"limit": str(PAGE)}
            if selector:
                query["labelSelector"] = selector
            if proceed:
                query["continue"] = proceed
            page = self._call("GET", path, query=query)
            found += page.get("items", [])
            proceed = page.get("metadata", {}).get("continue", "")
            if not proceed:
                return found

    def create(self, path: str, manifest: Manifest) -> bool:
        """Creates an object; false when one of its name is already there."""
        try:
            self._call("POST", path, body=manifest)
        except ApiError as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    def replace(self, path: str, manifest: Manifest) -> bool:
        """Replaces an object of a resourceVersion; false when it changed meanwhile."""
        try:
            self._call("PUT", path, body=manifest)
        except ApiError as error:
            if error.status in {CONFLICT, NOT_FOUND}:
                return False
            raise
        return True

    def apply(self, path: str, manifest: Manifest, manager: str) -> bool:
        """Server-side apply without force; false when somebody else owns a field."""
        query = {"fieldManager": manager}
        try:
            self._call(
                "PATCH", path, body=manifest, query=query, content="application/apply-patch+yaml"
            )
        except ApiError as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    def patch_status(self, path: str, status: Manifest, resource_version: str) -> bool:
        """Merges a status; false when the object changed meanwhile or is gone."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        try:
            self._call("PATCH", f"{path}/status", body=body, content="application/merge-patch+json")
        except ApiError as error:
            if error.status in {CONFLICT, NOT_FOUND}:
                return False
            raise
        return True

    def delete(self, path: str) -> None:
        """Deletes an object, its dependents first; fine when it is gone."""
        try:
            self._call("DELETE", path, body={"propagationPolicy": "Foreground"})
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def log_of(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of a pod's log; nothing while there is none."""
        path = f"{core_path('pods', namespace, pod)}/log"
        try:
            return self._send("GET", path, query={"tailLines": str(lines)}).decode(errors="replace")
        except ApiError as error:
            if error.status in {BAD_REQUEST, NOT_FOUND}:  # its container has not begun, or is gone
                return ""
            raise

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        query: dict[str, str] | None = None,
        content: str = "application/json",
    ) -> Manifest:
        data = self._send(method, path, body=body, query=query, content=content)
        return cast("Manifest", json.loads(data)) if data else {}

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        query: dict[str, str] | None = None,
        content: str = "application/json",
    ) -> bytes:
        serialized = self._api.param_serialize(
            method,
            path + (f"?{urlencode(query)}" if query else ""),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._api.call_api(
                *serialized, _request_timeout=(CONNECT_SECONDS, READ_SECONDS)
            )
            data: bytes = answer.read()  # type: ignore[no-untyped-call]  # untyped in the library
        except ApiException as error:
            raise ApiError(error.status or 0, _reason(error.body)) from None
        except (HTTPError, OSError) as error:
            raise TransientError(
                "RunFailed", f"the Kubernetes API cannot be reached ({type(error).__name__})"
            ) from None
        if not 200 <= answer.status < 300:  # noqa: PLR2004  - HTTP's own bounds of success
            raise ApiError(answer.status, _reason(data))
        return data


def _reason(body: object) -> str:
    try:
        return str(json.loads(cast("str", body))["message"])
    except (ValueError, KeyError, TypeError):
        return "the API server gave no reason"


def connect() -> Gateway:
    """A gateway by the pod's ServiceAccount, else by the KUBECONFIG."""
    settings = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # same
    except config.ConfigException:
        config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # same
    return Gateway(client.ApiClient(settings))


def resource_path(plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """Path of one of our resources, or of a collection of them."""
    return _path(f"/apis/{GROUP}/{VERSION}", plural, namespace, name)


def core_path(plural: str, namespace: str, name: str | None = None) -> str:
    """Path in the core API."""
    return _path("/api/v1", plural, namespace, name)


def job_path(namespace: str, name: str | None = None) -> str:
    """Path of a Job, or of a namespace's Jobs."""
    return _path("/apis/batch/v1", "jobs", namespace, name)


def lease_path(namespace: str, name: str | None = None) -> str:
    """Path of a Lease."""
    return _path("/apis/coordination.k8s.io/v1", "leases", namespace, name)


def _path(root: str, plural: str, namespace: str | None, name: str | None) -> str:
    parts = [root]
    if namespace is not None:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(plural)
    if name is not None:
        parts.append(quote(name, safe=""))
    return "/".join(parts)
