"""The demo's story, step by step, each step checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dev.demo.cloud_view import CloudView
from dev.demo.kubectl import Kubectl
from dev.demo.setup import DIRECTORY_NAMESPACE, ROOT, SYNC_NAMESPACE
from dev.demo.waiting import say, wait_for

SYNC = "contoso"
BIG_GROUP = "All Employees"
BIG_GROUP_MEMBERS = 2000
LOOK = f"Look at `kubectl -n {SYNC_NAMESPACE} get dsync,srun,events`."


class DemoFailedError(Exception):
    """Something the demo promises is not true."""


@dataclass(slots=True, frozen=True, kw_only=True)
class FirstSync:
    """The tenant after the first sync.

    Attributes:
        run: name of the SyncRun that filled it.
        group_anchor: SourceAnchor of the big group.
        members: SourceAnchors of its members.
        links: (group, member) pairs in all.
    """

    run: str
    group_anchor: str
    members: frozenset[str]
    links: int


def apply_example(kubectl: Kubectl) -> None:
    """`kubectl apply -f examples/contoso/`, as a user would."""
    say("\n$ kubectl apply -f examples/contoso/")
    say(kubectl.run("apply", "-f", str(ROOT / "examples" / "contoso")).rstrip())


def follow_first_sync(kubectl: Kubectl) -> None:
    """Waits until tenant and directory are checked and the first sync is done."""
    for kind, name in (("entratenant", SYNC), ("activedirectory", SYNC)):
        wait_for(
            f"{kind}/{name} to be Ready",
            lambda kind=kind, name=name: condition(kubectl, kind, name, "Ready") == "True",  # type: ignore[misc]  # the loop variables are bound on purpose
            usually="5 to 15 s",
            seconds=120,
            hint=LOOK,
            state=lambda kind=kind, name=name: describe(kubectl, kind, name),  # type: ignore[misc]  # same
        )
    wait_for(
        "the first sync",
        lambda: condition(kubectl, "directorysync", SYNC, "Synchronized") == "True",
        usually="10 to 40 s",
        seconds=300,
        hint=LOOK,
        state=lambda: describe(kubectl, "directorysync", SYNC),
    )


def check_first_sync(kubectl: Kubectl, cloud: CloudView) -> FirstSync:
    """Compares the status with what the tenant really holds."""
    status = kubectl.get("directorysync", SYNC, "-n", SYNC_NAMESPACE)["status"]
    counts = {
        name: len(cloud.objects(object_type))
        for name, object_type in (("users", "User"), ("groups", "Group"), ("contacts", "Contact"))
    }
    told = {name: status["objects"][name] for name in counts}
    expect("the status counts what the tenant holds", told, counts)
    for name, count in counts.items():
        if not count:
            raise DemoFailedError(f"the tenant has no {name}")
    groups = {g["attributes"].get("displayName"): g for g in cloud.objects("Group")}
    anchor = groups[BIG_GROUP]["sourceAnchor"]
    members = frozenset(cloud.links(anchor))
    expect(f"members of {BIG_GROUP}", len(members), BIG_GROUP_MEMBERS)
    run = status["lastRun"]["name"]
    say(f"Checked: {counts}, {status['objects']['links']} links, {len(members)} in {BIG_GROUP}.")
    links = int(status["objects"]["links"])
    return FirstSync(run=run, group_anchor=anchor, members=members, links=links)


def change_directory(kubectl: Kubectl) -> dict[str, Any]:
    """One member added, one user renamed, one OU renamed, one user deleted."""
    say("\nChanging the directory: one member added to the big group, one user renamed, one OU")
    say("renamed, one user deleted")
    output = kubectl.run(
        "exec", "-n", DIRECTORY_NAMESPACE, "deploy/dc1", "--", "change-directory", "demo"
    )
    changes: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    say(f"  {json.dumps(changes, ensure_ascii=False)}")
    return changes


def follow_delta(
    kubectl: Kubectl, cloud: CloudView, before: FirstSync, changes: dict[str, Any]
) -> None:
    """Waits for the delta run that follows by itself and compares it with the changes made."""
    run = wait_for(
        "the delta run that follows by itself",
        lambda: changed_run(kubectl, before),
        usually="10 to 40 s",
        seconds=180,
        hint=LOOK,
        state=lambda: describe(kubectl, "directorysync", SYNC),
    )
    status = run["status"]
    seen = status["changes"]
    expect("scope of the run", status["scope"], "Delta")
    expect("users deleted", seen["users"]["delete"], 1)
    expect("users added", seen["users"]["add"], 0)
    expect("groups added or deleted", seen["groups"]["add"] + seen["groups"]["delete"], 0)
    expect("contacts changed", seen["contacts"]["add"] + seen["contacts"]["delete"], 0)
    expect("links added", seen["links"]["add"], 1)
    # the service itself ends the memberships of what is deleted
    expect("links removed", seen["links"]["remove"], 0)
    after = kubectl.get("directorysync", SYNC, "-n", SYNC_NAMESPACE)["status"]
    expect("links in all", after["objects"]["links"], before.links + 1 - changes["linksLost"])
    expect("users updated", seen["users"]["update"], changes["usersUpdated"])
    expect("failures", status["totals"]["failed"], 0)
    members = frozenset(cloud.links(before.group_anchor))
    expect("new members of the big group", len(members - before.members), 1)
    names = {user["attributes"].get("displayName") for user in cloud.objects("User")}
    expect("the new name in the tenant", names & {changes["renamedTo"]}, {changes["renamedTo"]})
    expect("the deleted user in the tenant", names & {changes["deletedName"]}, set())


def show(kubectl: Kubectl, cloud: CloudView) -> None:
    """What a user wants to see."""
    for arguments in (
        ["get", "azc"],
        ["get", "etenant,ad,dsync,srun", "-n", SYNC_NAMESPACE],
    ):
        say(f"\n$ kubectl {' '.join(arguments)}")
        say(kubectl.run(*arguments).rstrip())
    say("\nConditions of directorysync/contoso:")
    found = kubectl.get("directorysync", SYNC, "-n", SYNC_NAMESPACE)
    for entry in found["status"]["conditions"]:
        say(f"  {entry['type']}={entry['status']} {entry['reason']}: {entry['message']}")
    say("\nEvents:")
    say(
        kubectl.run(
            "get",
            "events",
            "-n",
            SYNC_NAMESPACE,
            "--sort-by=.lastTimestamp",
            "--field-selector=involvedObject.kind=DirectorySync",
        ).rstrip()
    )
    say("\nThe tenant as the emulated cloud has it:")
    for object_type in ("User", "Group", "Contact"):
        objects = cloud.objects(object_type)
        say(f"  {len(objects)} of type {object_type}, for example")
        for entry in objects[:3]:
            say(f"    {entry['sourceAnchor']}  {entry['attributes'].get('displayName')}")


def condition(kubectl: Kubectl, kind: str, name: str, wanted: str) -> str:
    """Status of one condition, empty when it is not there."""
    found = kubectl.get(kind, name, "-n", SYNC_NAMESPACE).get("status", {})
    return next((c["status"] for c in found.get("conditions", []) if c["type"] == wanted), "")


def describe(kubectl: Kubectl, kind: str, name: str) -> str:
    """The Ready condition in one line."""
    found = kubectl.get(kind, name, "-n", SYNC_NAMESPACE).get("status", {})
    for entry in found.get("conditions", []):
        if entry["type"] == "Ready":
            return f"Ready={entry['status']} {entry['reason']}: {entry['message']}"
    return "no condition yet"


def changed_run(kubectl: Kubectl, before: FirstSync) -> dict[str, Any] | None:
    """The first finished run after the given one that changed anything."""
    runs = kubectl.get("syncrun", "-n", SYNC_NAMESPACE)["items"]
    finished = [
        run
        for run in runs
        if run["spec"].get("directorySyncRef", {}).get("name") == SYNC
        and run["metadata"]["name"] != before.run
        and run.get("status", {}).get("phase") in {"Succeeded", "Failed", "Blocked"}
    ]
    finished.sort(key=lambda run: run["metadata"]["creationTimestamp"])
    for run in finished:
        if run["status"]["phase"] != "Succeeded":
            raise DemoFailedError(f"{run['metadata']['name']}: {json.dumps(run['status'])}")
        totals = run["status"].get("totals", {})
        links = run["status"].get("changes", {}).get("links", {})
        if any(totals.values()) or any(links.values()):
            return dict(run)
    return None


def expect(what: str, found: object, wanted: object) -> None:
    """Says what was checked, or ends the demo.

    Raises:
        DemoFailedError: the two differ.
    """
    if found != wanted:
        raise DemoFailedError(f"{what}: found {found!r}, expected {wanted!r}")
    say(f"  checked {what}: {found}")
