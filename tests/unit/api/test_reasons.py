"""The register of reasons: whole, used, and the same as what exceptions and Events say."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pytest

from entrasync import errors
from entrasync.api.crds import RESOURCES
from entrasync.api.reason import Severity
from entrasync.api.reason_reference import render_reasons
from entrasync.api.reasons import (
    GRACE,
    LATE_ARRIVALS,
    REASONS,
    TRANSIENT,
    needs_somebody,
    severity_of,
)
from entrasync.api.reasons_blocking import BLOCKED
from entrasync.api.reasons_calling_nobody import DEGRADED, GOOD, WAITING
from entrasync.api.reasons_calling_somebody import NEED_SOMEBODY
from tests.support.reasons_in_source import (
    CAMEL_CASE,
    raised,
    read_source,
    reasons_used,
    strings,
)

SOURCE: Final = read_source()
OF_PLANS: Final = frozenset({"WaitsAfterRefusal"})
"""Why a change of a plan is held; it shows in plans only."""
PERSONAL: Final = {
    name
    for name in dir(errors)
    if isinstance(getattr(errors, name), type)
    and issubclass(getattr(errors, name), errors.ConfigurationError)
}


def test_every_reason_that_is_used_is_registered() -> None:
    used = {
        reason: sorted(places)
        for reason, places in reasons_used(SOURCE).items()
        if CAMEL_CASE.fullmatch(reason) and reason not in OF_PLANS
    }
    assert {reason: places for reason, places in used.items() if reason not in REASONS} == {}
    assert len(used) > 40, "the scan finds less than there is"


def test_every_reason_that_is_registered_is_used() -> None:
    assert sorted(REASONS.keys() - strings(SOURCE)) == []


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.name)
def test_a_reason_says_what_it_means_and_what_to_do(reason: object) -> None:
    found = REASONS[getattr(reason, "name", "")]
    assert CAMEL_CASE.fullmatch(found.name)
    assert set(found.kinds) <= {each.definition.kind for each in RESOURCES}
    assert len(set(found.kinds)) == len(found.kinds) > 0
    for text in (found.means, found.remedy):
        assert text.endswith(".")
        assert text[0].isupper() or text[0] == "`"


def test_no_reason_is_registered_twice() -> None:
    assert len(REASONS) == len((*GOOD, *WAITING, *DEGRADED, *NEED_SOMEBODY, *BLOCKED))
    lines = render_reasons().splitlines()
    names = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert sorted(names) == sorted(REASONS)


def test_an_exception_for_people_has_a_reason_for_people() -> None:
    """Else a run ends with exit code 2, never to be tried again, and nobody is called."""
    for error, reason, place in raised(SOURCE):
        severity = severity_of(reason)
        if error in PERSONAL:
            assert severity is Severity.NEEDS_SOMEBODY, (error, reason, place)
        if error == "BlockedError":
            assert severity is Severity.BLOCKED, (error, reason, place)


def test_what_may_arrive_late_calls_nobody_before_ten_minutes() -> None:
    assert {"ReferenceNotFound", "SecretNotFound"} == LATE_ARRIVALS
    for reason in LATE_ARRIVALS:
        assert not needs_somebody(reason, GRACE - dt.timedelta(seconds=1))
        assert needs_somebody(reason, GRACE)


def test_what_passes_by_itself_calls_nobody() -> None:
    assert {"ServerUnreachable", "RunFailed", "Throttled"} <= TRANSIENT
    assert not any(needs_somebody(reason, dt.timedelta(days=9)) for reason in TRANSIENT)


def test_a_reason_of_another_version_calls_somebody() -> None:
    assert severity_of("NotKnownYet") is Severity.NEEDS_SOMEBODY
    assert needs_somebody("NotKnownYet", dt.timedelta())
