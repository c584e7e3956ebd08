"""Every fault the emulated cloud knows, against whole runs: nothing is lost and nothing doubled.

Each case is one run while the cloud misbehaves, and runs after it has stopped: what the first one
says, and that the tenant then holds exactly the company, without a deletion on the way there.
Waits do not take their time, see `Clockwork`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from entrasync.api.result import RunResult
from tests.support.emulator import EmulatorServer
from tests.support.rig import Clockwork, Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

EXPORT = "ProvisionAzureADSyncObjects2"
READ = "ReadBackAzureADSyncObjects2"
FINALIZE = "FinalizeExport"
TYPES = ("User", "Group", "Contact", "Device")
MALFORMED = ("Truncated", "CutOff", "Garbage", "WrongContentType")

Held = dict[str, Any]


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    found = Clockwork()
    found.wind(monkeypatch)
    return found


@pytest.fixture
def cloud(clockwork: Clockwork) -> Iterator[EmulatorServer]:
    with EmulatorServer(clock=clockwork.now) as server:
        yield server


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, samba_small: SambaServer) -> Held:
    """What a tenant that never misbehaves holds after one run."""
    with EmulatorServer() as server:
        rig = Rig(tmp_path_factory.mktemp("reference"), samba_small, server)
        rig.run()
        return held(server)


def held(cloud: EmulatorServer) -> Held:
    """Objects with their attributes, and links, by SourceAnchor; none may be there twice."""
    assert not any(cloud.objects(kind, deleted=True) for kind in TYPES)
    objects = [each for kind in TYPES for each in cloud.objects(kind)]
    found = {
        each["sourceAnchor"]: {
            **{name: each[name] for name in ("type", "attributes", "synced", "quarantined")},
            "links": cloud.links(each["sourceAnchor"]) if each["type"] == "Group" else [],
        }
        for each in objects
    }
    assert len(found) == len(objects)
    return found


def assert_whole(rig: Rig, company: Held) -> None:
    """The tenant holds the company and nothing else; nobody was deleted on the way."""
    assert held(rig.cloud) == company
    counts = [each["counts"] for each in rig.cloud.requests()]
    assert not any(each.get("deletions") or each.get("linkRemovals") for each in counts)


def calm(rig: Rig, clockwork: Clockwork) -> None:
    """The cloud behaves again, and it is the time it is."""
    rig.cloud.set_faults()
    clockwork.waits.clear()


def recover(rig: Rig, clockwork: Clockwork, company: Held) -> RunResult:
    """The run after the fault; the one after that has nothing left to send."""
    calm(rig, clockwork)
    second = rig.run()
    assert (second.outcome, second.error_count) == ("Succeeded", 0)
    assert_whole(rig, company)
    written = rig.writes()
    assert rig.run(scope="Full").message == "nothing had changed"
    assert rig.writes() == written
    return second


PASSES: dict[str, dict[str, Any]] = {
    "redirected at first": {"redirects": 3},
    "redirected as often as is followed": {"redirects": 5},
    "every second call is busy": {"busyEvery": 2},
    "every third call is busy": {"busyEvery": 3},
    "few writes at a time": {"throttle": {"writes": 40, "seconds": 60}},
    "one write at a time": {"throttle": {"writes": 1, "seconds": 30}},
    "cut before": {"dropBeforeEvery": 2},
    "exports cut before": {"dropBeforeEvery": 2, "operations": [EXPORT]},
    "cut after": {"dropAfterEvery": 2},
    "exports cut after": {"dropAfterEvery": 2, "operations": [EXPORT]},
    "gateway": {"gatewayEvery": 2},
    "gateway that says when": {"gatewayEvery": 2, "gatewayRetryAfterSeconds": 7},
    **{
        f"gateway with {status}": {"gatewayEvery": 2, "gatewayStatus": status}
        for status in (403, 404, 429, 500, 502, 504)
    },
    **{f"answers {how}": {"malformedEvery": 2, "malformed": how} for how in MALFORMED},
    **{
        f"answers to exports {how}": {
            "malformedEvery": 2,
            "malformed": how,
            "operations": [EXPORT],
        }
        for how in MALFORMED
    },
    "slow": {"delaySeconds": 0.05},
    "tokens that expire in mid-export": {
        "tokenLifetimeSeconds": 30,
        "gatewayEvery": 2,
        "gatewayRetryAfterSeconds": 31,
        "operations": [EXPORT],
    },
    "tokens of before": {"expireTokens": True},
    "few links in a request": {"maxLinksPerRequest": 7},
    "one link in a request": {"maxLinksPerRequest": 1},
    "few objects in a request": {"maxObjectsPerRequest": 7},
    "one object in a request": {"maxObjectsPerRequest": 1},
    "short pages": {"readBackPageSize": 1},
    "all at once": {
        "redirects": 2,
        "dropAfterEvery": 5,
        "busyEvery": 3,
        "malformedEvery": 4,
        "gatewayEvery": 7,
        "maxLinksPerRequest": 20,
        "maxObjectsPerRequest": 20,
        "readBackPageSize": 3,
    },
}


@pytest.mark.parametrize("fault", PASSES.values(), ids=PASSES)
def test_what_passes_by_itself_is_waited_out(
    rig: Rig, clockwork: Clockwork, company: Held, fault: dict[str, Any]
) -> None:
    rig.cloud.set_faults(**fault)

    first = rig.run()

    assert (first.outcome, first.error_count) == ("Succeeded", 0)
    assert_whole(rig, company)
    assert recover(rig, clockwork, company).message == "nothing had changed"


FAILS: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "redirected in circles": (
        {"redirects": 1000},
        1,
        "RunFailed",
        "look at `spec.syncService.url` of the cloud",
    ),
    "redirected to somebody else": (
        {"redirectHost": "sync.fabrikam.example"},
        2,
        "EndpointNotOffered",
        "not below the hosts of `spec.syncService.redirectSuffixes`; nothing was sent there",
    ),
    "always busy": ({"busyEvery": 1}, 1, "Throttled", "lower `spec.writeQuotaPercent`"),
    "exports always busy": (
        {"busyEvery": 1, "operations": [EXPORT]},
        1,
        "Throttled",
        "it is tried again by itself",
    ),
    "asks for more patience than there is": (
        {"gatewayEvery": 2, "gatewayRetryAfterSeconds": 4000},
        1,
        "Throttled",
        "it is tried again by itself",
    ),
    "always cut before": ({"dropBeforeEvery": 1}, 1, "ServerUnreachable", "check the network"),
    "exports always cut before": (
        {"dropBeforeEvery": 1, "operations": [EXPORT]},
        1,
        "ServerUnreachable",
        "check the network",
    ),
    "always cut after": ({"dropAfterEvery": 1}, 1, "ServerUnreachable", "check the network"),
    "exports always cut after": (
        {"dropAfterEvery": 1, "operations": [EXPORT]},
        1,
        "ServerUnreachable",
        "check the network",
    ),
    "the end is always cut": (
        {"dropAfterEvery": 1, "operations": [FINALIZE]},
        1,
        "ServerUnreachable",
        "check the network",
    ),
    **{
        f"answers always {how}": (
            {"malformedEvery": 1, "malformed": how},
            1,
            "RunFailed",
            "look for a proxy",
        )
        for how in ("Truncated", "Garbage")
    },
    "answers always CutOff": (
        {"malformedEvery": 1, "malformed": "CutOff"},
        1,
        "ServerUnreachable",
        "check the network",
    ),
    "answers always of another content type": (
        {"malformedEvery": 1, "malformed": "WrongContentType"},
        2,
        "EndpointNotOffered",
        "look at `spec.syncService.url` of the cloud",
    ),
    "answers to exports always of another content type": (
        {"malformedEvery": 1, "malformed": "WrongContentType", "operations": [EXPORT]},
        1,
        "ServerUnreachable",
        "look at the proxy and the firewall",
    ),
    "answers to exports always unreadable": (
        {"malformedEvery": 1, "operations": [EXPORT]},
        1,
        "RunFailed",
        "look for a proxy",
    ),
    "gateway that lets nothing through": (
        {"gatewayEvery": 1, "gatewayStatus": 502},
        1,
        "ServerUnreachable",
        "it is tried again by itself",
    ),
    "gateway that lets no export through": (
        {"gatewayEvery": 1, "gatewayStatus": 413, "operations": [EXPORT]},
        1,
        "RunFailed",
        "raise its limit",
    ),
    "sync off": (
        {"syncOff": True},
        2,
        "SyncDisabledInTenant",
        "switch it on (Microsoft Graph: PATCH /organization/{tenantId}",
    ),
    "V2 off": (
        {"v2Off": True},
        2,
        "EndpointNotOffered",
        "correct `spec.syncService.endpoints` of the cloud",
    ),
    "another audience": (
        {"audience": ["https://graph.windows.net"]},
        2,
        "RoleMissing",
        "grant the role ADSynchronization.ReadWrite.All",
    ),
    "a higher floor": ({"minimumBuild": "99.0"}, 2, "EndpointNotOffered", "install a newer"),
}


@pytest.mark.parametrize(("fault", "code", "reason", "remedy"), FAILS.values(), ids=FAILS)
def test_what_does_not_pass_is_told_with_its_remedy(
    rig: Rig,
    clockwork: Clockwork,
    company: Held,
    fault: dict[str, Any],
    code: int,
    reason: str,
    remedy: str,
) -> None:
    rig.cloud.set_faults(**fault)

    result = rig.run(code=code)

    assert (result.outcome, result.reason, result.permanent) == ("Failed", reason, code == 2)
    assert remedy in result.message
    recover(rig, clockwork, company)


def test_a_client_that_loses_its_patience_doubles_nothing(
    rig: Rig, clockwork: Clockwork, company: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given up as unanswered took effect all the same."""
    monkeypatch.setattr("entrasync.entra.calling.READ_SECONDS", 1)
    rig.cloud.set_faults(delayEvery=2, delaySeconds=3600, operations=[EXPORT])

    first = rig.run()

    assert first.outcome == "Succeeded"
    assert_whole(rig, company)
    assert recover(rig, clockwork, company).message == "nothing had changed"


