"""The operator's only door to Kubernetes.

Plain JSON objects go in and come out: the typed models of the client library refuse fields of newer
servers. How calls are sent is in `transport`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

import orjson
from kubernetes import client, config

from entrasync.api.common import GROUP, VERSION
from entrasync.controller.transport import (
    READ_SECONDS,
    RETRIES,
    ApiError,
    Manifest,
    Policy,
    ServerError,
    Transport,
)
from entrasync.errors import ConfigurationError

__all__ = [
    "CONFLICT",
    "NOT_FOUND",
    "ApiError",
    "Gateway",
    "Manifest",
    "connect",
    "core_path",
    "job_path",
    "lease_path",
    "resource_path",
]

PAGE: Final = 500
FRESH_LISTINGS: Final = 3
"""How often a listing is begun anew whose place was forgotten meanwhile."""
THREADS: Final = 40
"""Connections kept open: one for each thread that may call at once."""

BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
CONFLICT: Final = 409
GONE: Final = 410
ALREADY_EXISTS: Final = "AlreadyExists"

_List = list[Manifest]
"""Within the class `list` is a method."""
_METADATA_ONLY: Final = (
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
)


class Gateway:
    """Calls of the Kubernetes API, synchronous; safe to use from several threads.

    Args:
        api: a configured client.
        policy: how calls are made.
    """

    def __init__(self, api: client.ApiClient, policy: Policy | None = None) -> None:
        self._transport = Transport(api, policy or Policy())

    def get(self, path: str) -> Manifest | None:
        """One object; `None` when there is none."""
        try:
            return self._call("GET", path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def list(
        self, path: str, selector: str = "", *, fields: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """All objects of a collection.

        Args:
            path: of the collection.
            selector: by labels.
            fields: values of selectable fields.
        """
        query = {"labelSelector": selector} if selector else {}
        if fields:
            query["fieldSelector"] = ",".join(f"{at}={value}" for at, value in fields.items())
        found: _List = []
        for anew, page in self._pages(path, query):
            found = page if anew else found + page
        return found

    def each(self, path: str, field_selector: str = "") -> Iterator[Manifest]:
        """Objects of a collection one by one, so that they are never all held.

        Some may come twice.

        Args:
            path: of the collection.
            field_selector: as the API server understands it.
        """
        query = {"fieldSelector": field_selector} if field_selector else {}
        for _, page in self._pages(path, query):
            yield from page

    def list_metadata(self, path: str, field_selector: str = "") -> Iterator[Manifest]:
        """The same, their metadata only."""
        query = {"fieldSelector": field_selector} if field_selector else {}
        for _, page in self._pages(path, query, accept=_METADATA_ONLY):
            for each in page:
                yield each["metadata"]

    def _pages(
        self, path: str, query: Mapping[str, str], accept: str = "application/json"
    ) -> Iterator[tuple[bool, _List]]:
        """Pages of a collection, and whether one begins anew what came before.

        The place between two pages is forgotten after some minutes; then the listing begins anew,
        the last time in one piece.
        """
        proceed = ""
        fresh = 1
        while True:
            at = {**query, "limit": str(PAGE)} if fresh < FRESH_LISTINGS else dict(query)
            if proceed:
                at["continue"] = proceed
            try:
                found = self._call("GET", path, query=at, accept=accept)
            except ApiError as error:
                if error.status != GONE or not proceed:
                    raise
                proceed = ""
                fresh += 1
                continue
            yield not proceed, found.get("items") or []
            proceed = found.get("metadata", {}).get("continue", "")
            if not proceed:
                return

    def create(self, path: str, manifest: Manifest) -> bool:
        """Creates an object; false when one of its name is already there."""
        try:
            self._call("POST", path, body=manifest)
        except ApiError as error:
            # a quota that changed meanwhile is a conflict too, and nothing is there then
            if error.status == CONFLICT and error.api_reason in {ALREADY_EXISTS, ""}:
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

    def patch(self, path: str, patch: Manifest, resource_version: str | None = None) -> bool:
        """Merges into an object, its status aside; false when it is gone or changed meanwhile.

        Args:
            path: of the object.
            patch: a JSON merge patch.
            resource_version: the one the patch was made for; `None` for whatever there is.
        """
        if resource_version is not None:
            metadata = {**patch.get("metadata", {}), "resourceVersion": resource_version}
            patch = {**patch, "metadata": metadata}
        try:
            self._call("PATCH", path, body=patch, content="application/merge-patch+json")
        except ApiError as error:
            if error.status in {CONFLICT, NOT_FOUND}:
                return False
            raise
        return True

    def delete(
        self, path: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> None:
        """Deletes an object, its dependents first; fine when it is gone.

        Args:
            path: of the object.
            uid: of the very object that is meant; another one of its name stays.
            resource_version: the one that was decided on; what changed since stays.
        """
        body: Manifest = {"propagationPolicy": "Foreground"}
        meant = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {name: value for name, value in meant.items() if value is not None}
        if preconditions:
            body["preconditions"] = preconditions
        try:
            self._call("DELETE", path, body=body)
        except ApiError as error:
            if error.status != NOT_FOUND and not (preconditions and error.status == CONFLICT):
                raise

    def log_of(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of a pod's log; nothing while there is none.

        Raises:
            ApiError: it cannot be had, for example because its node does not answer.
        """
        path = f"{core_path('pods', namespace, pod)}/log"
        try:
            data = self._transport.send("GET", path, query={"tailLines": str(lines)})
        except ServerError as error:
            raise ApiError(error.status, error.message) from None
        except ApiError as error:
            if error.status in {BAD_REQUEST, NOT_FOUND}:  # its container has not begun, or is gone
                return ""
            raise
        return data.decode(errors="replace")

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> Manifest:
        data = self._transport.send(
            method, path, body=body, query=query, content=content, accept=accept
        )
        found: Manifest = orjson.loads(data) if data else {}
        return found


def connect(
    *,
    permit: Callable[[], None] = lambda: None,
    counted: Callable[[str, int], None] = lambda _, __: None,
    seconds: float = READ_SECONDS,
    retries: int = RETRIES,
) -> Gateway:
    """A gateway by the pod's ServiceAccount, else by the KUBECONFIG.

    Args:
        permit: see `Policy`; so are the others.
        counted: see there.
        seconds: longest wait for an answer.
        retries: how often a call is sent again by itself; 0 when nothing may take longer than
            `seconds`.
    """
    settings = client.Configuration()
    settings.connection_pool_maxsize = THREADS

    def load() -> None:
        """Reads the credentials; their files change when they are rotated."""
        try:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # untyped in the library
        except config.ConfigException:
            try:
                config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # same
            except config.ConfigException as error:
                raise ConfigurationError(
                    "ConfigurationInvalid",
                    "there is no ServiceAccount of a pod, and the KUBECONFIG cannot be used"
                    f" ({error}); set KUBECONFIG to a file with a current context",
                ) from None

    load()
    policy = Policy(permit=permit, counted=counted, renew=load, seconds=seconds, retries=retries)
    return Gateway(client.ApiClient(settings), policy)


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
