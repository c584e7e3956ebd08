"""The client: what it asks of the service, and what it makes of the answers."""

from __future__ import annotations

import pytest

from entrasync.entra.capabilities import Capabilities, encode_capabilities_response
from entrasync.entra.contracts import (
    APPLICATION_IDS,
    LinkChange,
    ObjectResult,
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.infoset import CodecError
from entrasync.entra.requests import ReadBackRequest
from entrasync.entra.responses import (
    encode_finalize_export_response,
    encode_provision_response,
    encode_read_back_response,
)
from tests.unit.entra.samples import TENANT, TOKEN
from tests.unit.entra.service_stage import (
    COMPANY,
    HOST,
    V2,
    Stage,
    Start,
    company,
    fault,
    page,
    person,
    soap,
)


def test_a_request_says_who_asks_whom_for_what(start: Start) -> None:
    stage = start(company())

    assert stage.client.company_configuration() == COMPANY

    (request,), (sent,) = stage.requests, stage.sent
    assert request.method == "POST"
    assert str(request.url) == f"https://{HOST}/provisioningservice.svc" == sent.to
    assert not {"authorization", "cookie"} & set(request.headers)
    tracking = "00000000-0000-0000-0000-000000000001"
    expected = {
        "content-type": "application/soap+msbin1",
        "accept-encoding": "identity",
        "user-agent": "",
        "client-request-id": tracking,
        "x-ms-aadmsods-apiaction": "GetCompanyConfiguration",
        "x-ms-aadmsods-appid": APPLICATION_IDS[SyncVersion.V1],
        "x-ms-aadmsods-clientversion": "8.0",
        "x-ms-aadmsods-tenantid": TENANT,
    }
    assert {name: request.headers[name] for name in expected} == expected
    assert (sent.token.tracking_id, sent.token.bearer_token) == (tracking, TOKEN)
    assert sent.token.application_id == APPLICATION_IDS[SyncVersion.V1]


def test_a_cycle_uses_the_operations_of_its_version(start: Start) -> None:
    for version, suffix in ((SyncVersion.V1, ""), (V2, "2")):
        stage = start(
            soap(encode_capabilities_response(Capabilities(latest_product_version="3.2"))),
            soap(encode_provision_response(version, [])),
            soap(encode_read_back_response(version, ReadBackPage(objects=()))),
            soap(encode_finalize_export_response()),
            version=version,
        )
        assert stage.client.capabilities().latest_product_version == "3.2"
        stage.client.provision([person("YW5u")])
        list(stage.client.read_back())
        stage.client.finalize_export(1, 1)

        assert [each.operation for each in stage.sent] == [
            "Capabilities",
            f"ProvisionAzureADSyncObjects{suffix}",
            f"ReadBackAzureADSyncObjects{suffix}",
            "FinalizeExport",
        ]
        applications = [each.token.application_id for each in stage.sent]
        assert applications == [APPLICATION_IDS[SyncVersion.V1], *[APPLICATION_IDS[version]] * 3]


def test_calls_with_objects_may_take_ten_minutes_and_small_ones_less(start: Start) -> None:
    stage = start(
        company(),
        soap(encode_capabilities_response(Capabilities())),
        soap(encode_provision_response(V2, [])),
        page(),
        soap(encode_finalize_export_response()),
    )
    stage.client.company_configuration()
    stage.client.capabilities()
    stage.client.provision([])
    list(stage.client.read_back())
    stage.client.finalize_export(0, 0)

    timeouts = [each.extensions["timeout"] for each in stage.requests]
    assert [each["read"] for each in timeouts] == [120, 120, 600, 600, 120]
    assert {each["connect"] for each in timeouts} == {20}


def test_what_cannot_travel_is_not_tried_again(start: Start) -> None:
    stage = start(version=SyncVersion.V1)
    broken = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="Zzox",
        links=(LinkChange(anchor="YW5u", add=True),),
    )

    with pytest.raises(CodecError):
        stage.client.provision([broken])
    assert (stage.requests, stage.waits) == ([], [])


def good(anchor: str) -> ObjectResult:
    return ObjectResult(source_anchor=anchor, cloud_anchor="User_1", success=True)


def test_an_export_has_its_results_in_the_order_of_its_objects(start: Start) -> None:
    stage = start(soap(encode_provision_response(V2, [good("b"), good("a")])))

    results = stage.client.provision([person("a"), person("b"), person("c")])

    assert [(each.source_anchor, each.success) for each in results] == [
        ("a", True),
        ("b", True),
        ("c", False),
    ]


def test_an_export_sent_again_is_the_same(start: Start) -> None:
    deletion = SyncObject(
        object_type=SyncObjectType.USER, operation=SyncOperation.DELETE, source_anchor="a"
    )
    done = soap(encode_provision_response(V2, [good("a"), good("b")]))
    stage = start(fault(), fault(), done)

    stage.client.provision([deletion, person("b")])

    assert [each.payload for each in stage.sent] == [[deletion, person("b")]] * 3


@pytest.mark.parametrize("token", [TOKEN, "an-opaque-token-of-some-length"])
def test_the_token_is_in_no_result(start: Start, token: str) -> None:
    words = f"no: <BearerToken>{token}</BearerToken> for <pii>ann</pii>"
    told = ObjectResult(source_anchor="a", success=False, code=token, description=words)
    stage = start(soap(encode_provision_response(V2, [told])))
    stage.tokens.values = [token]

    (result,) = stage.client.provision([person("a")])

    assert result.code == "<redacted>"
    assert result.description == "no: <BearerToken><redacted></BearerToken> for <redacted>"


def payloads(stage: Stage) -> list[object]:
    return [each.payload for each in stage.sent]


def test_a_read_back_is_full_unless_it_goes_on_from_a_cookie(start: Start) -> None:
    stage = start(page(cookie="9"), page(cookie="9"))
    list(stage.client.read_back())
    list(stage.client.read_back("8"))

    assert payloads(stage) == [
        ReadBackRequest(is_full_sync=True),
        ReadBackRequest(is_full_sync=False, input_cookie="8"),
    ]


@pytest.mark.parametrize("code", ["Sender", "Receiver", "CookieInvalid"])
def test_a_cookie_that_is_not_taken_makes_a_delta_a_full_read_back(start: Start, code: str) -> None:
    refusal = fault(code, "The Cookie is not valid or has expired.")
    stage = start(refusal, page("a", cookie="1"), page(cookie="2"))

    pages = list(stage.client.read_back("old"))

    assert [(each.restart, len(each.objects), each.cookie) for each in pages] == [
        (True, 0, None),
        (False, 1, "1"),
        (False, 0, "2"),
    ]
    assert payloads(stage) == [
        ReadBackRequest(is_full_sync=False, input_cookie="old"),
        ReadBackRequest(is_full_sync=True),
        ReadBackRequest(is_full_sync=True, input_cookie="1"),
    ]
    assert stage.waits == []


def test_a_client_is_closed_with_its_context(start: Start) -> None:
    stage = start(company())
    with stage.client as client:
        client.company_configuration()

    with pytest.raises(RuntimeError, match="closed"):
        client.company_configuration()
