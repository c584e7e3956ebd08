"""Faults on demand, seen from the other end of the TLS connection."""

from __future__ import annotations

import itertools
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    BUSY_CODE,
    CONTENT_TYPE,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.faults import SoapFaultError
from entrasync.entra.infoset import CodecError
from entrasync.entra.responses import (
    decode_provision_response,
    decode_read_back_response,
    open_response,
)
from tests.support.emulator import EmulatorServer

pytestmark = pytest.mark.integration
ANCHORS = (f"anchor-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def server(running: EmulatorServer, caplog: pytest.LogCaptureFixture) -> Iterator[EmulatorServer]:
    running.set_faults()
    yield running
    running.set_faults()
    errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert errors == []


def user(anchor: str = "") -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=anchor or next(ANCHORS),
    )


def fault_of(answer: httpx.Response) -> tuple[int | None, str]:
    assert (answer.status_code, answer.headers["content-type"]) == (500, CONTENT_TYPE)
    with pytest.raises(SoapFaultError) as caught:
        open_response(answer.content)
    return caught.value.fault.error_code, caught.value.fault.text


def held(server: EmulatorServer) -> set[str]:
    return {each["sourceAnchor"] for each in server.objects("User")}


def last_outcome(server: EmulatorServer) -> str:
    outcome: str = server.requests()[-1]["outcome"]
    return outcome


@pytest.mark.parametrize(
    ("switches", "outcome", "applied"),
    [
        ({"dropBeforeEvery": 1}, "DroppedBefore", False),
        ({"dropAfterEvery": 1}, "DroppedAfter", True),
        ({"malformedEvery": 1, "malformed": "CutOff"}, "Malformed", True),
    ],
)
def test_the_connection_is_cut(
    server: EmulatorServer, switches: dict[str, Any], outcome: str, *, applied: bool
) -> None:
    server.set_faults(**switches)
    anchor = next(ANCHORS)

    with pytest.raises(httpx.TransportError):
        server.post(server.export([user(anchor)]))

    assert last_outcome(server) == outcome
    assert (anchor in held(server)) is applied


@pytest.mark.parametrize(
    ("switches", "status", "content_type", "applied"),
    [
        ({"gatewayEvery": 1}, 503, "text/html; charset=utf-8", False),
        ({"gatewayEvery": 1, "gatewayStatus": 502}, 502, "text/html; charset=utf-8", False),
        ({"malformedEvery": 1}, 200, CONTENT_TYPE, True),
        ({"malformedEvery": 1, "malformed": "Garbage"}, 200, CONTENT_TYPE, True),
        (
            {"malformedEvery": 1, "malformed": "WrongContentType"},
            200,
            "application/octet-stream",
            True,
        ),
    ],
)
def test_answers_that_are_none(
    server: EmulatorServer,
    switches: dict[str, Any],
    status: int,
    content_type: str,
    *,
    applied: bool,
) -> None:
    server.set_faults(**switches, gatewayRetryAfterSeconds=3)
    anchor = next(ANCHORS)

    answer = server.post(server.export([user(anchor)]))

    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert answer.headers.get("retry-after") == ("3" if "gatewayEvery" in switches else None)
    if content_type == CONTENT_TYPE:
        with pytest.raises(CodecError):
            decode_provision_response(answer.content)
    assert (anchor in held(server)) is applied


def test_a_slow_answer_outlives_the_patience_of_its_client(server: EmulatorServer) -> None:
    server.set_faults(delaySeconds=3600)
    anchor = next(ANCHORS)
    body = server.export([user(anchor)])

    with pytest.raises(httpx.ReadTimeout):
        server.http.post(
            "/provisioningservice.svc",
            content=body,
            headers={"content-type": CONTENT_TYPE},
            timeout=0.5,
        )
    while anchor not in held(server):  # the client was impatient, the server may be slow
        pass

    server.set_faults(delaySeconds=0.01)
    assert server.post(body).status_code == 200


def test_too_many_writes_are_busy_and_not_applied(server: EmulatorServer) -> None:
    server.set_faults(throttle={"writes": 3, "seconds": 86400})
    token = server.token()
    first, second = next(ANCHORS), next(ANCHORS)

    assert server.post(server.export([user(), user(first)], token=token)).status_code == 200
    refused = server.post(server.export([user(second), user()], token=token))

    assert fault_of(refused)[0] == BUSY_CODE
    assert last_outcome(server) == "Throttled"
    assert first in held(server)
    assert second not in held(server)
    assert server.post(server.export([user(second)], token=token)).status_code == 200