@pytest.mark.parametrize("limit", [10, 1])
def test_a_group_the_tenant_finds_too_large_waits_until_it_fits(
    rig: Rig, clockwork: Clockwork, company: Held, limit: int
) -> None:
    rig.cloud.set_faults(maxGroupMembers={"V2": limit})
    too_large = {anchor for anchor, each in company.items() if len(each["links"]) > limit}

    first = rig.run(code=4)

    assert (first.outcome, first.reason) == ("SucceededWithErrors", "ExportErrors")
    assert {each.anchor for each in first.errors} <= too_large
    assert first.error_count == len(too_large)
    assert {each.code for each in first.errors} == {"LargeObject"}
    assert len(rig.anchors("User")) == 48
    recover(rig, clockwork, company)


LOST: dict[str, tuple[dict[str, Any], str | None]] = {
    "short pages": ({"readBackPageSize": 1}, None),
    "pages cut before": ({"dropBeforeEvery": 2}, None),
    "pages cut after": ({"dropAfterEvery": 2}, None),
    "pages unreadable": ({"malformedEvery": 2}, None),
    "pages busy": ({"busyEvery": 2}, None),
    "cookies that expire again and again": (
        {"cookieLifetimeSeconds": 60, "gatewayEvery": 3, "gatewayRetryAfterSeconds": 61},
        "RunFailed",
    ),
    "pages never": ({"dropBeforeEvery": 1}, "ServerUnreachable"),
}


