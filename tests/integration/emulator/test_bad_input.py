"""What is no proper request: a clear refusal, nothing applied, nothing lost."""

from __future__ import annotations

import socket
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from entrasync.entra.contracts import (
    CONTENT_TYPE,
    NS_ARRAYS,
    NS_OBJECTS,
    NS_XSI,
    SERVICE_PATH,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.envelope import leaf
from entrasync.entra.faults import SoapFaultError
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.requests import encode_request
from entrasync.entra.responses import open_response
from tests.support.emulator import EmulatorServer

pytestmark = pytest.mark.integration
PROVISION = "ProvisionAzureADSyncObjects2"
ANCHOR = "bad-input"
MIB = 1024 * 1024

Entry = Callable[[NbfxWriter], None]


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as running:
        yield running


def user(anchor: str = ANCHOR) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties={"displayName": "Ann Example"},
    )


def entry(name: str, value: str, kind: str = "x:string") -> Entry:
    def write(writer: NbfxWriter) -> None:
        writer.start("c", "KeyValueOfstringanyType")
        leaf(writer, "c", "Key", name)
        writer.start("c", "Value")
        writer.namespace("x", "http://www.w3.org/2001/XMLSchema")
        writer.attribute("i", "type", kind)
        writer.text(value)
        writer.end()
        writer.end()

    return write


def request(
    server: EmulatorServer,
    *entries: Entry,
    kind: str = "User",
    operation: str = PROVISION,
    order: tuple[str, ...] = ("PropertyValues", "SyncObjectType", "SyncOperation"),
) -> bytes:
    """An export written by hand, so that it can be wrong."""

    def content(writer: NbfxWriter) -> None:
        writer.start("", "syncRequest")
        writer.namespace("b", NS_OBJECTS)
        writer.namespace("i", NS_XSI)
        writer.start("b", "SyncObjects")
        writer.start("b", "AzureADSyncObject")
        for member in order:
            if member == "PropertyValues":
                writer.start("b", member)
                writer.namespace("c", NS_ARRAYS)
                for each in (entry("SourceAnchor", ANCHOR), *entries):
                    each(writer)
                writer.end()
            else:
                leaf(writer, "b", member, {"SyncObjectType": kind}.get(member, "Set"))
        for _ in range(3):
            writer.end()

    return encode_request(server.header(), operation, content)


