"""The emulated cloud for tests: over TLS on a free port of 127.0.0.1, in a thread of this process.

with EmulatorServer() as cloud:
    cloud.url, cloud.ca_pem, cloud.tenant_id, cloud.client_id, cloud.client_secret
    cloud.objects("User"), cloud.links(anchor), cloud.requests(), cloud.set_faults(busyEvery=2)
    cloud.post(cloud.export(objects)), cloud.graph("GET", "organization")
    cloud.serve(cloud.export(objects))
"""

from __future__ import annotations

import base64
import datetime as dt
import ssl
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from entrasync.emulator.app import Sources
from entrasync.emulator.certificates import KeyPair, make_application_pair
from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.manifests import cloud_manifest
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.preparation import prepare, public_url
from entrasync.emulator.server import EmulatorServer as Server
from entrasync.emulator.server import open_socket
from entrasync.entra.contracts import (
    APPLICATION_IDS,
    CONTENT_TYPE,
    SERVICE_APPLICATION,
    SERVICE_PATH,
    RequestHeader,
    SyncObject,
    SyncToken,
    SyncVersion,
)
from entrasync.entra.requests import (
    ReadBackRequest,
    encode_provision_request,
    encode_read_back_request,
)

TENANT_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CLIENT_ID = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
CLIENT_SECRET = "test-secret-of-the-emulated-tenant"
SYNC_SCOPE = f"{SERVICE_APPLICATION}/.default"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"
_START_SECONDS = 120
_PAGE_SIZE = 5000


