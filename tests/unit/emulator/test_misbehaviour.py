from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from entrasync.emulator.http import Cut
from entrasync.emulator.misbehaviour import (
    AbandonedError,
    Fate,
    Misbehaviour,
    Mishap,
    SoapAnswer,
)
from entrasync.emulator.refusals import FaultError
from entrasync.emulator.switches import Switches
from entrasync.entra.contracts import BUSY_CODE, CONTENT_TYPE

START = 1_000.0
NOTHING = "-"


def misbehaving(**switches: Any) -> Misbehaviour:
    return Misbehaviour(Switches.model_validate(switches), START)


def outcome(tenant: Misbehaviour, operation: str = "Export") -> str:
    try:
        fate = tenant.begin(operation)
    except (AbandonedError, FaultError) as error:
        return str(error)
    return NOTHING if fate.mishap is None else fate.mishap.value


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, "- - - -"),
        ({"busyEvery": 1}, "Busy Busy Busy Busy"),
        ({"busyEvery": 2}, "- Busy - Busy"),
        ({"dropBeforeEvery": 3}, "- - DroppedBefore -"),
        ({"dropAfterEvery": 4}, "- - - DroppedAfter"),
        ({"gatewayEvery": 2}, "- Gateway - Gateway"),
        ({"malformedEvery": 2}, "- Malformed - Malformed"),
        ({"busyEvery": 2, "malformedEvery": 1}, "Malformed Busy Malformed Busy"),
        ({"dropBeforeEvery": 2, "busyEvery": 2}, "- DroppedBefore - DroppedBefore"),
        ({"operations": ["Import"], "busyEvery": 1}, "- - - -"),
        ({"operations": ["Export"], "busyEvery": 2}, "- Busy - Busy"),
    ],
)
def test_every_so_many_calls_one_goes_wrong(switches: dict[str, Any], expected: str) -> None:
    tenant = misbehaving(**switches)

    assert " ".join(outcome(tenant) for _ in range(4)) == expected


def test_an_answer_is_held_back_besides() -> None:
    tenant = misbehaving(delaySeconds=2.5, delayEvery=2, malformedEvery=2)

    assert tenant.begin("Export") == Fate()
    assert tenant.begin("Export") == Fate(mishap=Mishap.MALFORMED, delay_seconds=2.5)


def test_the_first_requests_are_sent_where_they_came_to() -> None:
    tenant = misbehaving(redirects=1)
    with pytest.raises(FaultError) as caught:
        tenant.redirect("a.test:8443")
    assert caught.value.redirect_url == "https://a.test:8443/provisioningservice.svc"
    tenant.redirect("a.test:8443")


@pytest.mark.parametrize(
    ("own", "host", "url"),
    [
        ("b.test", "a.test", "https://b.test/"),
        ("b.test", "a.test:8443", "https://b.test:8443/"),
        ("b.test:1", "a.test:8443", "https://b.test:1/"),
        ("B.test", "b.test", None),
        ("b.test", "b.test:8443", None),
        ("b.test", "[bad", "https://b.test/"),
    ],
)
def test_a_tenant_has_a_host_of_its_own(own: str, host: str, url: str | None) -> None:
    tenant = misbehaving(redirectHost=own)
    if url is None:
        tenant.redirect(host)
        return
    with pytest.raises(FaultError) as caught:
        tenant.redirect(host)
    assert caught.value.redirect_url == f"{url}provisioningservice.svc"


@pytest.mark.parametrize(
    "writes",
    [
        # (second, objects, admitted), 10 objects in 60 seconds
        [(0, 10, True), (0, 1, False), (59, 1, False), (60, 1, True)],
        [(0, 4, True), (30, 6, True), (59, 4, False), (60, 4, True), (61, 1, False)],
        [(0, 25, True), (1, 1, False), (61, 25, True)],
        [(0, 9, True), (0, 2, False), (0, 1, True), (0, 0, True)],
    ],
)
def test_writes_over_the_limit_are_busy_and_not_counted(
    writes: list[tuple[int, int, bool]],
) -> None:
    tenant = misbehaving(throttle={"writes": 10, "seconds": 60})
    for second, count, admitted in writes:
        if admitted:
            tenant.admit_writes(count, START + second)
            continue
        with pytest.raises(FaultError) as caught:
            tenant.admit_writes(count, START + second)
        assert (caught.value.name, caught.value.error_code) == ("Throttled", BUSY_CODE)