@pytest.mark.parametrize(
    ("switches", "outcome"),
    [
        ({"maxObjectsPerRequest": 1}, "TooManyObjects"),
        ({"minimumBuild": "99.0"}, "BuildTooOld"),
        ({"syncOff": True}, "NotActivated"),
        ({"v2Off": True}, "ActionNotSupported"),
        ({"busyEvery": 1}, "Busy"),
        ({"audience": ["https://graph.windows.net"]}, None),
    ],
)
def test_what_is_refused_is_not_applied(
    server: EmulatorServer, switches: dict[str, Any], outcome: str | None
) -> None:
    server.set_faults(**switches)
    anchors = [next(ANCHORS), next(ANCHORS)]

    _, text = fault_of(server.post(server.export(map(user, anchors))))

    assert outcome is not None or text == ACCESS_DENIED_TEXT
    assert outcome in {None, last_outcome(server)}
    assert not held(server) & set(anchors)


def test_tokens_expire_before_they_say(server: EmulatorServer) -> None:
    token = server.token()
    assert server.post(server.reading(token=token)).status_code == 200

    server.set_faults(expireTokens=True)
    assert fault_of(server.post(server.reading(token=token)))[1] == ACCESS_DENIED_TEXT
    assert server.graph("GET", "organization").status_code == 200
    assert server.post(server.reading()).status_code == 200


def test_the_old_audience_can_be_had_where_it_is_taken(server: EmulatorServer) -> None:
    token = server.token("https://graph.windows.net/.default")
    assert fault_of(server.post(server.reading(token=token)))[1] == ACCESS_DENIED_TEXT

    server.set_faults(audience=["https://graph.windows.net"])
    assert server.post(server.reading(token=token)).status_code == 200


def test_cookies_expire_at_once(server: EmulatorServer) -> None:
    cookie = decode_read_back_response(server.post(server.reading()).content).cookie
    assert cookie is not None
    assert server.post(server.reading(cookie)).status_code == 200

    server.set_faults(expireCookies=True)
    _, text = fault_of(server.post(server.reading(cookie)))

    assert (text, last_outcome(server)) == (
        "The cookie is not valid or has expired.",
        "CookieExpired",
    )
    fresh = decode_read_back_response(server.post(server.reading()).content).cookie
    assert server.post(server.reading(fresh)).status_code == 200


def test_faults_of_one_operation_spare_the_others(server: EmulatorServer) -> None:
    server.set_faults(busyEvery=1, operations=["ProvisionAzureADSyncObjects2"])

    assert fault_of(server.post(server.export([user()])))[0] == BUSY_CODE
    assert server.post(server.reading()).status_code == 200
    assert server.post(server.export([user()], version=SyncVersion.V1)).status_code == 200


def test_faults_stand_in_the_file_too() -> None:
    with EmulatorServer(faults={"gatewayEvery": 1, "gatewayStatus": 502}) as configured:
        assert configured.post(configured.reading()).status_code == 502
        assert configured.set_faults(gatewayEvery=0)["gatewayStatus"] == 502
        assert configured.post(configured.reading()).status_code == 200
        configured.set_faults()
        assert configured.post(configured.reading()).status_code == 502


def test_clients_that_leave_make_no_noise(server: EmulatorServer) -> None:
    """The fixture looks for errors in the log."""
    for path in ("/admin/tenants", "/", "/healthz"):
        with server.http.stream("GET", path) as answer:
            answer.close()
    server.set_faults(delaySeconds=3600)
    body, headers = server.reading(), {"content-type": CONTENT_TYPE}
    with (
        httpx.Client(base_url=server.url, verify=server.trust, trust_env=False) as other,
        pytest.raises(httpx.TimeoutException),
    ):
        other.post("/provisioningservice.svc", content=body, headers=headers, timeout=0.2)
    assert server.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("switch", ["dropBeforeEvery", "dropAfterEvery"])
def test_a_dropped_connection_is_gone(server: EmulatorServer, switch: str) -> None:
    """Not a single octet of an answer, and nothing more can be asked by that connection."""
    url, body = httpx.URL(server.url), server.reading()
    assert url.port is not None
    head = (
        f"POST /provisioningservice.svc HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    server.set_faults(**{switch: 1})
    with (
        socket.create_connection((url.host, url.port), timeout=60) as plain,
        server.trust.wrap_socket(
            plain, server_hostname=url.host, suppress_ragged_eofs=False
        ) as peer,
    ):
        peer.sendall(head.encode() + body)
        with pytest.raises((ssl.SSLEOFError, ConnectionError)):
            peer.recv(1)
