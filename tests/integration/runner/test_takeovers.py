"""Accounts of the cloud that an addition would take over: held back, asked for, or taken."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.branch import Branch
from tests.support.emulator import CLIENT_ID, CLIENT_SECRET, EmulatorServer
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

MakeRig = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path, samba_shared: SambaServer, branch: Branch) -> Iterator[MakeRig]:
    """Gives syncs of the branch into a tenant that holds something."""
    with ExitStack() as stack:

        def made(*objects: dict[str, Any], **tenant: Any) -> Rig:
            cloud = stack.enter_context(EmulatorServer({"objects": list(objects)} | tenant))
            rig = Rig(tmp_path, samba_shared, cloud)
            rig.source["include"] = [branch.dn]
            return rig

        yield made


@pytest.fixture
def anchor(branch: Branch) -> str:
    """The anchor of ann, who has two colleagues nobody has heard of."""
    ann = branch.person("ann", mail=branch.upn("ann"))
    branch.group("team", ann, branch.person("bob"))
    return base64.b64encode(uuid.UUID(branch.hand.guid_of(ann)).bytes_le).decode()


def account(kind: str, branch: Branch, anchor: str) -> dict[str, Any]:
    """A cloud-only account that ann would take over: by her address or name, or by her anchor."""
    if kind == "hard":
        return {"type": "User", "immutableId": anchor, "attributes": {"displayName": "Theirs"}}
    key = "mail" if kind == "soft" else "userPrincipalName"
    return {"type": "User", "attributes": {"displayName": "Theirs", key: branch.upn("ann")}}


def codes(result: Any) -> list[tuple[str, str]]:
    return [(each.anchor, each.code) for each in result.errors]


def theirs(rig: Rig) -> dict[str, Any]:
    """The account that was there before, whatever it is called by now: the oldest comes first."""
    return rig.cloud.objects("User")[0]


CASES = {
    "soft": ("soft", "softMatch", "SoftMatchRefused"),
    "soft by name": ("name", "softMatch", "SoftMatchRefused"),
    "hard": ("hard", "hardMatch", "HardMatchRefused"),
}
each_case = pytest.mark.parametrize(("kind", "outcome", "code"), CASES.values(), ids=CASES)


@each_case
def test_refuse_holds_the_addition_back_and_lets_the_rest_go(
    make: MakeRig, branch: Branch, anchor: str, kind: str, outcome: str, code: str
) -> None:
    rig = make(account(kind, branch, anchor))

    result = rig.run(code=4)

    assert (result.outcome, result.error_count) == ("SucceededWithErrors", 1)
    assert codes(result) == [(anchor, code)]
    assert result.plan is not None
    assert result.plan.outcomes == {"create": 2, outcome: 1}
    assert not theirs(rig)["synced"]
    assert theirs(rig)["attributes"]["displayName"] == "Theirs"
    assert len(rig.cloud.objects("User")) == 2
    # bob is in the group, and ann is not missed there
    assert len(rig.cloud.links(rig.group("team"))) == 1
    again = rig.run(code=4)
    assert codes(again) == [(anchor, code)]
    # until nobody has her address any more
    assert result.objects is not None
    assert result.objects.model_dump() == {"users": 1, "groups": 1, "contacts": 0, "links": 1}


@each_case
def test_approve_needs_the_digest(
    make: MakeRig, branch: Branch, anchor: str, kind: str, outcome: str, code: str
) -> None:
    del code
    rig = make(account(kind, branch, anchor))
    rig.sync["spec"]["matching"] = {"soft": "Approve", "hard": "Approve"}

    blocked = rig.run(code=3)

    assert (blocked.outcome, blocked.reason) == ("Blocked", "TakeoverNeedsApproval")
    assert "1 cloud accounts would be taken over (`spec.matching`)" in blocked.message
    assert blocked.blocked_plan is not None
    assert blocked.blocked_plan.changes == {"takeovers": 1}
    assert blocked.blocked_plan.sample == [anchor]
    assert blocked.plan is not None
    assert blocked.plan.outcomes == {"create": 2, outcome: 1}
    assert rig.writes() == 0
    # the rest may go on meanwhile
    rig.sync["spec"]["safety"] = {"onBlocked": "HoldBraked"}
    assert rig.run(code=3).blocked_plan is not None
    assert len(rig.cloud.objects("User")) == 2
    rig.sync["spec"]["approvedPlan"] = blocked.blocked_plan.digest
    assert rig.run().outcome == "Succeeded"
    assert theirs(rig)["synced"]
    assert theirs(rig)["sourceAnchor"] == anchor
    assert len(rig.cloud.objects("User")) == 2
    assert len(rig.cloud.links(rig.group("team"))) == 2
    assert rig.run().message == "nothing had changed"


@each_case
def test_allow_takes_it_over(
    make: MakeRig, branch: Branch, anchor: str, kind: str, outcome: str, code: str
) -> None:
    del code
    rig = make(account(kind, branch, anchor))
    rig.sync["spec"]["matching"] = {"soft": "Allow", "hard": "Allow"}

    result = rig.run()

    assert result.plan is not None
    assert result.plan.outcomes == {"create": 2, outcome: 1}
    assert theirs(rig)["sourceAnchor"] == anchor
    assert theirs(rig)["attributes"]["displayName"] == "ann"
    assert result.objects is not None
    assert result.objects.users == 2


def test_one_may_be_allowed_and_the_other_not(make: MakeRig, branch: Branch, anchor: str) -> None:
    rig = make(account("hard", branch, anchor))
    rig.sync["spec"]["matching"] = {"soft": "Allow"}

    assert codes(rig.run(code=4)) == [(anchor, "HardMatchRefused")]
    assert not theirs(rig)["synced"]


def test_what_the_tenant_itself_refuses_is_foreseen(
    make: MakeRig, branch: Branch, anchor: str
) -> None:
    rig = make(account("hard", branch, anchor), blockHardMatch=True)
    rig.sync["spec"]["matching"] = {"soft": "Allow", "hard": "Allow"}

    preview = rig.run(mode="Preview", code=0)

    assert preview.plan is not None
    assert preview.plan.outcomes == {"blocked": 1, "create": 2}


def test_a_deleted_account_comes_back(make: MakeRig, branch: Branch, anchor: str) -> None:
    rig = make()
    rig.run()
    branch.hand.move(f"CN=ann,{branch.dn}", parent="CN=Users,DC=contoso,DC=test")
    rig.run()
    assert len(rig.anchors("User")) == 1

    branch.hand.move("CN=ann,CN=Users,DC=contoso,DC=test", parent=branch.dn)
    result = rig.run()

    assert result.plan is not None
    assert result.plan.outcomes == {"restore": 1}
    assert anchor in rig.anchors("User")


@pytest.mark.parametrize("soft", ["Refuse", "Allow"])
def test_without_the_permission_it_is_said_once(
    make: MakeRig, branch: Branch, anchor: str, soft: str, capsys: pytest.CaptureFixture[str]
) -> None:
    application = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "graphRoles": []}
    rig = make(account("soft", branch, anchor), applications=[application])
    rig.tenant["spec"]["application"] = {
        "clientId": CLIENT_ID,
        "clientSecretSecretRef": {"name": "entra-app", "key": "client-secret"},
    }
    rig.put_secret("entra-app", **{"client-secret": CLIENT_SECRET})
    rig.sync["spec"]["matching"] = {"soft": soft, "hard": soft}

    result = rig.run(mode="Preview")

    assert result.plan is not None
    # the group has no name that could meet another one
    assert result.plan.outcomes == {"create": 1, "unknown": 2}
    words = "grant the application"
    if soft == "Allow":
        assert words not in result.message
        return
    assert result.message.count(words) == 1
    assert "2 additions take over" in result.message
    assert "Group.Read.All and User.Read.All (or Directory.Read.All)" in result.message
    assert capsys.readouterr().out.count("takeovers_unforeseen") == 1
    # a sync works without Graph, and says it only while there are additions
    assert rig.run().message.count(words) == 1
    assert words not in rig.run().message