def test_the_limit_of_microsoft_is_there_for_the_asking_and_off_by_default() -> None:
    misbehaving().admit_writes(1_000_000, START)
    limit = misbehaving(throttle={}).switches.throttle
    assert limit is not None
    assert (limit.writes, limit.seconds) == (7000, 300)


@pytest.mark.parametrize(
    ("switches", "age", "taken"),
    [
        ({}, 1e9, True),
        ({"tokenLifetimeSeconds": 60, "cookieLifetimeSeconds": 60}, 59, True),
        ({"tokenLifetimeSeconds": 60, "cookieLifetimeSeconds": 60}, 60, False),
        ({"expireTokens": True, "expireCookies": True}, 0, True),
    ],
)
def test_tokens_and_cookies_last_as_long_as_is_switched(
    switches: dict[str, Any], age: float, *, taken: bool
) -> None:
    tenant = misbehaving(**switches)

    assert tenant.takes_token(START, START + age) is taken
    assert tenant.takes_cookie(START, START + age) is taken


def test_what_expired_by_a_switch_stays_expired_when_the_switches_go_back() -> None:
    tenant = misbehaving()
    tenant.switch({"expireTokens": True, "expireCookies": True}, START + 10)
    tenant.switch({}, START + 20)

    for takes in (tenant.takes_token, tenant.takes_cookie):
        assert not takes(START + 9, START + 30)
        assert takes(START + 10, START + 30)


def test_switching_counts_anew_and_a_bad_switch_changes_nothing() -> None:
    tenant = misbehaving(busyEvery=2)
    tenant.begin("Export")
    tenant.switch({"malformed": "Garbage"}, START)
    assert (outcome(tenant), tenant.switches.busy_every) == (NOTHING, 2)

    with pytest.raises(ValidationError):
        tenant.switch({"busyEvery": 1, "noSuch": 1}, START)
    assert outcome(tenant) == "Busy"


@pytest.mark.parametrize(
    ("mishap", "switches", "status", "content_type", "body", "cut"),
    [
        (None, {}, 200, CONTENT_TYPE, b"whole", None),
        (Mishap.DROP_BEFORE, {}, 200, CONTENT_TYPE, b"", Cut.AT_ONCE),
        (Mishap.DROP_AFTER, {}, 200, CONTENT_TYPE, b"", Cut.AT_ONCE),
        (Mishap.MALFORMED, {}, 200, CONTENT_TYPE, b"wh", None),
        (Mishap.MALFORMED, {"malformed": "CutOff"}, 200, CONTENT_TYPE, b"whole", Cut.IN_THE_MIDDLE),
        (
            Mishap.MALFORMED,
            {"malformed": "WrongContentType"},
            200,
            "application/octet-stream",
            b"whole",
            None,
        ),
    ],
)
def test_an_answer_goes_out_as_it_is_to(
    mishap: Mishap | None,
    switches: dict[str, Any],
    status: int,
    content_type: str,
    body: bytes,
    cut: Cut | None,
) -> None:
    answer = SoapAnswer(
        body=b"whole",
        mishap=mishap,
        delay_seconds=1.0 if cut is Cut.AT_ONCE else 0.0,
        switches=Switches.model_validate(switches),
    ).response()

    assert (answer.status, answer.content_type, answer.body) == (status, content_type, body)
    assert (answer.cut, answer.headers) == (cut, ())


def test_a_gateway_speaks_to_people() -> None:
    switches = Switches(gateway_status=502, gateway_retry_after_seconds=7)
    answer = SoapAnswer(mishap=Mishap.GATEWAY, switches=switches).response()

    assert (answer.status, answer.headers) == (502, (("retry-after", "7"),))
    assert answer.content_type.startswith("text/html")
    assert answer.body.startswith(b"<!doctype html>")
