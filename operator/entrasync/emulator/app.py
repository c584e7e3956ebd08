"""The emulated cloud as an ASGI application: login authority, sync service, admin addresses."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import structlog

from entrasync.emulator.admin import Admin
from entrasync.emulator.config import EmulatorConfig, Tenant
from entrasync.emulator.http import (
    BAD_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    SERVER_ERROR,
    TOO_LARGE,
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
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.service import MAX_BODY, SyncService
from entrasync.emulator.tenant import RunningTenant, start_tenant
from entrasync.emulator.tokens import (
    Authority,
    LoginError,
    RegisteredApplication,
    load_certificate,
)
from entrasync.entra.contracts import CONTENT_TYPE, SERVICE_PATH
from entrasync.errors import ConfigurationError

_HELP_PAGE = (
    "<!doctype html><html lang='en'><head><title>ProvisioningWebService Service</title></head>"
    "<body><p>You have created a service.</p></body></html>"
)
_log = structlog.get_logger()


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
        config: the cloud; every application has its credential already.
        data: what was kept, and where changes go.
        sources: time, ids and chance.
    """

    def __init__(
        self, config: EmulatorConfig, data: DataFile, sources: Sources | None = None
    ) -> None:
        sources = sources or Sources()
        self._sources = sources
        self.tenants: dict[str, RunningTenant] = {
            tenant.tenant_id: start_tenant(
                tenant, config.faults, data, new_id=sources.new_id, digits=sources.digits
            )
            for tenant in config.tenants
        }
        self._authority = Authority(
            {tenant.tenant_id: _applications_of(tenant) for tenant in config.tenants},
            clock=sources.clock,
            new_id=sources.new_id,
        )
        self._service = SyncService(
            self.tenants,
            self._authority,
            audiences=frozenset(config.audience),
            versions=frozenset(config.endpoint_versions),
            data=data,
            clock=sources.clock,
        )
        self._admin = Admin(self.tenants)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection's request, as ASGI wants it."""
        if scope["type"] != "http":
            return
        try:
            request = await read_request(scope, receive, MAX_BODY)
        except ConnectionError:
            return
        except TooLargeError:
            await send_response(send, error_response(TOO_LARGE, f"at most {MAX_BODY} bytes"))
            return
        # Codec and store take their time with large groups: probes are answered meanwhile.
        await send_response(send, await asyncio.to_thread(self._answer, request))

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
        if path == "/":
            return self._admin.page()
        if path.startswith("/admin/"):
            return self._admin.handle(request)
        return self._login(request)

    def _sync(self, request: HttpRequest) -> HttpResponse:
        if request.method in {"GET", "HEAD"}:
            return html_response(_HELP_PAGE)
        if request.method != "POST":
            return error_response(METHOD_NOT_ALLOWED, "only GET and POST are possible here")
        answer = self._service.handle(request.body, request.host)
        status = SERVER_ERROR if answer.fault else 200
        return HttpResponse(status=status, content_type=CONTENT_TYPE, body=answer.body)

    def _login(self, request: HttpRequest) -> HttpResponse:
        tenant_id, _, rest = request.path.strip("/").partition("/")
        base_url = f"https://{request.host}"
        try:
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


def _form_of(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode()))


def _applications_of(tenant: Tenant) -> dict[str, RegisteredApplication]:
    found = {}
    for index, each in enumerate(tenant.applications):
        try:
            certificate = load_certificate(each.certificate) if each.certificate else None
        except ValueError:
            raise ConfigurationError(
                "RunFailed",
                f"the certificate of application {each.client_id} is no PEM certificate.",
                field=f"tenants.applications[{index}].certificate",
            ) from None
        found[each.client_id] = RegisteredApplication(
            client_id=each.client_id,
            client_secret=each.client_secret,
            certificate=certificate,
            roles=tuple(each.roles),
        )
    return found


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
