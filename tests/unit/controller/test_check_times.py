"""When a tenant or directory is checked again."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from entrasync.api.active_directory import ActiveDirectory
from entrasync.controller.check_times import BIND_WAIT, check_due, is_forced
from tests.support import samples
from tests.support.samples import NOW

SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)


def directory(
    *,
    status: str = "False",
    reason: str = "BaseNotFound",
    failures: int | None = 1,
    checked_generation: int = 1,
    asked: str | None = None,
    checked: dt.timedelta = dt.timedelta(),
    forced: dt.timedelta | None = None,
) -> ActiveDirectory:
    """A directory whose last check ended so long ago, and was last forced so long ago."""
    found = samples.directory().model_dump(by_alias=True)
    found["status"] = {
        "lastCheckGeneration": checked_generation,
        "lastCheckTime": (NOW - checked).isoformat(),
        "lastHandledRequest": "before",
        "consecutiveFailures": failures,
        "conditions": [samples.READY | {"status": status, "reason": reason}],
    }
    if forced is not None:
        found["status"]["lastForcedCheckTime"] = (NOW - forced).isoformat()
    if asked is not None:
        found["metadata"]["annotations"] = {"entrasync.dev/run-requested-at": asked}
    return ActiveDirectory.model_validate(found)


def test_what_is_good_is_not_checked_again() -> None:
    assert check_due(directory(status="True", reason="Accepted"), NOW) is None


@pytest.mark.parametrize(
    "part",
    [
        samples.directory(ready=False),
        directory(status="True", checked_generation=0),
        directory(status="True", asked="now"),
        directory(asked="now", failures=9),
    ],
)
def test_what_is_new_changed_or_asked_for_is_checked_at_once(part: ActiveDirectory) -> None:
    assert check_due(part, NOW) == NOW
    assert not is_forced(part, NOW)


def test_an_answered_request_asks_for_nothing() -> None:
    assert check_due(directory(status="True", asked="before"), NOW) is None


@pytest.mark.parametrize(
    ("reason", "failures", "wait"),
    [
        ("BaseNotFound", None, MINUTE),
        ("BaseNotFound", 1, MINUTE),
        ("BaseNotFound", 2, 2 * MINUTE),
        ("BaseNotFound", 5, 16 * MINUTE),
        ("BaseNotFound", 6, 30 * MINUTE),
        ("BaseNotFound", 10**9, 30 * MINUTE),
        ("ServerUnreachable", 1, 20 * SECOND),
        ("SecretNotFound", 3, 80 * SECOND),
        ("ServerUnreachable", 99, 5 * MINUTE),
        ("BindRejected", 1, BIND_WAIT),
        ("BindRejected", 2, 30 * MINUTE),
    ],
)
def test_waits_double(reason: str, failures: int | None, wait: dt.timedelta) -> None:
    assert check_due(directory(reason=reason, failures=failures), NOW) == NOW + wait


def test_a_clock_that_was_set_back_leaves_nobody_waiting_for_its_old_time() -> None:
    part = directory(checked=dt.timedelta(days=-1))
    assert check_due(part, NOW) == NOW + MINUTE


@pytest.mark.parametrize("more", [{"asked": "now"}, {"checked_generation": 0}])
def test_after_a_refused_bind_a_person_may_force_one_check(more: dict[str, Any]) -> None:
    part = directory(reason="BindRejected", checked=2 * MINUTE, **more)
    assert check_due(part, NOW) == NOW
    assert is_forced(part, NOW)


@pytest.mark.parametrize("more", [{"asked": "now"}, {"checked_generation": 0}])
def test_but_not_another_one_before_fifteen_minutes_have_passed(more: dict[str, Any]) -> None:
    part = directory(reason="BindRejected", checked=2 * MINUTE, forced=3 * MINUTE, **more)
    assert check_due(part, NOW) == NOW + BIND_WAIT - 2 * MINUTE
    later = NOW + BIND_WAIT - 2 * MINUTE
    assert check_due(part, later) == later
    assert not is_forced(part, later)


def test_what_was_forced_long_ago_is_forgotten() -> None:
    part = directory(reason="BindRejected", asked="now", checked=2 * MINUTE, forced=60 * MINUTE)
    assert check_due(part, NOW) == NOW
