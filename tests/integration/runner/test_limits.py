"""What the tenant takes: sizes of requests, its quota of writes, values that are not unique."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from tests.support.hand import Hand
from tests.support.rig import Rig

pytestmark = pytest.mark.integration

TOP = "OU=Contoso,DC=contoso,DC=test"


def test_requests_become_as_small_as_the_service_wants_them(rig: Rig) -> None:
    rig.cloud.set_faults(maxObjectsPerRequest=5)

    result = rig.run()

    assert (result.outcome, result.error_count) == ("Succeeded", 0)
    assert len(rig.anchors("User")) == 48
    sizes = [
        each["counts"]["objects"] for each in rig.cloud.requests() if "objects" in each["counts"]
    ]
    assert max(sizes) <= 5


def test_a_value_in_quarantine_is_a_warning(
    fresh: Rig, hand: Hand, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        dn = hand.add(
            f"CN={name},{TOP}",
            "user",
            sAMAccountName=name,
            userPrincipalName=f"{name}@contoso.test",
        )
        hand.replace(dn, "proxyAddresses", "smtp:shared@contoso.test")

    result = fresh.run()

    assert (result.outcome, result.reason) == ("Succeeded", "Synchronized")
    assert (result.warning_count, result.error_count) == (1, 0)
    assert result.warnings[0].code == "QuarantinedAttributeValueMustBeUnique"
    assert result.message.endswith("; 1 object was taken with a reservation, see warnings")
    assert "warning: QuarantinedAttributeValueMustBeUnique" in capsys.readouterr().out


def test_a_run_says_that_the_tenant_was_busy(rig: Rig) -> None:
    rig.cloud.set_faults(busyEvery=4)

    result = rig.run()

    assert result.outcome == "Succeeded"
    assert result.pacing is not None
    assert result.pacing.throttled > 0
    assert result.pacing.held_up


def test_a_run_that_waits_for_the_quota_says_so_and_can_be_ended(rig: Rig) -> None:
    rig.tenant["spec"]["writeQuotaPercent"] = 1
    with rig.start() as process:
        try:
            told = _until_it_waits(process)
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (told["stage"], told["total"]) == ("Export", 119)
    assert 250 < float(str(told["paced_seconds"])) <= 301
    assert out.startswith("Cancelled: Cancelled")
    written = rig.cloud.requests("ProvisionAzureADSyncObjects2")
    assert sum(each["counts"]["succeeded"] for each in written) == 70

    # with a larger share the next run goes on
    rig.tenant["spec"]["writeQuotaPercent"] = 100
    result = rig.run()
    assert result.outcome == "Succeeded"
    assert len(rig.anchors("User")) == 48


def _until_it_waits(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{"):
            told: dict[str, object] = json.loads(line)
            if "paced_seconds" in told:
                return told
    raise AssertionError("it never waited")
