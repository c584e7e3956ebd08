"""Schedules as the API server admits them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import samples
from tests.support.control_plane import ControlPlane
from tests.support.kube import RefusedError

NIGHT: dict[str, Any] = {"kind": "Deny", "cron": "0 2 * * 6", "duration": "4h"}


def create(control_plane: ControlPlane, namespace: str, schedule: dict[str, Any]) -> dict[str, Any]:
    manifest = samples.sync().to_manifest()
    manifest["metadata"] = {"generateName": "sync-", "namespace": namespace}
    manifest["spec"] |= {"schedule": schedule, "suspend": True}
    return control_plane.kube.create(manifest)


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ({"interval": "30m", "cron": "* * * * *"}, "`interval` may not be specified when `cron`"),
        ({"interval": "9s"}, "`interval` must be at least 10s"),
        ({"timeZone": "Europe/Berlin"}, "together with `cron` or `windows`"),
        ({"cron": "61 * * * *"}, "`cron` must be a cron expression of five fields"),
        ({"cron": "@hourly"}, "spec.schedule.cron"),
        ({"cron": "0 0 L * *"}, "`cron` must be a cron expression of five fields"),
        ({"cron": "TZ=Europe/Berlin 0 * * *"}, "`cron` must be a cron expression"),
        ({"jitter": "31m"}, "`jitter` must not be longer than `interval`"),
        ({"cron": "* * * * *", "jitter": "25h"}, "24h with `cron`"),
        ({"startingDeadline": "1s"}, "`startingDeadline` must be at least 10s"),
        ({"fullEvery": 0}, "spec.schedule.fullEvery"),
        ({"windows": []}, "spec.schedule.windows"),
        ({"windows": [NIGHT | {"duration": "169h"}]}, "`duration` must be from 1m to 168h"),
        ({"windows": [NIGHT | {"duration": "59s"}]}, "`duration` must be from 1m to 168h"),
        ({"windows": [NIGHT | {"cron": "0 25 * * *"}]}, "spec.schedule.windows[0].cron"),
        ({"windows": [NIGHT | {"kind": "Whatever"}]}, "spec.schedule.windows[0].kind"),
        ({"windows": [NIGHT] * 17}, "spec.schedule.windows"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field(
    control_plane: ControlPlane, namespace: str, schedule: dict[str, Any], told: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        create(control_plane, namespace, schedule)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"interval": "1h30m", "jitter": "90m", "startingDeadline": "10s", "fullEvery": 1},
        {"cron": "*/5,30-40/2 0-6 ? JAN-mar,12 MON-FRI", "timeZone": "Australia/Lord_Howe"},
        {"windows": [NIGHT] * 16, "timeZone": "Europe/Berlin"},
        {"windows": [NIGHT | {"timeZone": "Asia/Tokyo", "kind": "Allow", "duration": "168h"}]},
    ],
)
def test_what_can_be_is_admitted_as_it_was_written(
    control_plane: ControlPlane, namespace: str, schedule: dict[str, Any]
) -> None:
    made = create(control_plane, namespace, schedule)
    assert made["spec"]["schedule"] == schedule
