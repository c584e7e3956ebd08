"""One call: where the token goes, what is tried again, and what becomes of an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from entrasync.entra import calling
from entrasync.entra.calling import MAX_HOPS
from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    CONTENT_TYPE,
    NOT_ACTIVATED_TEXT,
    CompanyConfiguration,
)
from entrasync.entra.faults import ACTION_NOT_SUPPORTED, RequestRefusedError, encode_fault
from entrasync.entra.infoset import CodecError
from entrasync.entra.responses import decode_company_configuration_response
from entrasync.entra.retrying import Patience, Throttled
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError
from tests.unit.entra.samples import MODERATE, TOKEN
from tests.unit.entra.service_stage import (
    COMPANY,
    HOST,
    TRIES,
    Stage,
    Start,
    Tokens,
    busy,
    company,
    fault,
    redirect,
    soap,
)

OWN = "one.microsoftonline.com"
DISCOVERY_URL = f"https://{HOST}/provisioningservice.svc"


def denied() -> httpx.Response:
    return fault(description=ACCESS_DENIED_TEXT)


def refusal(stage: Stage) -> EntrasyncError:
    with pytest.raises(EntrasyncError) as caught:
        stage.client.company_configuration()
    return caught.value


# --- redirections ------------------------------------------------------------------------------


def test_redirections_are_followed_and_remembered(start: Start) -> None:
    stage = start(
        redirect(f"https://{OWN}/x"),
        redirect("https://two.microsoftonline.com:444/"),
        company(),
        company(),
    )

    stage.client.company_configuration()
    stage.client.company_configuration()

    two = "two.microsoftonline.com"
    assert stage.hosts == [HOST, OWN, two, two]
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
    assert stage.client.endpoint_url == DISCOVERY_URL


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


@pytest.mark.parametrize("lost", [httpx.ConnectError("gone"), httpx.ConnectTimeout("silent")])
def test_a_host_that_is_gone_is_looked_for_again(start: Start, lost: Exception) -> None:
    two = "two.microsoftonline.com"
    stage = start(
        redirect(f"https://{OWN}/"), company(), lost, redirect(f"https://{two}/"), company()
    )
    stage.client.company_configuration()

    assert stage.client.company_configuration() == COMPANY

    assert stage.hosts == [HOST, OWN, OWN, HOST, two]
    # what was lost counts as a try
    assert stage.waits == [0.75]


def test_looking_again_for_a_host_that_stays_away_comes_to_an_end(start: Start) -> None:
    rounds = [[redirect(f"https://{OWN}/"), httpx.ConnectError("gone")] for _ in range(TRIES)]
    stage = start(*(each for both in rounds for each in both))

    error = refusal(stage)

    assert (error.reason, OWN in error.message) == ("ServerUnreachable", True)
    assert stage.hosts == [HOST, OWN] * TRIES


def test_a_host_that_only_is_slow_is_kept(start: Start) -> None:
    stage = start(redirect(f"https://{OWN}/"), httpx.ReadTimeout("slow"), company())

    stage.client.company_configuration()

    assert stage.hosts == [HOST, OWN, OWN]


# --- trying again ------------------------------------------------------------------------------


def test_what_passes_by_itself_is_asked_again_after_growing_waits(start: Start) -> None:
    stage = start(
        busy(),
        httpx.Response(503),
        httpx.ReadError("cut"),
        httpx.Response(502),
        httpx.Response(429),
        company(),
    )

    assert stage.client.company_configuration() == COMPANY

    # doubling, times 0.5 to 1: the random number of this stage is always a half. What is busy and
    # what fails grow on their own
    assert stage.waits == [0.75, 1.5, 0.75, 1.5, 3.0]
    assert stage.tokens.asked == 6


def test_a_tenant_that_stays_busy_is_waited_for_a_quarter_of_an_hour(start: Start) -> None:
    stage = start(forever=busy)

    error = refusal(stage)

    assert isinstance(error, TransientError)
    assert error.reason == "Throttled"
    assert sum(stage.waits) == 900
    assert max(stage.waits) <= 60
    assert len(stage.busy) == len(stage.requests) == len(stage.waits) + 1


def test_a_tenant_that_is_busy_for_ten_minutes_is_served_in_the_end(start: Start) -> None:
    stage = start(*(busy() for _ in range(14)), company())

    assert stage.client.company_configuration() == COMPANY
    assert sum(stage.waits) > 400


def test_whoever_asks_is_told_of_throttling(start: Start) -> None:
    stage = start(busy(), httpx.Response(503), httpx.ReadError("cut"), company(), company())
    assert stage.client.throttled == Throttled()

    stage.client.company_configuration()
    stage.client.company_configuration()

    assert stage.client.throttled == Throttled(times=2, seconds=0.75 + 1.5)
    assert stage.busy == ["GetCompanyConfiguration"] * 2


def test_patience_may_be_shorter(start: Start) -> None:
    stage = start(forever=busy, patience=Patience(busy_seconds=2.0))

    assert refusal(stage).reason == "Throttled"
    assert sum(stage.waits) == 2.0


def test_other_failures_come_to_an_end_after_some_tries(start: Start) -> None:
    stage = start(forever=lambda: httpx.Response(502))

    error = refusal(stage)

    assert (type(error), error.reason) == (TransientError, "ServerUnreachable")
    assert (len(stage.requests), len(stage.waits)) == (TRIES, TRIES - 1)
    assert stage.client.throttled == Throttled()


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("300", 300.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 12:00:30", 30.0),
        # never sooner than without it
        ("0", 0.75),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.75),
        ("soon", 0.75),
    ],
)
@pytest.mark.parametrize("answered", [503, 429, 502, 500])
def test_the_service_says_how_long_to_wait(
    start: Start, answered: int, header: str, wait: float
) -> None:
    headers = {"retry-after": header}
    first = httpx.Response(answered, headers=headers)
    if answered == 500:
        first = busy(retry_after=header)
    stage = start(first, company())

    stage.client.company_configuration()

    assert stage.waits == [wait]


def test_a_wait_longer_than_all_patience_is_not_cut_short(start: Start) -> None:
    stage = start(httpx.Response(503, headers={"retry-after": "86400"}))

    error = refusal(stage)

    assert isinstance(error, TransientError)
    assert (error.reason, error.retry_after) == ("Throttled", 86_400)
    assert stage.waits == []


@MODERATE
@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30))
def test_any_retry_after_is_a_wait_or_an_end(header: str) -> None:
    raw = [(b"retry-after", header.encode("latin-1"))]
    stage = Stage([httpx.Response(503, headers=raw), company()])
    try:
        stage.client.company_configuration()
        assert 0 < stage.waits[0] <= 900
    except TransientError as error:
        assert (error.retry_after or 0) > 900  # noqa: PT017 - either way is right
    finally:
        stage.client.close()


def test_a_service_out_of_reach_is_named(start: Start) -> None:
    stage = start(forever=lambda: httpx.ConnectError("refused"))

    error = refusal(stage)

    assert (type(error), error.reason) == (TransientError, "ServerUnreachable")
    assert HOST in error.message
    assert len(stage.requests) == TRIES


# --- tokens ------------------------------------------------------------------------------------


def test_a_token_that_was_good_before_is_renewed_once(start: Start) -> None:
    stage = start(company(), denied(), company(), tokens=Tokens("first", "second"))

    stage.client.company_configuration()
    assert stage.client.company_configuration() == COMPANY

    assert [each.token.bearer_token for each in stage.sent] == ["first", "first", "second"]
    assert (stage.tokens.renewals, stage.waits) == (1, [])


@pytest.mark.parametrize("tokens", [("first", "second"), ("first",)])
def test_a_new_token_that_is_denied_as_well_lacks_the_role(
    start: Start, tokens: tuple[str, ...]
) -> None:
    stage = start(company(), denied(), denied(), tokens=Tokens(*tokens))
    stage.client.company_configuration()

    error = refusal(stage)

    assert isinstance(error, ConfigurationError)
    assert (error.reason, error.field) == ("RoleMissing", "spec.application.clientId")
    assert "ADSynchronization.ReadWrite.All" in error.message
    assert (stage.tokens.renewals, len(stage.requests)) == (1, 3)


def test_a_token_that_never_was_good_is_not_renewed(start: Start) -> None:
    stage = start(denied())

    assert refusal(stage).reason == "RoleMissing"
    assert (stage.tokens.renewals, len(stage.requests)) == (0, 1)


def test_each_call_may_renew_a_token(start: Start) -> None:
    tokens = Tokens("first", "second", "third")
    stage = start(company(), denied(), company(), denied(), company(), tokens=tokens)

    for _ in range(3):
        stage.client.company_configuration()

    assert stage.tokens.renewals == 2


# --- tracking ----------------------------------------------------------------------------------


def test_every_try_has_one_id_of_its_own(start: Start) -> None:
    stage = start(busy(), redirect(f"https://{OWN}/"), httpx.ReadError("cut"), company())

    stage.client.company_configuration()

    tracking = [each.token.tracking_id for each in stage.sent]
    assert len(set(tracking)) == 4
    assert [each.message_id for each in stage.sent] == tracking
    assert [each.headers["client-request-id"] for each in stage.requests] == tracking


def test_every_try_is_logged_with_its_id(start: Start) -> None:
    stage = start(busy(), httpx.ReadError("cut"), company())
    with capture_logs() as logs:
        stage.client.company_configuration()

    tracking = [each.token.tracking_id for each in stage.sent]
    tried = [each for each in logs if each["event"] == "sync_service_call"]
    assert [each["tracking_id"] for each in tried] == tracking
    waited = [each for each in logs if "wait_seconds" in each]
    assert [(each["event"], each["reason"], each["log_level"]) for each in waited] == [
        ("sync_service_busy", "Throttled", "warning"),
        ("sync_service_try_failed", "ServerUnreachable", "warning"),
    ]
    assert [each["tracking_id"] for each in waited] == tracking[:2]


def last_words() -> dict[str, Callable[[], httpx.Response | Exception]]:
    return {
        "fault": lambda: fault(description="odd"),
        "refusal": lambda: fault("Sender", "odd"),
        "denied": denied,
        "busy": busy,
        "gateway": lambda: httpx.Response(502),
        "foreign": lambda: httpx.Response(404),
        "cut": lambda: httpx.ReadError("cut"),
        "unreadable": lambda: soap(b"\x56"),
        "redirected": lambda: redirect("https://evil.example/"),
        "round": lambda: redirect(f"https://{OWN}/"),
    }


@pytest.mark.parametrize("which", sorted(last_words()))
def test_the_error_that_ends_a_call_names_its_last_try(start: Start, which: str) -> None:
    stage = start(forever=last_words()[which])

    error = refusal(stage)

    assert error.message.endswith(f"(tracking id {stage.sent[-1].token.tracking_id})")
    assert error.message.count("tracking id") == 1
    assert str(error).endswith(error.message)


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason", "field_"),
    [
        (fault(description=NOT_ACTIVATED_TEXT), "SyncDisabledInTenant", "spec.tenantId"),
        (denied(), "RoleMissing", "spec.application.clientId"),
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


@pytest.mark.parametrize(
    "stranger",
    [
        lambda: httpx.Response(200, text="welcome"),
        lambda: httpx.Response(302),
        lambda: httpx.Response(403, text="<html>"),
        lambda: httpx.Response(404),
    ],
)
def test_where_the_service_has_spoken_a_stranger_is_an_accident(
    start: Start, stranger: Callable[[], httpx.Response]
) -> None:
    """The address is right then: a proxy or a firewall answered once instead."""
    stage = start(company(), stranger(), company(), forever=stranger)
    stage.client.company_configuration()

    assert stage.client.company_configuration() == COMPANY
    assert len(stage.waits) == 1

    error = refusal(stage)
    assert (type(error), error.reason) == (TransientError, "ServerUnreachable")
    assert "look at the proxy and the firewall" in error.message


def test_a_build_that_is_too_old_asks_for_a_newer_one(start: Start) -> None:
    stage = start(fault("Sender", "This version of the client is no longer supported."))

    error = refusal(stage)

    assert (type(error), error.reason) == (ConfigurationError, "EndpointNotOffered")
    assert "clients of build 2.5.79.0" in error.message
    assert "install a newer entrasync" in error.message
    assert (len(stage.requests), stage.waits) == (1, [])


@pytest.mark.parametrize(
    "answer",
    [
        lambda: fault("Sender", "too much"),
        lambda: fault("DeserializationFailed", "no"),
        lambda: fault("Receiver", "The formatter threw an exception while trying to deserialize"),
        lambda: httpx.Response(413),
    ],
)
def test_a_request_that_is_to_blame_is_not_sent_again(
    start: Start, answer: Callable[[], httpx.Response]
) -> None:
    stage = start(answer())

    error = refusal(stage)

    assert (type(error), error.reason) == (RequestRefusedError, "RunFailed")
    assert (len(stage.requests), stage.waits) == (1, [])


def test_a_fault_not_known_is_told_in_its_own_words(start: Start) -> None:
    stage = start(forever=lambda: fault(description="<pii>ann</pii> is odd"))

    error = refusal(stage)

    assert (error.reason, len(stage.requests)) == ("RunFailed", TRIES)
    assert "answered: <redacted> is odd (" in error.message


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429, 599])
@pytest.mark.parametrize("content_type", ["text/html", "application/soap+xml", "", CONTENT_TYPE])
def test_what_is_not_soap_never_reaches_the_decoder(
    start: Start, status: int, content_type: str
) -> None:
    if (status, content_type) == (500, CONTENT_TYPE):
        content_type = "application/soap+msbin1x"
    headers = {"content-type": content_type}
    # read as SOAP it would say that sync is switched off
    body = encode_fault("Receiver", "r", description=NOT_ACTIVATED_TEXT)
    stage = start(forever=lambda: httpx.Response(status, content=body, headers=headers))

    error = refusal(stage)

    assert isinstance(error, TransientError)
    assert error.reason == ("Throttled" if status in {429, 503} else "ServerUnreachable")


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

    stage = start(forever=lambda: soap(body))
    error = refusal(stage)
    assert (type(error), error.reason) == (TransientError, "RunFailed")
    assert len(stage.requests) == TRIES


def test_an_answer_has_a_largest_size(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "MAX_ANSWER_BYTES", len(company().content) - 1)

    error = refusal(start(forever=company))

    assert "more than" in error.message
    monkeypatch.setattr(calling, "MAX_ANSWER_BYTES", len(company().content))
    assert start(company()).client.company_configuration() == COMPANY


def test_an_answer_is_decoded_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def counted(data: bytes) -> CompanyConfiguration:
        read.append(data)
        return decode_company_configuration_response(data)

    name = decode_company_configuration_response.__name__
    monkeypatch.setattr(f"entrasync.entra.client.{name}", counted)
    stage = start(busy(), company())

    assert stage.client.company_configuration() == COMPANY
    assert len(read) == 2


# --- privacy -----------------------------------------------------------------------------------


def repeating(token: str) -> list[Callable[[], httpx.Response | Exception]]:
    told = f"bad token {token} in BearerToken"
    return [
        lambda: fault(description=told),
        lambda: fault(code="Sender", description=told, number=5),
        lambda: fault(description=f"{told} ... <pii>{token}</pii>"),
        lambda: soap(encode_fault("Sender", told), 500),
        lambda: soap(encode_fault(told, told), 500),
        lambda: httpx.Response(503, text=told),
        lambda: httpx.Response(400, text=told),
        lambda: soap(told.encode()),
        lambda: httpx.ConnectError(told),
        lambda: redirect(f"https://evil.example/?{token}"),
        company,
    ]


@pytest.mark.parametrize("token", [TOKEN, "an-opaque-token-of-some-length"])
@pytest.mark.parametrize("number", range(len(repeating(""))))
def test_the_token_is_in_no_log_and_no_exception(
    start: Start, number: int, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = start(forever=repeating(token)[number], tokens=Tokens(token))
    text = ""
    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        try:
            stage.client.company_configuration()
        except EntrasyncError as error:
            text = f"{error!s} {error!r} {error.args} {error.message}"
            text += f"{error.__cause__!r} {error.__context__!r}"

    assert logs
    assert token not in text
    assert token not in repr(logs)
    assert token not in caplog.text
    assert stage.sent[0].token.bearer_token == token


def test_half_a_token_is_taken_out_too(start: Start) -> None:
    half = TOKEN.rpartition(".")[0]
    stage = start(fault("Sender", f"cannot read {half}"))

    error = refusal(stage)

    assert not any(piece in error.message for piece in half.split("."))
    assert not isinstance(error, CodecError)