def cut_off(body: bytes) -> bytes:
    return body[: len(body) * 3 // 4]


def not_utf8(body: bytes) -> bytes:
    spoiled = body.replace(b"Ann Example", b"Ann \xff\xfe\xfd\xfc\xfb\xfa\xf9")
    assert spoiled != body
    return spoiled


BODIES: dict[str, Callable[[EmulatorServer], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"<s:Envelope/>",
    "truncated": lambda s: cut_off(s.export([user()])),
    "with more behind it": lambda s: s.export([user()]) + b"\x01",
    "invalid UTF-8": lambda s: not_utf8(s.export([user()])),
    "members out of order": lambda s: request(
        s, order=("SyncOperation", "SyncObjectType", "PropertyValues")
    ),
    "a member missing": lambda s: request(s, order=("PropertyValues", "SyncObjectType")),
    "unknown type of object": lambda s: request(s, kind="Robot"),
    "unknown xsi:type": lambda s: request(s, entry("city", "1", "x:gYear")),
    "xsi:type of no namespace": lambda s: request(s, entry("city", "1", "nowhere:string")),
    "a value that is not of its type": lambda s: request(s, entry("x", "maybe", "x:boolean")),
    "duplicate keys": lambda s: request(s, entry("city", "Bonn"), entry("city", "Trier")),
    "duplicate keys in other letter case": lambda s: request(
        s, entry("city", "Bonn"), entry("City", "Trier")
    ),
    "unknown operation": lambda s: request(s, operation="ProvisionAzureADSyncObjects3"),
    "an operation long gone": lambda s: request(s, operation="Provision"),
    "no token": lambda s: s.export([user()], token=""),
    "somebody else's token": lambda s: s.export([user()], token="eyJhbGciOiJub25lIn0.e30."),
}


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES.keys())
def test_a_bad_body_is_a_clear_fault(
    server: EmulatorServer, make: Callable[[EmulatorServer], bytes]
) -> None:
    before = server.objects("User")

    answer = server.post(make(server))

    assert (answer.status_code, answer.headers["content-type"]) == (500, CONTENT_TYPE)
    with pytest.raises(SoapFaultError) as caught:
        open_response(answer.content)
    assert len(caught.value.fault.text) > 20
    assert server.objects("User") == before


def test_the_handmade_request_is_taken_when_nothing_is_wrong() -> None:
    with EmulatorServer() as server:
        assert server.post(request(server, entry("city", "Bonn"))).status_code == 200
        (held,) = server.objects("User")

    assert held["attributes"]["city"] == "Bonn"


def test_an_order_that_contradicts_itself_changes_nothing(server: EmulatorServer) -> None:
    """The addressing may name an operation that the body does not hold."""
    body = request(server).replace(PROVISION.encode(), b"FinalizeExport", 1)
    assert server.post(body).status_code == 500
    assert ANCHOR not in {each["sourceAnchor"] for each in server.objects("User")}


@pytest.mark.parametrize(
    "content_type",
    ["text/xml", "application/soap+xml; charset=utf-8", "application/soap+msbinsession1", ""],
)
def test_another_content_type_is_415(server: EmulatorServer, content_type: str) -> None:
    body = server.export([user()])

    answer = server.http.post(SERVICE_PATH, content=body, headers={"content-type": content_type})

    assert answer.status_code == 415
    assert CONTENT_TYPE in answer.json()["error"]
    assert ANCHOR not in {each["sourceAnchor"] for each in server.objects("User")}


def test_parameters_and_case_of_the_content_type_do_not_matter(server: EmulatorServer) -> None:
    headers = {"content-type": "Application/SOAP+msbin1; charset=binary"}
    assert server.http.post(SERVICE_PATH, content=server.reading(), headers=headers).is_success


@pytest.mark.parametrize("path", ["/v1.0/organization", "/admin/tenants", "/x/oauth2/v2.0/token"])
def test_other_addresses_take_no_large_bodies(server: EmulatorServer, path: str) -> None:
    assert server.http.post(path, content=b"x" * (MIB + 1)).status_code == 413


MANY = "9" * 4500


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("objects?limit=0", None),
        ("objects?limit=" + MANY, None),
        ("objects?continue=-1", None),
        ("objects?continue=" + MANY, None),
        ("objects?continue=%C2%B2", None),
        ("objects?type=Robot", None),
        ("objects/%FF", None),
        ("objects/a", None),
        ("faults", b"["),
        ("faults", b"[]"),
        ("faults", b"[" * 100_000),
        ("faults", b"\xff"),
        ("faults", b'{"delaySeconds": NaN}'),
        ("faults", b'{"busyEvery": ' + MANY.encode() + b"}"),
        ("faults", b'{"busyevery": 1}'),
        ("faults", b'{"operations": ["\\ud800"]}'),
    ],
)
def test_a_question_without_sense_is_400(
    server: EmulatorServer, address: str, body: bytes | None
) -> None:
    url = f"/admin/tenants/{server.tenant_id}/{address}"

    answer = server.http.get(url) if body is None else server.http.put(url, content=body)

    assert answer.status_code == 400
    assert "must be" in answer.json()["error"] or "`" in answer.json()["error"]
    assert server.post(server.reading()).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "$top=" + MANY,
        "$skiptoken=" + urlsafe_b64encode(MANY.encode()).decode(),
        "$skiptoken=" + urlsafe_b64encode("\u00b2".encode()).decode(),
        "$skiptoken=_w",
    ],
)
def test_graph_refuses_pages_that_are_none(server: EmulatorServer, query: str) -> None:
    assert server.graph("GET", f"users?{query}").status_code == 400


@contextmanager
def connection(server: EmulatorServer) -> Iterator[ssl.SSLSocket]:
    url = httpx.URL(server.url)
    assert url.port is not None
    with (
        socket.create_connection((url.host, url.port), timeout=60) as plain,
        server.trust.wrap_socket(plain, server_hostname=url.host) as secured,
    ):
        yield secured


def head(length: int, *more: str) -> bytes:
    lines = [
        f"POST {SERVICE_PATH} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_until(peer: ssl.SSLSocket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        chunk = peer.recv(65536)
        assert chunk, received
        received += chunk
    return received


def test_a_client_that_waits_is_told_to_go_on(server: EmulatorServer) -> None:
    body = server.reading()
    with connection(server) as peer:
        peer.sendall(head(len(body), "Expect: 100-continue"))
        assert read_until(peer, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        peer.sendall(body)
        assert read_until(peer, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_need_not_send_what_is_too_large(server: EmulatorServer) -> None:
    with connection(server) as peer:
        peer.sendall(head(65 * MIB, "Expect: 100-continue"))
        assert read_until(peer, b"\r\n\r\n").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "said",
    [
        head(1000) + b"half a body",
        head(1000, "Expect: 100-continue"),
        b"POST / HTTP/1.1\r\nHost: localh",
        b"\x16\x03 no HTTP at all\r\n\r\n",
        head(5) + b"12345" + head(5),
    ],
)
def test_a_client_that_hangs_up_disturbs_nobody(
    server: EmulatorServer, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with connection(server) as peer:
        peer.sendall(said)
    assert server.http.get("/healthz").status_code == 200
    assert [each for each in caplog.records if each.exc_info] == []
