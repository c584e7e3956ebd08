"""A client of the sync service on a stage: what it meets is chosen, what it does is noted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from entrasync.entra.client import Surroundings, SyncServiceClient
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import (
    BUSY_CODE,
    BUSY_TEXT,
    CONTENT_TYPE,
    CompanyConfiguration,
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.faults import encode_fault, encode_redirection_fault
from entrasync.entra.requests import Request, decode_request
from entrasync.entra.responses import (
    encode_company_configuration_response,
    encode_read_back_response,
)
from entrasync.entra.retrying import DEFAULT_PATIENCE, Patience
from tests.unit.entra.samples import TENANT, TOKEN

HOST = "adminwebservice.microsoftonline.com"
NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
V2 = SyncVersion.V2
CLOUD = Cloud(
    name="commercial",
    login_authority="https://login.microsoftonline.com",
    sync_service_url=f"https://{HOST}",
    redirect_suffixes=(".microsoftonline.com",),
)
COMPANY = CompanyConfiguration(tenant_id=TENANT, display_name="Contoso")
TRIES = DEFAULT_PATIENCE.most_tries
Answer = httpx.Response | Exception


def soap(data: bytes, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=data, headers={"content-type": CONTENT_TYPE} | named)


def company() -> httpx.Response:
    return soap(encode_company_configuration_response(COMPANY))


def fault(
    code: str = "Receiver", description: str = "d", number: int | None = None, **headers: str
) -> httpx.Response:
    data = encode_fault(code, "r", error_code=number, description=description)
    return soap(data, 500, **headers)


def busy(**headers: str) -> httpx.Response:
    return fault(description=BUSY_TEXT, number=BUSY_CODE, **headers)


def redirect(url: str) -> httpx.Response:
    return soap(encode_redirection_fault(url), 500)


def page(
    *anchors: str, cookie: str | None = None, more: bool = False, version: SyncVersion = V2
) -> httpx.Response:
    held = ReadBackPage(objects=tuple(person(each) for each in anchors), cookie=cookie, more=more)
    return soap(encode_read_back_response(version, held))


def person(anchor: str) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER, operation=SyncOperation.SET, source_anchor=anchor
    )


class Tokens:
    """A token source whose tokens are given, one after each renewal."""

    def __init__(self, *values: str) -> None:
        self.values = list(values) or [TOKEN]
        self.asked = 0
        self.renewals = 0

    def token(self) -> str:
        self.asked += 1
        return self.values[0]

    def renew(self) -> None:
        self.renewals += 1
        if len(self.values) > 1:
            self.values.pop(0)


@dataclass
class Stage:
    """A client, what it meets, and what it did. Time passes only by its waits."""

    answers: list[Answer]
    forever: Callable[[], Answer] | None = None
    """What it meets once there is nothing else."""
    version: SyncVersion = V2
    tokens: Tokens = field(default_factory=Tokens)
    patience: Patience = DEFAULT_PATIENCE
    requests: list[httpx.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    ids: int = 0

    def __post_init__(self) -> None:
        self.client = SyncServiceClient(
            CLOUD,
            TENANT,
            self.tokens,
            Surroundings(
                sleep=self.waits.append,
                new_id=self._new_id,
                random=lambda: 0.5,
                clock=lambda: NOW + dt.timedelta(seconds=sum(self.waits)),
                patience=self.patience,
                on_busy=self.busy.append,
            ),
            version=self.version,
            resource="EntraTenant/contoso",
            transport=httpx.MockTransport(self._answer),
        )

    def _new_id(self) -> str:
        self.ids += 1
        return f"00000000-0000-0000-0000-{self.ids:012}"

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not self.answers and self.forever is not None:
            self.answers.append(self.forever())
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def sent(self) -> list[Request]:
        return [decode_request(each.content) for each in self.requests]

    @property
    def hosts(self) -> list[str]:
        return [each.url.host for each in self.requests]


Start = Callable[..., Stage]
"""Makes a stage of answers and options."""
