"""The emulated cloud as an ASGI application: login authority, sync service, Graph, pages."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import structlog

from entrasync.emulator.admin import Admin
from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.graph import GRAPH_ROOTS, Graph
from entrasync.emulator.http import (
    BAD_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    SERVER_ERROR,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    Cut,
    HttpRequest,
    HttpResponse,
    Receive,
    Scope,
    Send,
    TooLargeError,
    error_response,
    html_response,
    json_response,
    read_request,
    send_response,
)
from entrasync.emulator.logins import LoginError, registered_applications, unknown_tenant
from entrasync.emulator.pages import Pages
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.service import MAX_BODY, SyncService
from entrasync.emulator.tenant import RunningTenant, start_tenant
from entrasync.emulator.tokens import Authority
from entrasync.entra.contracts import CONTENT_TYPE, SERVICE_PATH
from entrasync.errors import ConfigurationError

_HELP_PAGE = (
    "<!doctype html><html lang='en'><head><title>ProvisioningWebService Service</title></head>"
    "<body><p>You have created a service.</p></body></html>"
)
_MAX_SMALL_BODY: Final = 1024 * 1024
"""Most octets of a request that is not the sync service's."""
_log = structlog.get_logger()

CutConnection = Callable[[Scope], None]


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


def _digits() -> str:
    return f"{random.randrange(10_000):04}"  # noqa: S311  - part of a name, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where time, ids and chance come from."""

    clock: Callable[[], dt.datetime] = _utc_now
    new_id: Callable[[], str] = _new_id
    digits: Callable[[], str] = _digits


class EmulatorApp:
    """Serves all tenants of a configuration.

    Args:
        config: the clouds; every application has its credential already.
        data: what was kept, and where changes go.
        sources: time, ids and chance.
        cut: breaks the connection a request came by.
    """

    def __init__(
        self,
        config: EmulatorConfig,
        data: DataFile,
        sources: Sources | None = None,
        *,
        cut: CutConnection = lambda _: None,
    ) -> None:
        sources = sources or Sources()
        self._config = config
        self._sources = sources
        self._cut = cut
        now = sources.clock().timestamp()
        self.tenants: dict[str, RunningTenant] = {
            tenant.tenant_id: start_tenant(
                tenant, config.faults, data, new_id=sources.new_id, digits=sources.digits, now=now
            )
            for tenant in config.tenants
        }
        self._authority = Authority(
            {tenant.tenant_id: registered_applications(tenant) for tenant in config.tenants},
            clock=sources.clock,
            new_id=sources.new_id,
        )
        self._service = SyncService(
            config, self.tenants, self._authority, data=data, clock=sources.clock
        )
        self._graph = Graph(config, self.tenants, self._authority, data=data, clock=sources.clock)
        self._admin = Admin(self.tenants, data, clock=sources.clock)
        self._pages = Pages(config, self.tenants)

    @property
    def sync_service(self) -> SyncService:
        """The sync service itself, for callers in this process that need no HTTP."""
        return self._service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection's request, as ASGI wants it."""
        if scope["type"] != "http":
            return
        is_sync = scope["path"].lower() == SERVICE_PATH
        most = MAX_BODY if is_sync else _MAX_SMALL_BODY
        try:
            request = await read_request(scope, receive, most)
        except ConnectionError:
            return
        except TooLargeError:
            await send_response(send, error_response(TOO_LARGE, f"at most {most} bytes"))
            return
        # Codec and store take their time with large groups: probes are answered meanwhile.
        response = await asyncio.to_thread(self._answer, request)
        if response.delay_seconds and not await _is_patient(receive, response.delay_seconds):
            return
        if response.cut is not Cut.AT_ONCE:
            await send_response(send, response)
        if response.cut is not None:
            self._cut(scope)
            await receive()

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._route(request)
        except Exception:  # noqa: BLE001  - a bug must not end the process; it is logged whole
            _log.exception("request_failed", method=request.method)
            return error_response(SERVER_ERROR, "the emulator failed; its log says why")

    def _route(self, request: HttpRequest) -> HttpResponse:
        path = request.path.lower()
        if path == SERVICE_PATH:
            return self._sync(request)
        if path == "/healthz":
            return json_response({"status": "ok"})
        if path == "/" or path.startswith("/tenants/"):
            return self._pages.handle(request)
        if path.startswith("/admin/"):
            return self._admin.handle(request)
        if path.startswith(GRAPH_ROOTS):
            return self._graph.handle(request)
        return self._login(request)

    def _sync(self, request: HttpRequest) -> HttpResponse:
        if request.method in {"GET", "HEAD"}:
            return html_response(_HELP_PAGE)
        if request.method != "POST":
            return error_response(METHOD_NOT_ALLOWED, "only GET and POST are possible here")
        if request.media_type != CONTENT_TYPE:
            return error_response(
                UNSUPPORTED_MEDIA_TYPE,
                f"Cannot process the message because the content type '{request.media_type}' was"
                f" not the expected type '{CONTENT_TYPE}'.",
            )
        return self._service.handle(request.body, request.host).response()

    def _login(self, request: HttpRequest) -> HttpResponse:
        tenant_id, _, rest = request.path.strip("/").partition("/")
        base_url = f"https://{request.host}"
        try:
            self._require_here(tenant_id, request.host)
            match (request.method, rest):
                case ("GET", "v2.0/.well-known/openid-configuration"):
                    found = self._authority.openid_configuration(base_url, tenant_id)
                case ("GET", "discovery/v2.0/keys"):
                    found = self._authority.keys(tenant_id)
                case ("POST", "oauth2/v2.0/token" | "oauth2/token"):
                    found = self._authority.issue(base_url, tenant_id, _form_of(request))
                case _:
                    return error_response(NOT_FOUND, "no such address")
        except LoginError as error:
            _log.info("login_refused", tenant=tenant_id[:36], code=error.code, why=error.message)
            now, trace_id = self._sources.clock(), self._sources.new_id()
            return json_response(error.document(trace_id=trace_id, now=now), error.status)
        except UnicodeDecodeError:
            return error_response(BAD_REQUEST, "the form is no text")
        return json_response(found)

    def _require_here(self, tenant_id: str, host: str) -> None:
        """Checks that a tenant lives at a host; elsewhere it does not exist, as in reality."""
        tenant = self.tenants.get(tenant_id.lower())
        if tenant is not None and not self._config.is_served(tenant.config, host, tenant.switches):
            raise unknown_tenant(tenant_id)


async def _is_patient(receive: Receive, seconds: float) -> bool:
    """Waits; whether the client is still there."""
    try:
        async with asyncio.timeout(seconds):
            await receive()
    except TimeoutError:
        return True
    return False


def _form_of(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode()))


def split_listen(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; `:PORT` listens everywhere.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname or "0.0.0.0", parts.port  # noqa: S104  - asked for by ":PORT"
    except ValueError:
        host, port = "", None
    if port is None or not host:
        raise ConfigurationError("RunFailed", f"--listen {listen} is not HOST:PORT.")
    return host, port
