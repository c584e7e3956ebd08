"""When a tenant or directory is checked again."""

from __future__ import annotations

import datetime as dt

import pytest

from entrasync.api.active_directory import ActiveDirectory
from entrasync.controller.check_times import BIND_WAIT, check_due
from tests.support import samples
from tests.support.samples import NOW

SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)


def directory(
    *,
    status: str = "False",
    reason: str = "BaseNotFound",
    broken_for: dt.timedelta = dt.timedelta(),
    checked_generation: int = 1,
    asked: str | None = None,
) -> ActiveDirectory:
    """A directory whose last check ended now."""
    found = samples.directory().model_dump(by_alias=True)
    ready = samples.READY | {
        "status": status,
        "reason": reason,
        "lastTransitionTime": (NOW - broken_for).isoformat(),
    }
    found["status"] = {
        "lastCheckGeneration": checked_generation,
        "lastCheckTime": NOW.isoformat(),
        "lastHandledRequest": "before",
        "conditions": [ready],
    }
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
    ],
)
def test_what_is_new_changed_or_asked_for_is_checked_at_once(part: ActiveDirectory) -> None:
    assert check_due(part, NOW) == NOW


def test_an_answered_request_asks_for_nothing() -> None:
    assert check_due(directory(status="True", asked="before"), NOW) is None


@pytest.mark.parametrize(
    ("reason", "broken_for", "wait"),
    [
        ("BaseNotFound", 0 * MINUTE, MINUTE),
        ("BaseNotFound", 4 * MINUTE, 4 * MINUTE),
        ("BaseNotFound", 5 * 60 * MINUTE, 30 * MINUTE),
        ("ServerUnreachable", 0 * MINUTE, 20 * SECOND),
        ("SecretNotFound", 3 * MINUTE, 3 * MINUTE),
        ("ServerUnreachable", 60 * MINUTE, 5 * MINUTE),
        ("BindRejected", 0 * MINUTE, BIND_WAIT),
        ("BindRejected", 60 * MINUTE, 30 * MINUTE),
    ],
)
def test_waits_grow_with_how_long_it_has_been_so(
    reason: str, broken_for: dt.timedelta, wait: dt.timedelta
) -> None:
    assert check_due(directory(reason=reason, broken_for=broken_for), NOW) == NOW + wait