@pytest.mark.parametrize(("fault", "reason"), LOST.values(), ids=LOST)
def test_a_tenant_that_is_hard_to_read_is_read_whole_or_left_alone(
    rig: Rig, clockwork: Clockwork, company: Held, fault: dict[str, Any], reason: str | None
) -> None:
    """All that was known is lost: what the tenant holds decides what is sent."""
    rig.run()
    written = rig.writes()
    shutil.rmtree(rig.state)
    rig.cloud.set_faults(**{"readBackPageSize": 9, "operations": [READ]} | fault)

    first = rig.run(code=0 if reason is None else 1)

    if reason is not None:
        assert first.reason == reason
    else:
        assert first.message == "nothing had changed"
    assert_whole(rig, company)
    assert recover(rig, clockwork, company).message == "nothing had changed"
    assert rig.writes() == written


def test_a_cookie_that_expires_on_the_way_costs_a_second_reading(
    rig: Rig, clockwork: Clockwork, company: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.run()
    shutil.rmtree(rig.state)
    rig.cloud.set_faults(readBackPageSize=9, gatewayEvery=3, operations=[READ])
    monkeypatch.setattr(
        clockwork,
        "sleep",
        lambda _: rig.cloud.set_faults(readBackPageSize=9, expireCookies=True),
    )

    first = rig.run()

    assert first.message == "nothing had changed"
    outcomes = [each["outcome"] for each in rig.cloud.requests(READ)]
    assert {outcome: outcomes.count(outcome) for outcome in ("Gateway", "CookieExpired")} == {
        "Gateway": 1,
        "CookieExpired": 1,
    }
    assert recover(rig, clockwork, company).message == "nothing had changed"
