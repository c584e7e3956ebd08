"""The client: where the token goes, what is tried again, and what becomes of an answer."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from entrasync.entra import client as client_module
from entrasync.entra.client import (
    LONGEST_WAIT,
    MAX_HOPS,
    MAX_TRIES,
    Surroundings,
    SyncServiceClient,
    match_results,
)
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    APPLICATION_IDS,
    BUSY_CODE,
    BUSY_TEXT,
    CONTENT_TYPE,
    NOT_ACTIVATED_TEXT,
    CompanyConfiguration,
    LinkChange,
    ObjectResult,
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.faults import ACTION_NOT_SUPPORTED, encode_fault, encode_redirection_fault
from entrasync.entra.infoset import CodecError
from entrasync.entra.object_errors import NO_RESULT_CODE
from entrasync.entra.requests import ReadBackRequest, Request, decode_request
from entrasync.entra.responses import (
    encode_company_configuration_response,
    encode_finalize_export_response,
    encode_provision_response,
    encode_read_back_response,
)
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError
from tests.unit.entra.samples import MODERATE, TENANT, TOKEN

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
PERSON = SyncObject(
    object_type=SyncObjectType.USER, operation=SyncOperation.SET, source_anchor="YW5u"
)


def soap(data: bytes, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=data, headers={"content-type": CONTENT_TYPE})


def company() -> httpx.Response:
    return soap(encode_company_configuration_response(COMPANY))


def fault(
    code: str = "Receiver", description: str = "d", number: int | None = None
) -> httpx.Response:
    return soap(encode_fault(code, "r", error_code=number, description=description), 500)


def busy() -> httpx.Response:
    return fault(description=BUSY_TEXT, number=BUSY_CODE)


def redirect(url: str) -> httpx.Response:
    return soap(encode_redirection_fault(url), 500)


def page(*anchors: str, cookie: str | None = None, more: bool = False) -> httpx.Response:
    objects = tuple(
        SyncObject(object_type=SyncObjectType.USER, operation=SyncOperation.SET, source_anchor=each)
        for each in anchors
    )
    held = ReadBackPage(objects=objects, cookie=cookie, more=more)
    return soap(encode_read_back_response(V2, held))


class Tokens:
    def __init__(self, value: str = TOKEN) -> None:
        self.value = value
        self.asked = 0

    def token(self) -> str:
        self.asked += 1
        return self.value


@dataclass
class Stage:
    """A client, what it meets, and what it did."""

    answers: list[httpx.Response | Exception]
    version: SyncVersion = V2
    tokens: Tokens = field(default_factory=Tokens)
    requests: list[httpx.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
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
                clock=lambda: NOW,
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


@pytest.fixture
def start() -> Iterator[Start]:
    stages: list[Stage] = []

    def make(*answers: httpx.Response | Exception, version: SyncVersion = V2) -> Stage:
        stages.append(Stage(list(answers), version))
        return stages[-1]

    yield make
    for each in stages:
        each.client.close()


def refusal(stage: Stage) -> EntrasyncError:
    with pytest.raises(EntrasyncError) as caught:
        stage.client.company_configuration()
    return caught.value


def test_a_request_says_who_asks_whom_for_what(start: Start) -> None:
    stage = start(company())

    assert stage.client.company_configuration() == COMPANY

    (request,), (sent,) = stage.requests, stage.sent
    assert request.method == "POST"
    assert str(request.url) == f"https://{HOST}/provisioningservice.svc" == sent.to
    assert "authorization" not in request.headers
    tracking = "00000000-0000-0000-0000-000000000001"
    expected = {
        "content-type": "application/soap+msbin1",
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
            soap(encode_provision_response(version, [])),
            soap(encode_read_back_response(version, ReadBackPage(objects=()))),
            soap(encode_finalize_export_response()),
            version=version,
        )
        stage.client.provision([PERSON])
        list(stage.client.read_back())
        stage.client.finalize_export(1, 1)

        assert [each.operation for each in stage.sent] == [
            f"ProvisionAzureADSyncObjects{suffix}",
            f"ReadBackAzureADSyncObjects{suffix}",
            "FinalizeExport",
        ]
        assert stage.sent[0].token.application_id == APPLICATION_IDS[version]


def test_redirections_are_followed_and_remembered(start: Start) -> None:
    stage = start(
        redirect("https://one.microsoftonline.com/x"),
        redirect("https://two.microsoftonline.com:444/"),
        company(),
        company(),
    )

    stage.client.company_configuration()
    stage.client.company_configuration()

    one, two = "one.microsoftonline.com", "two.microsoftonline.com"
    assert stage.hosts == [HOST, one, two, two]
    assert stage.client.endpoint_url == f"https://{two}:444/provisioningservice.svc"
    # the header names the address posted to, each time anew
    assert [each.to for each in stage.sent] == [str(each.url) for each in stage.requests]
    assert stage.waits == []


def test_five_hops_are_followed_and_no_more(start: Start) -> None:
    hops = [f"https://h{number}.microsoftonline.com/" for number in range(MAX_HOPS + 1)]
    stage = start(*map(redirect, hops[:-1]), company())
    assert stage.client.company_configuration() == COMPANY

    stage = start(*map(redirect, hops), company())
    error = refusal(stage)
    assert (type(error), error.reason) == (TransientError, "RunFailed")
    assert "redirected more than 5 times" in error.message
    assert (len(stage.requests), stage.waits) == (MAX_HOPS + 1, [])


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/provisioningservice.svc",
        "https://evil-microsoftonline.com/",
        "https://a.microsoftonline.com@evil.example/",
        "https://127.0.0.1/",
        "http://a.microsoftonline.com/",
        "https://[::1",
        "https://[a.microsoftonline.com]/",
        "https://a.microsoftonline.com:99999/",
        "",
    ],
)
def test_nothing_is_sent_to_a_foreign_host(start: Start, url: str) -> None:
    stage = start(redirect(url))

    error = refusal(stage)

    assert isinstance(error, ConfigurationError)
    assert (error.reason, error.resource) == ("EndpointNotOffered", "AzureCloud/commercial")
    assert stage.hosts == [HOST]
    assert stage.client.endpoint_url == f"https://{HOST}/provisioningservice.svc"


@MODERATE
@given(st.text(max_size=20), st.sampled_from(["https://", "https://[", "https://a.", ""]))
def test_a_redirection_to_anything_is_refused_or_followed(text: str, begin: str) -> None:
    stage = Stage([redirect(f"{begin}{text}"), company()])
    try:
        stage.client.company_configuration()
    except ConfigurationError as error:
        assert error.reason == "EndpointNotOffered"  # noqa: PT017 - either way is right
    finally:
        stage.client.close()
    assert all(host.endswith(".microsoftonline.com") for host in stage.hosts)


def test_what_is_busy_is_asked_again_after_growing_waits(start: Start) -> None:
    stage = start(
        busy(), httpx.Response(503), httpx.ReadError("cut"), httpx.Response(429), company()
    )

    assert stage.client.company_configuration() == COMPANY

    # doubling, times 0.5 to 1: the random number of this stage is always a half
    assert stage.waits == [0.75, 1.5, 3.0, 6.0]
    assert stage.tokens.asked == 5


def test_every_try_has_the_same_tracking_id_and_a_message_id_of_its_own(start: Start) -> None:
    stage = start(busy(), redirect("https://one.microsoftonline.com/"), busy(), company())

    stage.client.company_configuration()

    assert len({each.token.tracking_id for each in stage.sent}) == 1
    assert len({each.headers["client-request-id"] for each in stage.requests}) == 1
    assert len({each.message_id for each in stage.sent}) == 4


def test_two_calls_have_two_tracking_ids(start: Start) -> None:
    stage = start(company(), company())

    stage.client.company_configuration()
    stage.client.company_configuration()

    assert len({each.token.tracking_id for each in stage.sent}) == 2


def test_trying_again_comes_to_an_end(start: Start) -> None:
    stage = start(*(busy() for _ in range(MAX_TRIES)))

    error = refusal(stage)

    assert (type(error), error.reason) == (TransientError, "Throttled")
    assert (len(stage.requests), len(stage.waits)) == (MAX_TRIES, MAX_TRIES - 1)
    assert max(stage.waits) <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("86400", 300.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        ("Tue, 24 Nov 2026 12:00:30", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        # what is neither is as good as nothing: 1 second times three quarters
        ("soon", 0.75),
        ("-5", 0.75),
        ("1.5", 0.75),
        ("", 0.75),
        ("\u00b2", 0.75),
        ("Tue, 24 Nov 99999 12:00:30 GMT", 0.75),
    ],
)
def test_the_service_says_how_long_to_wait(start: Start, header: str, wait: float) -> None:
    raw = [(b"retry-after", header.encode("latin-1"))]
    stage = start(httpx.Response(503, headers=raw), company())

    stage.client.company_configuration()

    assert stage.waits == [wait]


@MODERATE
@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30))
def test_any_retry_after_is_a_wait(header: str) -> None:
    raw = [(b"retry-after", header.encode("latin-1"))]
    stage = Stage([httpx.Response(503, headers=raw), company()])
    try:
        stage.client.company_configuration()
    finally:
        stage.client.close()
    assert 0 <= stage.waits[0] <= 5 * LONGEST_WAIT


@pytest.mark.parametrize(
    ("answer", "reason", "field_"),
    [
        (fault(description=NOT_ACTIVATED_TEXT), "SyncDisabledInTenant", "spec.tenantId"),
        (fault(description=ACCESS_DENIED_TEXT), "RoleMissing", "spec.application.clientId"),
        (fault(code=ACTION_NOT_SUPPORTED), "EndpointNotOffered", "spec.transport"),
        (httpx.Response(404), "EndpointNotOffered", "spec.syncService.url"),
        (httpx.Response(403, text="<html>"), "EndpointNotOffered", "spec.syncService.url"),
        (httpx.Response(302), "EndpointNotOffered", "spec.syncService.url"),
        (httpx.Response(200, text="welcome"), "EndpointNotOffered", "spec.syncService.url"),
    ],
)
def test_what_a_person_must_settle_is_not_tried_again(
    start: Start, answer: httpx.Response, reason: str, field_: str
) -> None:
    # the table's answers are read once and only here
    stage = start(
        httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
    )

    error = refusal(stage)

    assert isinstance(error, ConfigurationError)
    assert (error.reason, error.field) == (reason, field_)
    assert (len(stage.requests), stage.waits) == (1, [])


def test_a_fault_not_known_is_told_in_its_own_words(start: Start) -> None:
    stage = start(*(fault(description="<pii>ann</pii> is odd") for _ in range(MAX_TRIES)))

    error = refusal(stage)

    assert error.reason == "RunFailed"
    assert error.message.endswith("answered: <redacted> is odd")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 599])
@pytest.mark.parametrize("content_type", ["text/html", "application/soap+xml", "", CONTENT_TYPE])
def test_what_is_not_soap_never_reaches_the_decoder(
    start: Start, monkeypatch: pytest.MonkeyPatch, status: int, content_type: str
) -> None:
    opened: list[bytes] = []
    monkeypatch.setattr(client_module, "open_response", opened.append)
    if (status, content_type) == (500, CONTENT_TYPE):
        content_type = "application/soap+msbin1x"
    headers = {"content-type": content_type}
    stage = start(*(httpx.Response(status, content=b"\x56", headers=headers) for _ in range(6)))

    assert refusal(stage).reason == "Throttled"
    assert opened == []


def test_a_media_type_may_have_parameters_and_any_case(start: Start) -> None:
    headers = {"content-type": "Application/SOAP+msbin1; charset=utf-8"}
    stage = start(httpx.Response(200, content=company().content, headers=headers))

    assert stage.client.company_configuration() == COMPANY


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x56\x02", company().content[:-3]])
def test_an_answer_that_cannot_be_read_may_be_better_the_next_time(
    start: Start, body: bytes
) -> None:
    stage = start(soap(body), company())
    assert stage.client.company_configuration() == COMPANY

    error = refusal(start(*(soap(body) for _ in range(MAX_TRIES))))
    assert (type(error), error.reason) == (TransientError, "RunFailed")


def test_an_answer_has_a_largest_size(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", len(company().content) - 1)

    error = refusal(start(*(company() for _ in range(MAX_TRIES))))

    assert "more than" in error.message
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", len(company().content))
    assert start(company()).client.company_configuration() == COMPANY


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


def test_a_service_out_of_reach_is_named(start: Start) -> None:
    stage = start(*(httpx.ConnectError("refused") for _ in range(MAX_TRIES)))

    error = refusal(stage)

    assert (type(error), error.reason) == (TransientError, "ServerUnreachable")
    assert HOST in error.message


def failures() -> list[Callable[[], httpx.Response | Exception]]:
    told = f"bad token {TOKEN} in BearerToken"
    return [
        lambda: fault(description=told),
        lambda: fault(code="Sender", description=told, number=5),
        lambda: soap(encode_fault("Sender", told), 500),
        lambda: httpx.Response(503, text=told),
        lambda: httpx.Response(400, text=told),
        lambda: soap(told.encode()),
        lambda: httpx.ConnectError(told),
        lambda: redirect(f"https://evil.example/?{TOKEN}"),
        company,
    ]


@pytest.mark.parametrize("number", range(len(failures())))
def test_the_token_is_in_no_log_and_no_exception(
    start: Start, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage = start(*(failures()[number]() for _ in range(MAX_TRIES)))
    text = ""
    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        try:
            stage.client.company_configuration()
        except EntrasyncError as error:
            text = f"{error!s} {error!r} {error.message} {error.__cause__!r}"

    assert logs
    assert TOKEN not in text
    assert TOKEN not in repr(logs)
    assert TOKEN not in caplog.text
    assert stage.sent[0].token.bearer_token == TOKEN


def test_waits_are_logged_with_the_tracking_id(start: Start) -> None:
    stage = start(busy(), company())
    with capture_logs() as logs:
        stage.client.company_configuration()

    tracking = stage.sent[0].token.tracking_id
    (waited,) = [each for each in logs if each["event"] == "sync_service_busy"]
    assert waited["tracking_id"] == tracking
    assert (waited["tries"], waited["reason"], waited["log_level"]) == (1, "Throttled", "warning")


def read(stage: Stage) -> list[str]:
    return [each.source_anchor for found in stage.client.read_back() for each in found.objects]


def cookies(stage: Stage) -> list[str | None]:
    payloads = [each.payload for each in stage.sent]
    return [each.input_cookie for each in payloads if isinstance(each, ReadBackRequest)]


def test_one_page_without_a_cookie_is_all_there_is(start: Start) -> None:
    stage = start(page("a", "b"))

    assert read(stage) == ["a", "b"]
    assert cookies(stage) == [None]


def test_pages_are_read_while_there_is_more(start: Start) -> None:
    stage = start(
        page("a", cookie="1", more=True),
        page(cookie="2", more=True),
        page("b", cookie="3"),
        page(cookie="4"),
    )

    assert read(stage) == ["a", "b"]
    assert cookies(stage) == [None, "1", "2", "3"]


def test_the_same_cookie_again_is_the_end(start: Start) -> None:
    stage = start(page("a", cookie="1"), page("b", cookie="1"))

    assert read(stage) == ["a", "b"]


@pytest.mark.parametrize("cookie", [None, "1"])
def test_more_without_a_way_on_is_an_error(start: Start, cookie: str | None) -> None:
    # taken for the end, what was not read would look deleted
    stage = start(page("a", cookie="1", more=True), page("b", cookie=cookie, more=True))

    with pytest.raises(TransientError, match="not where to go on") as caught:
        read(stage)
    assert caught.value.resource == "EntraTenant/contoso"
    assert len(stage.requests) == 2


def test_reading_without_end_is_stopped(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGES", 3)
    stage = start(*(page("a", cookie=str(number)) for number in range(4)))

    with pytest.raises(TransientError, match="did not come to an end"):
        read(stage)
    assert len(stage.requests) == 3


def test_a_read_back_is_full_unless_told_otherwise(start: Start) -> None:
    stage = start(page(), page())
    list(stage.client.read_back())
    list(stage.client.read_back(full=False))

    payloads = [each.payload for each in stage.sent]
    assert payloads == [ReadBackRequest(is_full_sync=True), ReadBackRequest(is_full_sync=False)]


def person(anchor: str) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER, operation=SyncOperation.SET, source_anchor=anchor
    )


def good(anchor: str, cloud_anchor: str = "User_1") -> ObjectResult:
    return ObjectResult(source_anchor=anchor, cloud_anchor=cloud_anchor, success=True)


def test_results_are_matched_by_anchor_and_not_by_place() -> None:
    bad = ObjectResult(source_anchor="b", success=False, code="InvalidSoftMatch")

    assert match_results([person("a"), person("b")], [bad, good("a")]) == [good("a"), bad]


def test_an_object_not_mentioned_has_failed() -> None:
    matched = match_results([person("a"), person("b")], [good("b"), good("stranger")])

    assert [each.source_anchor for each in matched] == ["a", "b"]
    assert [each.success for each in matched] == [False, True]
    assert matched[0].code == NO_RESULT_CODE


def test_one_anchor_twice_is_matched_in_order() -> None:
    results = [good("a", "User_1"), good("a", "User_2")]

    assert match_results([person("a"), person("a"), person("a")], results)[:2] == results
    assert not match_results([person("a"), person("a")], results[:1])[1].success


@given(st.lists(st.sampled_from("abc")), st.permutations(list("abcd")))
def test_there_is_one_result_for_each_object(anchors: list[str], answered: list[str]) -> None:
    matched = match_results([person(each) for each in anchors], [good(each) for each in answered])

    assert [each.source_anchor for each in matched] == anchors
    assert sum(each.success for each in matched) == len(set(anchors))


def test_an_export_has_its_results_in_the_order_of_its_objects(start: Start) -> None:
    stage = start(soap(encode_provision_response(V2, [good("b"), good("a")])))

    results = stage.client.provision([person("a"), person("b"), person("c")])

    assert [(each.source_anchor, each.success) for each in results] == [
        ("a", True),
        ("b", True),
        ("c", False),
    ]


def test_a_client_is_closed_with_its_context(start: Start) -> None:
    stage = start(company())
    with stage.client as client:
        client.company_configuration()

    with pytest.raises(RuntimeError, match="closed"):
        client.company_configuration()
