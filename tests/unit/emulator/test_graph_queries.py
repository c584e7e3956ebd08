"""What the emulated Graph understands of filters and batches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from entrasync.emulator.config import Tenant
from entrasync.emulator.graph_batch import answer_batch
from entrasync.emulator.graph_calls import Call, GraphError
from entrasync.emulator.graph_filters import filter_of
from entrasync.emulator.http import HttpRequest, HttpResponse, json_response
from entrasync.emulator.objects import CloudObject, Names
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.switches import Switches
from entrasync.emulator.tenant import RunningTenant, start_tenant
from entrasync.entra.contracts import SyncObjectType

USER, GROUP = SyncObjectType.USER, SyncObjectType.GROUP
ANN = CloudObject(
    object_type=USER,
    cloud_anchor="User_1",
    source_anchor="QW5u",
    names=Names(
        user_principal_name="o'neil@contoso.test",
        addresses=("SMTP:ann@contoso.test", "smtp:second@contoso.test"),
        mail="ann@contoso.test",
    ),
)
EMPTY = CloudObject(object_type=USER, cloud_anchor="User_2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail eq 'ann@contoso.test'", True),
        ("mail eq 'ANN@contoso.test'", True),
        ("mail eq 'ann@contoso'", False),
        ("mail eq ''", False),
        ("onPremisesImmutableId eq 'QW5u'", True),
        ("onPremisesImmutableId eq 'qw5u'", False),
        ("userPrincipalName eq 'o''neil@contoso.test'", True),
        ("userPrincipalName in ('x', 'O''NEIL@contoso.test')", True),
        ("userPrincipalName in('x')", False),
        ("proxyAddresses/any(p:p eq 'smtp:ann@contoso.test')", True),
        ("proxyAddresses/any( x : x eq 'SMTP:second@contoso.test' )", True),
        ("proxyAddresses/any(p:p eq 'second@contoso.test')", False),
        ("mail eq 'x' or proxyAddresses/any(p:p eq 'smtp:second@contoso.test')", True),
        ("mail eq 'x' or mail eq 'y'", False),
        (" mail in ('a','b or c') or  mail eq 'ann@contoso.test' ", True),
    ],
)
def test_objects_are_found_by_their_names(text: str, *, expected: bool) -> None:
    matches = filter_of(text, USER)

    assert matches(ANN) is expected
    assert not matches(EMPTY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "mail",
        "mail eq",
        "mail eq ann",
        "mail eq 'ann",
        "mail eq 'a''",
        "mail ne 'a'",
        "mail eq 'a' and mail eq 'b'",
        "mail eq 'a' or",
        "mail eq 'a' ormail eq 'b'",
        "mail eq 'a' mail eq 'b'",
        "mail in ()",
        "mail in ('a' 'b')",
        "displayName eq 'a'",
        "proxyAddresses eq 'a'",
        "mail/any(p:p eq 'a')",
        "proxyAddresses/any(p:q eq 'a')",
        f"mail in ({','.join(repr(str(each)) for each in range(16))})",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(GraphError) as caught:
        filter_of(text, USER)
    assert (caught.value.status, caught.value.code) == (400, "Request_UnsupportedQuery")


@pytest.mark.parametrize("name", ["onPremisesImmutableId", "userPrincipalName"])
def test_groups_have_no_such_names(name: str) -> None:
    with pytest.raises(GraphError):
        filter_of(f"{name} eq 'a'", GROUP)
    assert not filter_of("mail eq 'a'", GROUP)(EMPTY)


# --- batches -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tenant() -> Iterator[RunningTenant]:
    config = Tenant.model_validate(
        {
            "tenantId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "applications": [{"clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}],
        }
    )
    with DataFile(None) as data:
        yield start_tenant(config, Switches(), data, new_id=str, digits=str)


def call(tenant: RunningTenant, content: Any, method: str = "POST") -> Call:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = HttpRequest(
        method=method, path="/beta/$batch", query={}, host="h:1", headers={"a": "b"}, body=body
    )
    return Call(tenant=tenant, request=request, roles=frozenset({"r"}))


def nobody(one: Call) -> HttpResponse:
    pytest.fail(f"{one.request.path} was asked")


def item(number: int = 0, **members: Any) -> dict[str, Any]:
    return {"id": str(number), "method": "GET", "url": "/users"} | members


def test_each_request_is_answered_on_its_own(tenant: RunningTenant) -> None:
    asked: list[Call] = []

    def answer(one: Call) -> HttpResponse:
        asked.append(one)
        if one.request.method == "PATCH":
            return HttpResponse(status=204, content_type="text/plain", body=b"")
        return json_response({"n": len(asked)}, 404)

    found = answer_batch(
        call(
            tenant,
            {
                "requests": [
                    item(7, url="/users/a%20b?$filter=mail%20eq%20%27a%27&$top=5"),
                    item(8, method="patch", url="/x", headers={"If-Match": "1"}, body={"y": 1}),
                ]
            },
        ),
        answer,
    )

    first, second = (each.request for each in asked)
    assert (first.method, first.path, first.host) == ("GET", "/beta/users/a b", "h:1")
    assert first.query == {"$filter": "mail eq 'a'", "$top": "5"}
    assert (first.headers, first.body) == ({}, b"")
    assert (second.headers, json.loads(second.body)) == ({"if-match": "1"}, {"y": 1})
    assert {each.roles for each in asked} == {frozenset({"r"})}
    told = json.loads(found.body)["responses"]
    assert [(each["id"], each["status"], each.get("body")) for each in told] == [
        ("7", 404, {"n": 1}),
        ("8", 204, None),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        [],
        {},
        {"requests": []},
        {"requests": [item(each) for each in range(21)]},
        {"requests": [item(1), item(1)]},
        {"requests": [item(url="users")]},
        {"requests": [item(id="")]},
        {"requests": [item(dependsOn=["1"])]},
        {"requests": [{"id": "1"}]},
    ],
)
def test_what_is_no_batch_is_refused(tenant: RunningTenant, content: Any) -> None:
    with pytest.raises(GraphError) as caught:
        answer_batch(call(tenant, content), nobody)
    assert (caught.value.status, caught.value.code) == (400, "Request_BadRequest")


def test_a_batch_is_posted(tenant: RunningTenant) -> None:
    with pytest.raises(GraphError) as caught:
        answer_batch(call(tenant, {"requests": [item()]}, method="GET"), nobody)
    assert caught.value.status == 405
