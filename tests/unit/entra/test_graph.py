"""The client of Microsoft Graph: what it asks, what it waits for, what it takes for a fact."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from entrasync.entra import graph
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.entra.graph import (
    LAST_SYNC,
    Account,
    Collection,
    GraphClient,
    GraphRefusedError,
    LastSync,
    Names,
    SyncSettings,
    graph_audience,
)
from entrasync.entra.graph_accounts import account_of, address_of, lookup_paths
from entrasync.entra.retrying import Patience
from entrasync.entra.surroundings import Surroundings
from entrasync.entra.tokens import MsalTokenSource, SecretCredential
from entrasync.errors import ConfigurationError, TransientError
from tests.support.emulator import TENANT_ID, EmulatorServer

HOST = "graph.test"
CLOUD = Cloud(
    name="private",
    login_authority="https://login.test",
    sync_service_url="https://sync.test",
    microsoft_graph=f"https://{HOST}/",
)
USER = SyncObjectType.USER
SYNCED = dt.datetime(2026, 3, 14, 15, 9, 26, tzinfo=dt.UTC)
NOBODY = Names(anchors=frozenset({"nobody"}))

Handler = Callable[[httpx.Request], httpx.Response]


def never(seconds: float) -> None:
    pytest.fail(f"it waited {seconds} seconds")


@dataclass
class Tokens:
    """Tokens by number; `problem` instead of any."""

    number: int = 1
    problem: Exception | None = None

    def token(self) -> str:
        if self.problem is not None:
            raise self.problem
        return f"token-{self.number}"

    def renew(self) -> None:
        self.number += 1


@dataclass
class Stage:
    """A client whose answers are chosen, and what it did."""

    answers: list[httpx.Response | Exception | Handler]
    tokens: Tokens = field(default_factory=Tokens)
    asked: list[httpx.Request] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = GraphClient(
            CLOUD,
            self.tokens,
            Surroundings(
                sleep=self.waited.append,
                new_id=lambda: "id",
                random=lambda: 1.0,
                clock=lambda: dt.datetime(2026, 11, 26, tzinfo=dt.UTC),
                patience=Patience(busy_seconds=100, most_tries=3),
            ),
            resource="EntraTenant/contoso",
            transport=httpx.MockTransport(self._answer),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


@pytest.fixture
def start() -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(*answers: httpx.Response | Exception | Handler, **options: Any) -> Stage:
        stages.append(Stage(list(answers), **options))
        return stages[-1]

    yield make
    for each in stages:
        each.client.close()


Start = Callable[..., Stage]


def page(*ids: str, proceed: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"value": [{"id": each} for each in ids]}
    return found | ({"@odata.nextLink": proceed} if proceed else {})


def told(document: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json=document)


def batch(*answers: tuple[str, int, dict[str, Any]], **headers: str) -> httpx.Response:
    return told(
        {
            "responses": [
                {"id": number, "status": status, "headers": headers, "body": body}
                for number, status, body in answers
            ]
        }
    )


def ids_of(stage: Stage, names: Names = NOBODY) -> list[str]:
    return [each.id for each in stage.client.accounts_by(Collection.USERS, names)]


def pages_of(stage: Stage) -> list[list[str]]:
    pages = stage.client.all_accounts(Collection.USERS)
    return [[each.id for each in some] for some in pages]


# --- what is asked -----------------------------------------------------------------------------


def test_the_audience_is_graph_itself() -> None:
    audience = graph_audience(CLOUD)

    assert audience is not None
    assert (audience.scope, audience.role) == (f"https://{HOST}/.default", None)
    assert graph_audience(Cloud(name="x", login_authority="x", sync_service_url="x")) is None


def test_a_cloud_without_graph_has_no_client() -> None:
    cloud = Cloud(name="x", login_authority="https://x", sync_service_url="https://x")
    with pytest.raises(ConfigurationError, match="microsoftGraph"):
        GraphClient(cloud, Tokens(), Surroundings(sleep=never, new_id=str))


def test_all_accounts_come_in_large_pages(start: Start) -> None:
    proceed = f"https://{HOST}/v1.0/users?$skiptoken=x"
    stage = start(told(page("1", "2", proceed=proceed)), told(page("3")))

    assert pages_of(stage) == [["1", "2"], ["3"]]
    first, second = stage.asked
    query = parse_qs(urlsplit(str(first.url)).query)
    assert query["$top"] == ["999"]
    assert set(query["$select"][0].split(",")) == {
        "id",
        "userPrincipalName",
        "mail",
        "proxyAddresses",
        "onPremisesImmutableId",
        "onPremisesSyncEnabled",
    }
    assert str(second.url) == proceed
    assert first.headers["authorization"] == "Bearer token-1"


def test_names_are_asked_for_together_and_quoted() -> None:
    names = Names(
        anchors=frozenset({"a+/=", "b'c"}),
        user_principal_names=frozenset({"o'neil@contoso.test"}),
        addresses=frozenset({"x&y@contoso.test"}),
    )
    filters = [
        parse_qs(urlsplit(each).query)["$filter"][0]
        for each in lookup_paths(Collection.USERS, names)
    ]

    assert filters == [
        "onPremisesImmutableId in ('a+/=','b''c')",
        "userPrincipalName in ('o''neil@contoso.test')",
        "mail in ('x&y@contoso.test')",
        "proxyAddresses/any(p:p eq 'smtp:x&y@contoso.test')",
    ]
    assert len(list(lookup_paths(Collection.CONTACTS, names))) == 2


def test_a_filter_has_few_comparisons_and_is_short() -> None:
    for length, most in ((8, 15), (300, 5)):
        names = Names(anchors=frozenset(f"{number:0{length}}" for number in range(100)))
        paths = list(lookup_paths(Collection.USERS, names))
        assert all(each.count("%27") <= 2 * most and len(each) < 2_048 for each in paths)
        assert sum(each.count("%27") for each in paths) == 200


def test_requests_travel_twenty_at_once(start: Start) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["requests"]
        assert request.url.path == "/v1.0/$batch"
        assert all(each["method"] == "GET" and each["url"].startswith("/users?") for each in asked)
        return batch(*((each["id"], 200, page(f"{len(asked)}-{each['id']}")) for each in asked))

    stage = start(answer, answer)
    # fifteen in a filter, so 21 filters
    names = Names(anchors=frozenset(f"{number:04}" for number in range(21 * 15)))

    assert len(ids_of(stage, names)) == 21
    assert len(stage.asked) == 2


def test_a_long_answer_within_a_batch_is_followed(start: Start) -> None:
    proceed = f"https://{HOST}/v1.0/users?$skiptoken=x"
    stage = start(batch(("0", 200, page("1", proceed=proceed))), told(page("2")))

    assert ids_of(stage) == ["1", "2"]


# --- what passes by itself ---------------------------------------------------------------------


def test_single_requests_of_a_batch_are_repeated(start: Start) -> None:
    names = Names(anchors=frozenset({"a"}), user_principal_names=frozenset({"b"}))
    stage = start(
        batch(("0", 200, page("1")), ("1", 429, {}), **{"Retry-After": "7"}),
        batch(("1", 503, {}), ("9", 200, page("stranger"))),
        batch(("1", 200, page("2"))),
    )

    assert ids_of(stage, names) == ["1", "2"]
    assert stage.waited == [7.0, 2.0]
    sent = [[each["id"] for each in json.loads(r.content)["requests"]] for r in stage.asked]
    assert sent == [["0", "1"], ["1"], ["1"]]


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (httpx.Response(429, headers={"retry-after": "9"}), 9.0),
        (httpx.Response(503), 1.0),
        (httpx.Response(500), 1.0),
        (httpx.Response(302, headers={"location": "https://else.test"}), 1.0),
        (httpx.ConnectError("x"), 1.0),
        (httpx.Response(200, text="<html>"), 1.0),
        (httpx.Response(200, text="[]"), 1.0),
    ],
)
def test_what_passes_is_tried_again(
    start: Start, answer: httpx.Response | Exception, wait: float
) -> None:
    stage = start(answer, told(page("1")))

    assert pages_of(stage) == [["1"]]
    assert stage.waited == [wait]
    assert stage.client.facts.readable


def test_patience_ends(start: Start) -> None:
    stage = start(*[httpx.Response(500)] * 3)
    with pytest.raises(TransientError, match="HTTP 500"):
        pages_of(stage)

    stage = start(batch(("0", 429, {}), **{"retry-after": "3600"}))
    with pytest.raises(TransientError, match="busy"):
        ids_of(stage)
    assert stage.waited == []


def test_a_batch_that_leaves_answers_out_is_not_taken_for_nothing_found(start: Start) -> None:
    stage = start(told({}), batch(("0", 200, page("1"))))
    assert ids_of(stage) == ["1"]

    answers = ["x", {"id": ["0"], "status": 200}, {"id": "0", "status": 200}]
    stage = start(*[told({"responses": answers})] * 3)
    with pytest.raises(TransientError, match="not of Microsoft Graph"):
        ids_of(stage)


def test_a_token_is_renewed_once(start: Start) -> None:
    stage = start(httpx.Response(401), told(page("1")))
    assert pages_of(stage) == [["1"]]
    assert stage.asked[1].headers["authorization"] == "Bearer token-2"

    stage = start(httpx.Response(401), httpx.Response(401))
    assert pages_of(stage) == []
    assert not stage.client.facts.readable


def test_the_token_never_goes_to_another_host(start: Start) -> None:
    for proceed in (
        "https://else.test/v1.0/users",
        f"http://{HOST}/x",
        f"https://{HOST}:1/x",
        "https://[::1",
    ):
        stage = start(told(page("1", proceed=proceed)))
        with pytest.raises(TransientError):
            pages_of(stage)
        assert len(stage.asked) == 1


# --- facts -------------------------------------------------------------------------------------


def test_a_missing_permission_is_a_fact(start: Start) -> None:
    stage = start(batch(("0", 403, {})), httpx.Response(403), httpx.Response(403))
    client = stage.client

    assert ids_of(stage) == []
    assert list(client.all_accounts(Collection.GROUPS)) == []
    assert client.settings() is None
    assert client.facts.unreadable == {Collection.USERS, Collection.GROUPS}
    assert client.facts.permissions == ("Group.Read.All", "User.Read.All")
    assert not client.facts.readable


def test_no_token_for_graph_is_a_fact(start: Start) -> None:
    stage = start(tokens=Tokens(problem=ConfigurationError("CredentialsRejected", "x")))

    assert pages_of(stage) == []
    assert stage.client.facts.unreadable == {Collection.USERS}


def test_a_filter_that_is_refused_is_no_fact(start: Start) -> None:
    stage = start(batch(("0", 400, {})))
    with pytest.raises(GraphRefusedError):
        ids_of(stage)
    assert stage.client.facts.readable


def test_a_list_without_end_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MOST_PAGES", 3)
    proceed = f"https://{HOST}/v1.0/users?$skiptoken=x"
    stage = start(*[told(page("1", proceed=proceed))] * 4)

    assert len(pages_of(stage)) == 3
    assert stage.client.facts.unreadable == {Collection.USERS}


def test_a_beta_that_refuses_says_nothing_of_permissions(start: Start) -> None:
    stage = start(batch(("0", 404, {})))

    assert stage.client.identifiers([Account(id="1", object_type=USER)]) == {}
    assert stage.client.facts.readable


def test_logs_and_errors_name_nobody(start: Start) -> None:
    secret = "ann@contoso.test"
    names = Names(user_principal_names=frozenset({secret}))
    proceed = f"https://{HOST}/v1.0/users?$filter={secret}"
    stage = start(
        httpx.ConnectError(secret),
        batch(("0", 200, page("1", proceed=proceed))),
        *[httpx.ReadError(secret)] * 3,
    )
    with capture_logs() as logs, pytest.raises(TransientError) as caught:
        ids_of(stage, names)

    error = caught.value
    assert secret not in repr([logs, str(error), error.__cause__, error.__context__])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, None),
        ({"id": 5}, None),
        ({"id": "1", "proxyAddresses": None, "mail": None}, Account(id="1", object_type=USER)),
        (
            {
                "id": "1",
                "userPrincipalName": "Ann@Contoso.test",
                "mail": "Ann@contoso.test",
                "proxyAddresses": ["SMTP:ann@contoso.test", "smtp:A@x.test", "x500:/o=x", 5],
                "onPremisesImmutableId": "Abc=",
                "onPremisesSyncEnabled": True,
            },
            Account(
                id="1",
                object_type=USER,
                synced=True,
                immutable_id="Abc=",
                user_principal_name="ann@contoso.test",
                addresses=("a@x.test", "ann@contoso.test"),
            ),
        ),
        (
            {"id": "1", "onPremisesSyncEnabled": None, "onPremisesImmutableId": ""},
            Account(id="1", object_type=USER),
        ),
    ],
)
def test_accounts_are_read_from_documents(
    document: dict[str, Any], expected: Account | None
) -> None:
    assert account_of(document, Collection.USERS) == expected


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("SMTP:Ann@x", "ann@x"),
        ("smtp:b@x", "b@x"),
        ("c@x", "c@x"),
        ("", None),
        ("smtp:", None),
        ("sip:d@x", None),
    ],
)
def test_only_mail_addresses_are_addresses(proxy: str, expected: str | None) -> None:
    assert address_of(proxy) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"value": []}, None),
        ({"value": ["x"]}, None),
        ({"value": [{}]}, SyncSettings(deletion_threshold=None, features={})),
        (
            {
                "value": [
                    {
                        "configuration": {
                            "accidentalDeletionPrevention": {
                                "synchronizationPreventionType": "enabledForPercentage",
                                "alertThreshold": 5,
                            }
                        },
                        "features": {"blockSoftMatchEnabled": True, "x": None},
                    }
                ]
            },
            SyncSettings(deletion_threshold=None, features={"blockSoftMatch": True, "x": False}),
        ),
    ],
)
def test_settings_are_read_from_documents(
    start: Start, document: dict[str, Any], expected: SyncSettings | None
) -> None:
    assert start(told(document)).client.settings() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], None),
        ("no list", None),
        (["no document"], None),
        ([{"id": TENANT_ID}], None),
        ([{LAST_SYNC: None}], LastSync(time=None)),
        ([{LAST_SYNC: 7}], None),
        ([{LAST_SYNC: "yesterday"}], None),
        ([{LAST_SYNC: "2026-03-14T15:09:26Z"}], LastSync(time=SYNCED)),
        ([{LAST_SYNC: "2026-03-14T15:09:26"}], LastSync(time=SYNCED)),
        ([{LAST_SYNC: "2026-03-14T17:09:26+02:00"}], LastSync(time=SYNCED)),
    ],
)
def test_when_the_tenant_was_synced_last_is_read_or_not_known(
    start: Start, value: Any, expected: LastSync | None
) -> None:
    assert start(told({"value": value})).client.last_sync() == expected


def test_when_it_was_synced_last_may_not_be_readable(start: Start) -> None:
    assert start(httpx.Response(403)).client.last_sync() is None


# --- the emulated Graph, over TLS --------------------------------------------------------------

OBJECTS = [
    {
        "type": "User",
        "immutableId": "aGFyZA==",
        "onPremisesObjectIdentifier": "AQEBAQEBAQEBAQEBAQEBAQ==",
        "attributes": {"userPrincipalName": "hard@contoso.test"},
    },
    {
        "type": "User",
        "attributes": {
            "userPrincipalName": "soft@contoso.test",
            "proxyAddresses": ["SMTP:soft@contoso.test", "smtp:second@contoso.test"],
        },
    },
    {"type": "User", "sourceAnchor": "Z29uZQ==", "deleted": True},
    {"type": "Group", "attributes": {"mail": "team@contoso.test"}},
    {"type": "Contact", "attributes": {"mail": "partner@contoso.test"}},
]


def connected(server: EmulatorServer) -> tuple[MsalTokenSource, GraphClient]:
    cloud = Cloud(
        name="emulated",
        login_authority=server.url,
        sync_service_url=server.url,
        microsoft_graph=server.url,
        ca_bundle_pem=server.ca_pem,
    )
    audience = graph_audience(cloud)
    assert audience is not None
    tokens = MsalTokenSource(
        cloud,
        TENANT_ID,
        server.client_id,
        SecretCredential(secret=server.client_secret),
        resource="EntraTenant/contoso",
        clock=lambda: dt.datetime.now(dt.UTC),
        audience=audience,
    )
    return tokens, GraphClient(
        cloud, tokens, Surroundings(sleep=never, new_id=lambda: str(uuid.uuid4()))
    )


@pytest.fixture(scope="module")
def client() -> Iterator[GraphClient]:
    with EmulatorServer({"objects": OBJECTS, "seed": {"users": 1200}}) as server:
        tokens, client = connected(server)
        with closing(tokens), client:
            yield client


@pytest.mark.integration
def test_accounts_are_found_by_any_name(client: GraphClient) -> None:
    names = Names(
        anchors=frozenset({"aGFyZA==", "bm9ib2R5"}),
        user_principal_names=frozenset({"soft@contoso.test", "o'neil@contoso.test"}),
        addresses=frozenset({"second@contoso.test", "team@contoso.test"}),
    )
    found = {each.id: each for each in client.accounts_by(Collection.USERS, names)}.values()

    assert {each.immutable_id for each in found} == {"aGFyZA==", None}
    (soft,) = (each for each in found if each.immutable_id is None)
    assert {"second@contoso.test", "soft@contoso.test"} <= set(soft.addresses)
    assert not soft.synced
    (team,) = {each.id: each for each in client.accounts_by(Collection.GROUPS, names)}.values()
    assert (team.object_type, team.addresses) == (SyncObjectType.GROUP, ("team@contoso.test",))
    assert list(client.accounts_by(Collection.CONTACTS, names)) == []
    assert client.facts.readable


@pytest.mark.integration
def test_all_accounts_and_deleted_ones_are_read(client: GraphClient) -> None:
    users = list(client.all_accounts(Collection.USERS))
    (contacts,) = client.all_accounts(Collection.CONTACTS)
    (deleted,) = client.all_accounts(Collection.DELETED_USERS)

    assert [len(each) for each in users] == [999, 1200 + 2 - 999]
    assert len({each.id for some in users for each in some}) == 1202
    assert sum(each.synced for some in users for each in some) == 1200
    assert [each.addresses for each in contacts] == [("partner@contoso.test",)]
    assert [(each.immutable_id, each.deleted) for each in deleted] == [("Z29uZQ==", True)]


@pytest.mark.integration
def test_the_directory_object_of_a_user_is_told(client: GraphClient) -> None:
    names = Names(anchors=frozenset({"aGFyZA=="}), addresses=frozenset({"soft@contoso.test"}))
    found = {each.immutable_id: each for each in client.accounts_by(Collection.USERS, names)}
    identifiers = client.identifiers(found.values())

    assert identifiers == {found["aGFyZA=="].id: b"\x01" * 16, found[None].id: None}


@pytest.mark.integration
def test_settings_of_the_tenant_are_told(client: GraphClient) -> None:
    found = client.settings()

    assert found is not None
    assert found.deletion_threshold == 500
    assert len(found.features) == 19
    assert found.features["softMatchOnUpn"] is True
    assert found.features["blockSoftMatch"] is False


@pytest.mark.integration
def test_a_tenant_that_was_never_synced_says_so(client: GraphClient) -> None:
    assert client.last_sync() == LastSync(time=None)


@pytest.mark.integration
def test_without_a_permission_the_emulated_graph_is_not_readable() -> None:
    application = {
        "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "clientSecret": "test-secret-of-the-emulated-tenant",
        "graphRoles": ["User.Read.All"],
    }
    with EmulatorServer({"applications": [application]}) as server:
        tokens, client = connected(server)
        with closing(tokens), client:
            names = Names(addresses=frozenset({"x@contoso.test"}))
            for each in (Collection.USERS, Collection.GROUPS, Collection.CONTACTS):
                assert list(client.accounts_by(each, names)) == []
            assert client.settings() is None
            assert client.facts.permissions == ("Group.Read.All", "OrgContact.Read.All")


@pytest.mark.integration
def test_an_export_onto_a_deleted_user_brings_it_back() -> None:
    with EmulatorServer({"objects": OBJECTS}) as server:
        tokens, client = connected(server)
        with closing(tokens), client:
            (before,) = client.all_accounts(Collection.DELETED_USERS)
            change = SyncObject(
                object_type=USER, operation=SyncOperation.SET, source_anchor="Z29uZQ=="
            )
            server.post(server.export([change]))
            (after,) = client.all_accounts(Collection.DELETED_USERS)
            names = Names(anchors=frozenset({"Z29uZQ=="}))
            (found,) = client.accounts_by(Collection.USERS, names)

    assert (after, found.synced) == ([], True)
    assert [each.id for each in before] == [found.id]
