"""What the tenant takes: sizes of requests, its quota of writes, values that are not unique."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from tests.support.branch import Branch
from tests.support.rig import Rig

pytestmark = pytest.mark.integration


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
    local: Rig, branch: Branch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody another engine synced has the address: no conflict of the directory."""
    stranger = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor="c3RyYW5nZXI=",
        properties={
            "userPrincipalName": "stranger@contoso.test",
            "mail": "shared@contoso.test",
            "proxyAddresses": ("SMTP:shared@contoso.test",),
        },
    )
    local.cloud.post(local.cloud.export([stranger])).raise_for_status()
    branch.person("ann", proxyAddresses="smtp:shared@contoso.test")

    result = local.run()

    assert (result.outcome, result.reason) == ("Succeeded", "Synchronized")
    assert (result.warning_count, result.error_count) == (1, 0)
    assert result.warnings[0].code == "QuarantinedAttributeValueMustBeUnique"
    assert result.message.endswith("; 1 object was taken with a reservation, see warnings")
    assert "warning: QuarantinedAttributeValueMustBeUnique" in capsys.readouterr().out
    # it is taken: nobody sends it again and again
    written = local.writes()
    assert local.run().warning_count == 0
    assert local.writes() == written


def test_two_that_want_the_same_address_are_told_before_anything_is_sent(
    local: Rig, branch: Branch
) -> None:
    dns = [branch.person(name, proxyAddresses="smtp:shared@contoso.test") for name in ("a", "b")]

    result = local.run(code=4)

    assert [each.code for each in result.errors] == ["DuplicateProxyAddress"]
    assert result.warning_count == 0
    assert len(local.anchors("User")) == 1
    (first,) = local.anchors("User")
    # whoever has it keeps it, until one of them has another
    again = local.run(code=4, scope="Full")
    assert [each.anchor for each in again.errors] == [result.errors[0].anchor]
    assert local.anchors("User") == {first}
    branch.hand.replace(dns[1], "proxyAddresses", "smtp:other@contoso.test")
    assert local.run().error_count == 0
    assert len(local.anchors("User")) == 2


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