class EmulatorServer:
    """A running cloud with one tenant, whose application has a certificate and a secret.

    Args:
        tenant: members of the tenant's configuration, in the names of the file, to add or replace.
        data: file that keeps what it holds over a restart.
        clock: the time of the cloud; default: the time.
        cloud: members of the whole configuration, to add or replace.
    """

    def __init__(
        self,
        tenant: Mapping[str, Any] | None = None,
        *,
        data: Path | None = None,
        clock: Callable[[], dt.datetime] | None = None,
        **cloud: Any,
    ) -> None:
        self._sources = None if clock is None else Sources(clock=clock)
        now = dt.datetime.now(dt.UTC)
        self.certificate: KeyPair = make_application_pair(CLIENT_ID, now)
        """Certificate and key (PEM) of the application."""
        self.client_secret = CLIENT_SECRET
        application = {
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "certificate": self.certificate.certificate,
        }
        members = {
            "tenantId": TENANT_ID,
            "verifiedDomains": ["contoso.test", "contoso.com"],
            "applications": [application],
        }
        config = EmulatorConfig.model_validate({"tenants": [members | dict(tenant or {})]} | cloud)
        self._data = DataFile(data)
        self._prepared = prepare(config, self._data, (), now)
        self.config = self._prepared.config
        self.tenant_id = self.config.tenants[0].tenant_id
        self.client_id = self.config.tenants[0].applications[0].client_id
        self.ca_pem = self._prepared.tls.ca
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._socket = open_socket("127.0.0.1", 0)
        self.url = public_url(self.config, self._socket.getsockname()[1])
        """`https://localhost:PORT`, also reachable as 127.0.0.1."""
        self._server = Server(
            self._prepared, self._data, on_start=self._ready.set, sources=self._sources
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="emulator"
        )
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            self.__exit__(None, None, None)
            raise AssertionError(f"the emulator did not start within {_START_SECONDS} seconds")
        self.trust = ssl.create_default_context(cadata=self.ca_pem)
        """Trusts the server, for clients of a test's own."""
        self.http = httpx.Client(base_url=self.url, verify=self.trust, timeout=300, trust_env=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if hasattr(self, "http"):
            self.http.close()
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)
        self._socket.close()
        self._data.__exit__(None, None, None)
        assert not self._thread.is_alive(), "the emulator did not stop"

    def cloud_manifest(self) -> dict[str, Any]:
        """The AzureCloud that leads here."""
        return cloud_manifest(self.config, self.config, self.url, self.ca_pem)

    def objects(self, object_type: str, *, deleted: bool = False) -> list[dict[str, Any]]:
        """Objects of one type, `User`, `Group` or `Contact`; live ones unless `deleted`."""
        return [o for o in self._pages("objects", type=object_type) if o["deleted"] is deleted]

    def object(self, anchor: str) -> dict[str, Any]:
        """One object by its anchor, deleted or not."""
        name = base64.urlsafe_b64encode(anchor.encode()).decode().rstrip("=")
        return self._json(self.http.get(f"{self._admin}/objects/{name}"))

    def links(self, group_anchor: str) -> list[str]:
        """SourceAnchors of a group's members, sorted."""
        return self._pages("links", group=group_anchor)

    def requests(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Requests the sync service answered, oldest first."""
        found = self._pages("requests")
        return [each for each in found if operation in {None, each["operation"]}]

    def set_faults(self, **switches: Any) -> dict[str, Any]:
        """Sets the switches by their names in the file; none: back to the configuration."""
        return self._json(self.http.put(f"{self._admin}/faults", json=switches))

    def ask_token(
        self, scope: str = SYNC_SCOPE, *, tenant_id: str = "", **form: str
    ) -> httpx.Response:
        """The login authority's answer to client credentials; `form` adds or replaces members."""
        members = {"grant_type": "client_credentials", "client_id": self.client_id, "scope": scope}
        members |= {"client_secret": self.client_secret} | form
        tenant_id = tenant_id or self.tenant_id
        return self.http.post(f"/{tenant_id}/oauth2/v2.0/token", data=members)

    def token(self, scope: str = SYNC_SCOPE) -> str:
        """An access token."""
        found: str = self._json(self.ask_token(scope))["access_token"]
        return found

    def header(self, token: str | None = None) -> RequestHeader:
        """Addressing and identity of a request of the sync service."""
        return RequestHeader(
            to=self.url + SERVICE_PATH,
            message_id=str(uuid.uuid4()),
            token=SyncToken(
                application_id=APPLICATION_IDS[SyncVersion.V2],
                bearer_token=self.token() if token is None else token,
                tracking_id=str(uuid.uuid4()),
            ),
        )

    def export(
        self,
        objects: Iterable[SyncObject],
        *,
        version: SyncVersion = SyncVersion.V2,
        token: str | None = None,
    ) -> bytes:
        """A request that exports objects."""
        return encode_provision_request(self.header(token), version, objects)

    def reading(self, cookie: str | None = None, *, token: str | None = None) -> bytes:
        """A request that reads back."""
        request = ReadBackRequest(input_cookie=cookie, is_full_sync=cookie is None)
        return encode_read_back_request(self.header(token), SyncVersion.V2, request)

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Posts a request to the sync service, without the client that would repair it."""
        return self.http.post(
            SERVICE_PATH, content=body, headers={"content-type": CONTENT_TYPE} | headers
        )

    def serve(self, body: bytes) -> bytes:
        """The sync service's answer to a request, without HTTP and TLS between."""
        host = httpx.URL(self.url).netloc.decode()
        return self._server.app.sync_service.handle(body, host).body

    def graph(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Microsoft Graph's answer, by an application with all permissions."""
        headers = {"authorization": f"Bearer {self.token(GRAPH_SCOPE)}"}
        return self.http.request(method, f"/v1.0/{path}", headers=headers, **request)

    @property
    def _admin(self) -> str:
        return f"/admin/tenants/{self.tenant_id}"

    def _pages(self, what: str, **query: str) -> list[Any]:
        items: list[Any] = []
        proceed = ""
        while True:
            parameters = (
                query | {"limit": str(_PAGE_SIZE)} | ({"continue": proceed} if proceed else {})
            )
            page = self._json(self.http.get(f"{self._admin}/{what}", params=parameters))
            items += page["items"]
            proceed = page.get("continue", "")
            if not proceed:
                return items

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        found: dict[str, Any] = response.raise_for_status().json()
        return found
