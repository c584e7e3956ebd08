"""How calls are sent: tries, tokens, errors, and listings whose place was forgotten."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.config import kube_config
from typing_extensions import override

from entrasync.controller.gateway import FRESH_LISTINGS, ApiError, Gateway, connect
from entrasync.controller.transport import LONGEST_PAUSE, Policy, ServerError
from entrasync.errors import TransientError

Answer = tuple[int, dict[str, Any], dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        server = self.server
        with server.lock:
            server.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
            server.bodies.append(body)
            answer = server.answers.pop(0) if server.answers else server.always
        if answer is None:
            self.close_connection = True
            return
        status, told, headers = answer
        data = json.dumps(told).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer  # noqa: N815  - the library's names

    @override
    def log_message(self, format: str, *_: Any) -> None:
        del format


class Server(ThreadingHTTPServer):
    """Answers what it is told to, one after the other; `None` cuts the connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        self.block_on_close = False
        self.lock = threading.Lock()
        self.answers: list[Answer | None] = []
        self.always: Answer | None = (200, {"metadata": {"name": "found"}}, {})
        self.asked: list[tuple[str, str, str]] = []
        self.bodies: list[bytes] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def counted() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def gateway(
    server: Server, pauses: list[float], counted: list[tuple[str, int]]
) -> Iterator[Gateway]:
    settings = client.Configuration(host=f"http://127.0.0.1:{server.server_port}")
    settings.api_key["BearerToken"] = "Bearer old"
    api = client.ApiClient(settings)

    def renew() -> None:
        settings.api_key["BearerToken"] = "Bearer new"

    policy = Policy(
        pause=pauses.append,
        renew=renew,
        counted=lambda method, status: counted.append((method, status)),
        seconds=5,
    )
    yield Gateway(api, policy)
    api.rest_client.close()


def busy(after: str | None = "1", status: int = 429) -> Answer:
    headers = {} if after is None else {"Retry-After": after}
    return status, {"message": "too many requests"}, headers


def test_a_busy_server_is_asked_again_when_it_says_so(
    server: Server, gateway: Gateway, pauses: list[float], counted: list[tuple[str, int]]
) -> None:
    server.answers = [busy("1"), busy("0.5", 503)]
    assert gateway.create("/things", {"metadata": {"name": "new"}})
    assert pauses == [1, 0.5]
    assert counted == [("POST", 429), ("POST", 503), ("POST", 200)]


@pytest.mark.parametrize("answer", [busy("30"), busy(None), busy(None, 500), busy("soon", 503)])
def test_nobody_waits_long_or_blindly(
    server: Server, gateway: Gateway, pauses: list[float], answer: Answer
) -> None:
    server.answers = [answer]
    with pytest.raises(ServerError, match="too many requests") as raised:
        gateway.get("/things/one")
    assert not pauses
    assert raised.value.status == answer[0]
    assert raised.value.retry_after == (30 if answer[2].get("Retry-After") == "30" else None)


def test_a_server_that_stays_busy_is_not_asked_for_ever(
    server: Server, gateway: Gateway, pauses: list[float]
) -> None:
    server.always = busy("1")
    with pytest.raises(TransientError) as raised:
        gateway.get("/things/one")
    assert len(server.asked) == len(pauses) + 1 == 3
    assert sum(pauses) <= 2 * LONGEST_PAUSE
    assert raised.value.retry_after == 1


def test_reading_is_sent_again_after_a_lost_connection_and_changing_is_not(
    server: Server, gateway: Gateway, counted: list[tuple[str, int]]
) -> None:
    server.answers = [None]
    assert gateway.get("/things/one") == {"metadata": {"name": "found"}}
    server.answers = [None]
    with pytest.raises(TransientError, match="cannot be reached"):
        gateway.create("/things", {"metadata": {"name": "new"}})
    assert counted == [("GET", 0), ("GET", 200), ("POST", 0)]


def test_credentials_that_are_no_longer_known_are_read_anew(
    server: Server, gateway: Gateway
) -> None:
    server.answers = [(401, {"message": "Unauthorized"}, {})]
    assert gateway.get("/things/one") is not None
    assert [token for _, _, token in server.asked] == ["Bearer old", "Bearer new"]


def test_a_refusal_is_told_with_its_reason_and_causes(server: Server, gateway: Gateway) -> None:
    details = {"causes": [{"reason": "NamespaceTerminating"}]}
    server.always = (403, {"message": "no", "reason": "Forbidden", "details": details}, {})
    with pytest.raises(ApiError, match="no") as raised:
        gateway.create("/things", {})
    assert (raised.value.status, raised.value.api_reason) == (403, "Forbidden")
    assert raised.value.causes == ("NamespaceTerminating",)
    assert len(server.asked) == 1


def test_an_object_that_is_there_is_no_error_but_a_conflict_of_quotas_is(
    server: Server, gateway: Gateway
) -> None:
    server.answers = [(409, {"message": "there", "reason": "AlreadyExists"}, {})]
    assert not gateway.create("/things", {})
    server.answers = [(409, {"message": "quota", "reason": "Conflict"}, {})]
    with pytest.raises(ApiError, match="quota"):
        gateway.create("/things", {})


def test_a_log_that_cannot_be_had_is_no_reason_to_stop(server: Server, gateway: Gateway) -> None:
    server.answers = [(502, {"message": "no route to host"}, {})]
    with pytest.raises(ApiError, match="no route"):
        gateway.log_of("identity", "pod", 10)
    server.answers = [(400, {"message": "waiting to start"}, {})]
    assert gateway.log_of("identity", "pod", 10) == ""


def page(*names: str, proceed: str = "") -> Answer:
    items = [{"metadata": {"name": name}} for name in names]
    return 200, {"items": items, "metadata": {"continue": proceed}}, {}


GONE: Answer = (410, {"message": "the place is too old", "reason": "Expired"}, {})


def test_a_listing_whose_place_was_forgotten_begins_anew(server: Server, gateway: Gateway) -> None:
    server.answers = [page("deleted", "kept", proceed="2"), GONE, page("kept", proceed="2")]
    server.answers += [page("last")]
    found = gateway.list("/things")
    assert [each["metadata"]["name"] for each in found] == ["kept", "last"]


def test_the_last_time_it_is_listed_in_one_piece(server: Server, gateway: Gateway) -> None:
    for _ in range(FRESH_LISTINGS - 1):
        server.answers += [page("first", proceed="2"), GONE]
    server.answers += [page("first", "last")]
    assert len(gateway.list("/things", fields={"spec.a": "b"})) == 2
    asked = [path for _, path, _ in server.asked]
    assert "limit=" in asked[-2]
    assert asked[-1] == "/things?fieldSelector=spec.a%3Db"


def test_a_collection_that_is_gone_from_the_start_is_an_error(
    server: Server, gateway: Gateway
) -> None:
    server.always = GONE
    with pytest.raises(ApiError, match="too old"):
        gateway.list("/things")


def test_many_threads_share_the_connections(server: Server, gateway: Gateway) -> None:
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda n: gateway.get(f"/things/{n}"), range(200)))
    assert all(found)
    assert len(server.asked) == 200


def test_a_token_that_was_rotated_is_read_from_its_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [
            {"name": "k", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "u", "user": {"tokenFile": str(token)}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    # the library reads the variable KUBECONFIG when it is imported
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    gateway = connect()
    gateway.get("/things/one")
    token.write_text("second")
    server.answers = [(401, {"message": "Unauthorized"}, {})]
    gateway.get("/things/one")
    assert [sent.split()[1] for _, _, sent in server.asked] == ["first", "first", "second"]
