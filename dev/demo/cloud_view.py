"""The emulated tenant as its admin addresses show it, through a kubectl port-forward."""

from __future__ import annotations

import base64
import re
import ssl
from types import TracebackType
from typing import Any, Self

import httpx

from dev.demo.kubectl import Kubectl, KubectlError
from dev.demo.setup import CLOUD_NAME, CLOUD_NAMESPACE, TENANT_ID

PAGE_SIZE = 1000


class CloudView:
    """Reads an emulated tenant; a context manager, because it holds a port-forward.

    Args:
        kubectl: for the cluster the emulated cloud runs in.
        tenant_id: the tenant to read.
        service: `namespace/name` of the Service in front of it.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        tenant_id: str = TENANT_ID,
        service: str = f"{CLOUD_NAMESPACE}/azure",
    ) -> None:
        self._kubectl = kubectl
        self._tenant_id = tenant_id
        self._namespace, _, self._service = service.partition("/")

    def __enter__(self) -> Self:
        self._forward = self._kubectl.start(
            *("port-forward", "-n", self._namespace, f"service/{self._service}"),
            *(":443", "--address=127.0.0.1"),
        )
        if self._forward.stdout is None:
            raise KubectlError("the port-forward has no output")
        line = self._forward.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            self._forward.kill()
            raise KubectlError(f"kubectl port-forward to the emulated cloud failed: {line.strip()}")
        cloud = self._kubectl.get("azurecloud", CLOUD_NAME)
        trust = ssl.create_default_context(cadata=cloud["spec"]["caBundle"])
        self._client = httpx.Client(
            base_url=f"https://127.0.0.1:{found[1]}/admin/tenants/{self._tenant_id}",
            verify=trust,
            timeout=30,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()
        self._forward.terminate()
        self._forward.wait()
        if self._forward.stdout is not None:
            self._forward.stdout.close()

    def objects(self, object_type: str) -> list[dict[str, Any]]:
        """Live objects of one type: `User`, `Group` or `Contact`."""
        return [o for o in self._pages("/objects", type=object_type) if not o.get("deleted")]

    def links(self, group_anchor: str) -> list[str]:
        """SourceAnchors of a group's members."""
        return [
            item if isinstance(item, str) else str(item["anchor"])
            for item in self._pages("/links", group=group_anchor)
        ]

    def object(self, anchor: str) -> dict[str, Any]:
        """One object by its SourceAnchor."""
        name = base64.urlsafe_b64encode(anchor.encode()).decode().rstrip("=")
        found: dict[str, Any] = self._client.get(f"/objects/{name}").raise_for_status().json()
        return found

    def set_faults(self, **switches: Any) -> None:
        """Sets the tenant's switches by their names in the file; none: as configured."""
        self._client.put("/faults", json=switches).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        """Requests the sync service answered, oldest first."""
        return self._pages("/requests")

    def _pages(self, path: str, **query: str) -> list[Any]:
        items: list[Any] = []
        proceed = ""
        while True:
            parameters = query | {"limit": str(PAGE_SIZE)}
            if proceed:
                parameters["continue"] = proceed
            page = self._client.get(path, params=parameters).raise_for_status().json()
            items += page["items"]
            proceed = page.get("continue") or ""
            if not proceed:
                return items
